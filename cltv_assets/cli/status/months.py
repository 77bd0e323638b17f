"""What is there of each month, what was refused, and what must be made again."""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import dagster as dg

from cltv_assets.cli.reading import open_lake
from cltv_assets.cli.status.beside import look_beside
from cltv_assets.cli.status.source import SourceNow, look_at_source
from cltv_assets.cli.status.staleness import Graph
from cltv_assets.dagster_defs.automation.alerts import causes_of
from cltv_assets.dagster_defs.automation.state import read_history, read_upstream
from cltv_assets.dagster_defs.build import build_assets
from cltv_assets.dagster_defs.instance import dagster_home, open_instance
from cltv_assets.dagster_defs.naming import Names
from cltv_assets.foreign import from_markdown
from cltv_assets.lake import Lake
from cltv_assets.months import Month
from cltv_assets.report import REPORT, REPORT_FILE
from cltv_assets.settings import Settings
from cltv_assets.sources.delivered import RAW_TRANSACTIONS
from cltv_assets.tables import all_schemas
from cltv_assets.tables.refused_lines import explained, reasons_kept, what_stays


@dataclass
class MonthStatus:
    """What is known of one month.

    Parameters
    ----------
    missing, stale, refused : list of str
        Assets without this month, assets that are older than something they were made from, and assets whose last
        try was refused or broke off; in the order of the graph.
    failed, warned : list of str
        Blocking checks and warnings of the last evaluation, ``asset.check``.
    waiting : list of str
        What the month waits for of the user's own assets, in words.
    changed : str
        How the source's lines differ from those that were landed, in words.
    lost : bool
        Whether that is a loss which a run would refuse.
    late : int
        Lines that the source has and the lake lacks; negative if the source has fewer.
    beside : list of str
        How the customers' file and the acquisition costs differ from what was read of them, in words.
    why : list of str
        Why assets were refused, and what readers have of the month meanwhile.
    says : dict of str to str
        What each of these checks says.
    """

    missing: list[str] = field(default_factory=list)
    stale: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    warned: list[str] = field(default_factory=list)
    waiting: list[str] = field(default_factory=list)
    changed: str = ""
    lost: bool = False
    late: int = 0
    beside: list[str] = field(default_factory=list)
    why: list[str] = field(default_factory=list)
    says: dict[str, str] = field(default_factory=dict)

    @property
    def in_order(self) -> bool:
        """Whether nothing needs to be done; warnings are for reading."""
        return not (self.missing or self.stale or self.refused or self.failed or self.changed)

    @property
    def to_make(self) -> set[str]:
        """The assets that a run must make."""
        found = {*self.missing, *self.stale, *self.refused, *([RAW_TRANSACTIONS.name] if self.changed else [])}
        # Until the lines are back, or their loss is accepted, a run is refused, again.
        return found - {RAW_TRANSACTIONS.name} if self.lost else found


@dataclass(frozen=True)
class Found:
    """What was found.

    Parameters
    ----------
    months : dict of Month to MonthStatus
        Every closed month, oldest first.
    source : SourceNow
        The source against what was landed.
    unknown : list of str
        What else cannot be known, and why.
    graph : Graph
        What is made from what.
    """

    months: dict[Month, MonthStatus]
    source: SourceNow
    unknown: list[str]
    graph: Graph

    def to_run(self, months: Iterable[Month]) -> list[Month]:
        """Return the months to run so that these are in order: themselves, and what that makes stale."""
        wrong = {(table, month) for month in months for table in self.months[month].to_make}
        return self.graph.made_again_by(wrong, self.months)


def month_statuses(settings: Settings) -> dict[Month, MonthStatus]:
    """Return every closed month's status, oldest first."""
    return look(settings).months


def look(settings: Settings) -> Found:
    """Look at the lake, at Dagster's records and at the source."""
    months = list(settings.first_month.until(settings.last_month()))
    lake, names = open_lake(settings), Names(settings.asset_prefix)
    held = {schema.name: lake.table(schema).published(months) for schema in all_schemas(settings.horizons_months)}
    held[REPORT.name] = lake.files(REPORT.name).months(REPORT_FILE)
    found = {month: MonthStatus() for month in months}
    with open_instance(settings) as instance:
        graph = Graph(instance, build_assets(settings), names, settings.first_month)
        for table in graph.needs:
            for month, state in found.items():
                if month not in held[table]:
                    state.missing.append(table)
        source = look_at_source(settings, instance, lake, months)
        for month, state in found.items():
            state.changed, state.late = source.changed.get(month, ""), source.late.get(month, 0)
            state.lost = month in source.lost
        beside = look_beside(settings, months)
        for (table, month), text in beside.changed.items():
            found[month].beside.append(f"{table} changed: {text}")
        _add_stale(found, settings, instance, graph, set(beside.changed))
        _add_refused(found, settings, lake, graph, instance)
    made = {(table, month) for table, keys in graph.made.items() for month in months if month.key in keys}
    unrecorded = [month for month in months if any(month in held[t] and (t, month) not in made for t in graph.needs)]
    return Found(found, source, [*beside.unknown, *_without_history(settings, unrecorded)], graph)


def _without_history(settings: Settings, months: Sequence[Month]) -> list[str]:
    """Say that months are in the lake of which the instance knows nothing."""
    if not months:
        return []
    span = str(months[0]) if len(months) == 1 else f"{len(months)} months from {months[0]} to {months[-1]}"
    return [
        f"history: unknown of {span}, because the Dagster instance in {dagster_home(settings)} has no record of all "
        "that the lake holds of it: name the right instance in DAGSTER_HOME, or run these months again."
    ]


def _add_stale(
    found: Mapping[Month, MonthStatus],
    settings: Settings,
    instance: dg.DagsterInstance,
    graph: Graph,
    again: set[tuple[str, Month]],
) -> None:
    """Mark assets that are older than what they were made from, and months that wait for their source.

    ``again`` are those whose file beside the transactions has changed.
    """
    upstream = read_upstream(instance, settings, list(found))
    reach = settings.last_month().shift(-settings.automation.late_data_months)
    raw = RAW_TRANSACTIONS.name
    for month, state in found.items():
        at = graph.made[raw].get(month.key)
        if at is None:
            state.waiting += upstream.lacking.get(month, ())
        # Older months are not made again for changes of the source's assets.
        elif month >= reach and any(there.get(month, 0) > at for there in upstream.made.values()):
            again.add((raw, month))
    stale = graph.stale(found, again)
    for month, state in found.items():
        state.stale += [table for table in graph.needs if (table, month) in stale]


def _add_refused(
    found: Mapping[Month, MonthStatus], settings: Settings, lake: Lake, graph: Graph, instance: dg.DagsterInstance
) -> None:
    """Add the newest result of each check, what the last tries broke off with, and what readers have meanwhile."""
    names = Names(settings.asset_prefix)
    schemas = {schema.name: schema for schema in all_schemas(settings.horizons_months)}
    evaluated = _evaluations(instance, names, found, graph.checks)
    attempts = read_history(instance, names, graph.needs).attempts
    runs: dict[str, list[str]] = {}
    for month, state in found.items():
        judged: dict[str, str] = {}
        for name, (run_id, result) in sorted(evaluated[month.key].items()):
            if not result.passed:
                blocks = result.severity == dg.AssetCheckSeverity.ERROR
                (state.failed if blocks else state.warned).append(name)
                state.says[name] = from_markdown(result.description or "no message")
                if blocks:
                    judged[name.partition(".")[0]] = run_id
        tried = {table: at[month] for table, at in attempts.items() if month in at and not at[month].running}
        for run_id in {attempt.run_id for attempt in tried.values()} - runs.keys():
            runs[run_id] = causes_of(instance, run_id)
        broken: dict[str, str] = {}
        for step, tables in graph.steps.items():
            attempt = next((tried[table] for table in tables if table in tried), None)
            if attempt is None or any(judged.get(table) == attempt.run_id for table in tables):
                continue
            if cause := _cause(runs[attempt.run_id], step, tables, month):
                broken |= {table: cause if table == tables[0] else "" for table in tables}
        state.refused = [table for table in graph.needs if table in judged or table in broken]
        state.why = _reasons(lake, month, state) + [f"{table}: {cause}" for table, cause in broken.items() if cause]
        state.why += [
            f"{table} is not published anew; {what_stays(lake, schemas[table], month, settings.zone)}"
            for table in state.refused
            if table in schemas
        ]


def _evaluations(
    instance: dg.DagsterInstance, names: Names, months: Iterable[Month], checks: Container[str]
) -> dict[str, dict[str, tuple[str, dg.AssetCheckEvaluation]]]:
    """Return the newest result of each of ``checks`` on each month, and the run that it comes from."""
    last: dict[str, dict[str, tuple[str, dg.AssetCheckEvaluation]]] = {month.key: {} for month in months}
    for record in instance.get_run_records(order_by="create_timestamp", ascending=True):
        run = record.dagster_run
        for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION):
            evaluated = entry.get_dagster_event().asset_check_evaluation_data
            table = Names.table(evaluated.asset_key)
            # A backfill makes many months in one run; each result names its own.
            partition = evaluated.partition or run.tags.get("dagster/partition", "")
            name = f"{table}.{evaluated.check_name}"
            # Other graphs may run on the same instance. A run of a month that the UI or `dg launch` starts evaluates
            # `on_time` and a project's own checks too.
            if evaluated.asset_key == names.key(table) and partition in last and name in checks:
                last[partition][name] = run.run_id, evaluated
    return last


def _cause(causes: Sequence[str], step: str, tables: Sequence[str], month: Month) -> str:
    """Return why a step's try of a month broke off; empty if something before it did."""
    for cause in causes:
        name, _, text = cause.partition(": ")
        # A run of many months says at its end what became of each.
        found = re.search(rf"\b{tables[0]} {month}: (.*?)(?= \w+ \d{{4}}-\d\d: | And \d+ more\.| Mend the cause)", text)
        if found:
            return found[1]
        if name == step and " months could not be made" not in text:
            return text
    return ""


def _reasons(lake: Lake, month: Month, state: MonthStatus) -> list[str]:
    """Return what the failed checks say, with the lines that they found."""
    kept = reasons_kept(lake, month) if state.failed else []
    found = []
    for name in state.failed:
        own = [reason for reason in kept if f"{reason.table}.{reason.check}" == name]
        found.append(explained(own, values=True) if own else f"{name}: {state.says[name]}")
    return found
