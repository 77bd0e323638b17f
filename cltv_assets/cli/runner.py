"""Runs months through Dagster from the command line.

Every month is a Dagster run in the same instance that the UI shows, with its
materialisations and check results.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field

import dagster as dg

from cltv_assets.dagster_defs.accepting import accepting
from cltv_assets.dagster_defs.build import MONTH_JOB, ON_TIME_JOB, build_definitions
from cltv_assets.dagster_defs.collection import rare_collection
from cltv_assets.dagster_defs.failures import print_texts
from cltv_assets.dagster_defs.instance_state import forget_checks_not_run
from cltv_assets.dagster_defs.io_managers import NEWEST_MONTH
from cltv_assets.dagster_defs.naming import Names
from cltv_assets.dagster_defs.run_owner import owner_tags
from cltv_assets.errors import ConfigError
from cltv_assets.foreign import from_markdown
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.sources.delivered import RAW_TRANSACTIONS

#: A single plus. In Dagster it means one step further, here everything before or after.
_ALL_BEYOND = re.compile(r"^\+(?!\+)|(?<!\+)\+$")
#: One asset by its plain name, with its pluses.
_PLAIN = re.compile(r"([+*]*)(\w+)([+*]*)")
#: Dagster's own lines stay off the terminal; the instance keeps every event.
QUIET = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}


@dataclass(frozen=True)
class MonthResult:
    """How one month went.

    Parameters
    ----------
    month : Month
        The month.
    succeeded : bool
        Whether all its assets are published.
    seconds : float
        How long it took.
    errors : list of str
        Why it failed, one sentence each.
    warnings : list of str
        Checks that warn: ``table.check: message``.
    """

    month: Month
    succeeded: bool
    seconds: float
    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


def parse_month(name: str) -> Month:
    """Read a month from the command line.

    Raises
    ------
    ConfigError
        If ``name`` is not ``YYYY-MM``.
    """
    try:
        return Month.parse(name)
    except ValueError as error:
        raise ConfigError(f"{error}.", "Try again with such a month.") from None


def months_between(settings: Settings, first: str | None, last: str | None) -> list[Month]:
    """Return the months to run.

    Parameters
    ----------
    settings : Settings
        The graph's settings.
    first, last : str or None
        ``YYYY-MM``, or ``latest`` for the last closed month; by default the first
        partition and the last closed one.

    Raises
    ------
    ConfigError
        If the range is empty or leaves the partitions.
    """
    earliest, latest = settings.first_month, settings.last_month()
    if earliest > latest:
        raise ConfigError(
            f"No month has closed yet: start_month is {earliest} and the last closed month {latest}.",
            "Set start_month to the first month of your data.",
        )
    begin = _named(first, latest) if first else earliest
    end = _named(last, latest) if last else latest
    if not (earliest <= begin <= latest and earliest <= end <= latest):
        raise ConfigError(
            f"The months {begin} to {end} reach beyond those that exist, {earliest} to {latest}.",
            "Choose months inside, or change start_month and end_month.",
        )
    if begin > end:
        raise ConfigError(f"There is no month from {begin} to {end}.", "Swap --from and --to.")
    return list(begin.until(end))


def _named(name: str, latest: Month) -> Month:
    # For schedulers that cannot compute the month.
    return latest if name == "latest" else parse_month(name)


class MonthRunner:
    """Runs months of some assets, one Dagster run each.

    Parameters
    ----------
    settings : Settings
        The graph's settings.
    instance : DagsterInstance
        Where the runs are recorded.
    assets : sequence of str, optional
        Names of assets; ``+`` after or before a name adds all that is downstream or
        upstream of it (``rfm_summary+``). All by default.
    newest : Month, optional
        The newest month, if several are made: the older ones have no pictures.
    accepted : collection of Month
        Months whose published lines may vanish.

    Raises
    ------
    ConfigError
        If the selection names no asset, or a loss is accepted and it leaves out ``raw_transactions``.
    """

    def __init__(
        self,
        settings: Settings,
        instance: dg.DagsterInstance,
        assets: Sequence[str] | None = None,
        newest: Month | None = None,
        accepted: Collection[Month] = (),
    ) -> None:
        definitions = build_definitions(settings)
        names = Names(settings.asset_prefix)
        whole = definitions.resolve_job_def(names.name(MONTH_JOB))
        selected = _selected(definitions, assets, names) if assets else None
        if accepted and selected is not None and names.key(RAW_TRANSACTIONS.name) not in selected:
            raise ConfigError(
                f"--accept-loss is about {RAW_TRANSACTIONS.name}, which --select leaves out.",
                f"Add {RAW_TRANSACTIONS.name} to the selection.",
            )
        self._job = whole if selected is None else part_of(whole, selected)
        self._instance = instance
        self._tags = owner_tags(instance) | ({NEWEST_MONTH: newest.key} if newest else {})
        self._accepted = accepted
        self._accepting = QUIET | accepting(settings)

    def run(self, month: Month, run_id: str | None = None) -> MonthResult:
        """Materialise one month; a failure is in the result, not raised.

        Parameters
        ----------
        month : Month
            The month.
        run_id : str, optional
            The id of the Dagster run; by default a new one.
        """
        began = time.monotonic()
        result = self._job.execute_in_process(
            run_config=self._accepting if month in self._accepted else QUIET,
            instance=self._instance,
            partition_key=month.key,
            raise_on_error=False,
            run_id=run_id,
            tags=self._tags,
        )
        print_texts()
        forget_checks_not_run(self._instance, result.run_id)
        warnings = [
            f"{Names.table(found.asset_key)}.{found.check_name}: {from_markdown(found.description or '')}"
            for found in result.get_asset_check_evaluations()
            if not found.passed and found.severity == dg.AssetCheckSeverity.WARN
        ]
        return MonthResult(month, result.success, time.monotonic() - began, errors_of(result), warnings)


def run_months(
    settings: Settings,
    months: Sequence[Month],
    instance: dg.DagsterInstance,
    assets: Sequence[str] | None = None,
    after: Callable[[MonthResult], None] = lambda _result: None,
    accepted: Collection[Month] = (),
) -> list[MonthResult]:
    """Materialise months one after the other, oldest first.

    A month that fails does not stop the others; the months that need it fail, and name it.

    Parameters
    ----------
    settings : Settings
        The graph's settings.
    months : sequence of Month
        The months, oldest first.
    instance : DagsterInstance
        Where the runs are recorded.
    assets : sequence of str, optional
        As `MonthRunner` takes them.
    after : callable
        Called with the result of each month when it has ended.
    accepted : collection of Month
        As `MonthRunner` takes them.
    """
    runner = MonthRunner(settings, instance, assets, max(months, default=None), accepted)
    results = []
    with rare_collection():
        for month in months:
            results.append(runner.run(month))
            after(results[-1])
    return results


def look_on_time(settings: Settings, instance: dg.DagsterInstance) -> None:
    """Evaluate every asset's check ``on_time``, so that the UI shows a result for it."""
    names = Names(settings.asset_prefix)
    job = build_definitions(settings).resolve_job_def(names.name(ON_TIME_JOB))
    # Months that have run do not fail because this check cannot be evaluated.
    job.execute_in_process(run_config=QUIET, instance=instance, raise_on_error=False, tags=owner_tags(instance))


def part_of(job: dg.JobDefinition, assets: Iterable[dg.AssetKey]) -> dg.JobDefinition:
    """Return the job for some of its assets, with the checks on them that the whole job has.

    Without a selection of checks Dagster would add ``on_time``, which is about all months and not about one.
    """
    wanted = set(assets)
    checks = {key for key in job.asset_layer.asset_graph.asset_check_keys if key.asset_key in wanted}
    return job.get_subset(asset_selection=wanted, asset_check_selection=checks)


def _selected(definitions: dg.Definitions, assets: Sequence[str], names: Names) -> list[dg.AssetKey]:
    graph = definitions.resolve_asset_graph()
    try:
        # Assets of one step are made together, so naming one of them selects all.
        selection = dg.AssetSelection.from_coercible([_in_dagster_syntax(name, names) for name in assets])
        selection = selection.required_multi_asset_neighbors()
        keys = sorted(selection.resolve(graph))
    except dg.DagsterError as error:
        plain = ", ".join(sorted(Names.table(key) for key in graph.materializable_asset_keys))
        raise ConfigError(
            f"--select {','.join(assets)} is no selection of assets: {' '.join(str(error).split())}",
            f"Choose among {plain}; '+' after or before a name adds what comes after or before it.",
        ) from None
    if not keys:
        raise ConfigError(f"--select {','.join(assets)} selects nothing.", "Name at least one asset.")
    return keys


def _in_dagster_syntax(selection: str, names: Names) -> str:
    """Replace an asset's plain name by its key, and a single plus by ``*``."""
    found = _PLAIN.fullmatch(selection)
    whole = f"{found[1]}{names.key(found[2]).to_user_string()}{found[3]}" if found else selection
    return _ALL_BEYOND.sub("*", whole)


def errors_of(result: dg.ExecuteInProcessResult) -> list[str]:
    """Return why steps failed, a sentence or paragraph each."""
    errors = []
    for event in result.get_step_failure_events():
        failure = event.step_failure_data
        user = failure.user_failure_data
        if user is not None and user.description:
            errors.append(user.description)
        elif failure.error is not None:
            cause = failure.error.cause or failure.error
            errors.append(f"{event.step_key}: {cause.message.strip()}")
    return errors
