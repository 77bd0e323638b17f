"""Which warnings of checks the webhook is told of: ``automation.webhook_warnings``.

A run that has ended is looked at once. Of the months that it published, those warnings are told whose check the
settings name: each once for its month and what it says, so a month that is made again with the same data is no news.
"""

from __future__ import annotations

import difflib
import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

import dagster as dg

from cltv_assets.dagster_defs.automation.landed import ranges
from cltv_assets.dagster_defs.naming import Names
from cltv_assets.errors import ConfigError
from cltv_assets.foreign import from_markdown
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.tables import TABLES
from cltv_assets.tables.check import Check

End = Literal[dg.DagsterEventType.RUN_SUCCESS, dg.DagsterEventType.RUN_FAILURE, dg.DagsterEventType.RUN_CANCELED]
#: How a run ends. One that failed or was cancelled may have published some of its months.
_ENDS: tuple[End, ...] = get_args(End)
#: The most ended runs, others' too, that one look goes through; the next one goes on.
_RUNS = 200
#: Of how many months it is remembered what was told of a check. An older one that is made again is told again.
_REMEMBERED = 60


@dataclass(frozen=True)
class Warned:
    """Months that a check warns of.

    Parameters
    ----------
    name : str
        ``asset.check``.
    months : list of (Month, Month)
        The stretches of months.
    newest : Month
        The month that ``says`` is about.
    says : str
        The check's sentence.
    run_id : str
        The run that made that month.
    """

    name: str
    months: list[tuple[Month, Month]]
    newest: Month
    says: str
    run_id: str


@dataclass(frozen=True)
class Memory:
    """What was told of warnings.

    Parameters
    ----------
    place : int
        Place of the last examined end of a run in the order of all events; -1 before the first look.
    told : mapping of str to str
        For each ``asset.check``, its months and a digest of what was told of each: ``2011-01:9f86d081 2011-02:…``.
    """

    place: int = -1
    told: Mapping[str, str] = field(default_factory=dict)


class WarningsWatch:
    """Looks for warnings that nobody was told of.

    Parameters
    ----------
    settings : Settings
        ``automation.webhook_warnings`` names the checks.

    Raises
    ------
    ConfigError
        If a name is none of a check that warns.
    """

    def __init__(self, settings: Settings) -> None:
        self._names = Names(settings.asset_prefix)
        self._checks = _chosen(settings)

    def look(
        self, instance: dg.DagsterInstance, memory: Memory, is_ours: Callable[[dg.DagsterRun], bool]
    ) -> tuple[list[Warned], Memory]:
        """Return the warnings that are news, one for each check, and what to remember once they are told.

        Parameters
        ----------
        instance : DagsterInstance
            Where runs and check results are recorded.
        memory : Memory
            What an earlier look returned. The first look reports nothing of earlier runs.
        is_ours : callable
            Whether a run is one of this graph.
        """
        if not self._checks:
            # Whoever names checks later is not told of what was before.
            return [], Memory()
        if memory.place < 0:
            return [], Memory(max(last_place(instance, kind) for kind in _ENDS))
        ends = [
            record
            for kind in _ENDS
            for record in instance.fetch_run_status_changes(
                dg.RunStatusChangeRecordsFilter(kind, after_storage_id=memory.place), limit=_RUNS, ascending=True
            ).records
        ]
        ends = sorted(ends, key=lambda record: record.storage_id)[:_RUNS]
        told = {name: dict(item.split(":") for item in text.split()) for name, text in memory.told.items()}
        news: dict[str, dict[Month, tuple[str, str]]] = defaultdict(dict)
        for run_id in dict.fromkeys(record.run_id for record in ends):
            run = instance.get_run_by_id(run_id)
            if run is None or not is_ours(run):
                continue
            for name, month, says in self._of_run(instance, run):
                digest = hashlib.sha256(says.encode()).hexdigest()[:8]
                known = told.setdefault(name, {})
                if known.get(month.key) != digest:
                    known[month.key] = digest
                    news[name][month] = (says, run_id)
        kept = {
            name: " ".join(f"{month}:{digest}" for month, digest in sorted(known.items())[-_REMEMBERED:])
            for name, known in told.items()
            if name in self._checks
        }
        warned = [_warned(name, months) for name, months in news.items()]
        return warned, Memory(ends[-1].storage_id if ends else memory.place, kept)

    def _of_run(self, instance: dg.DagsterInstance, run: dg.DagsterRun) -> Iterable[tuple[str, Month, str]]:
        """Yield the warnings of the months that a run published."""
        only = run.tags.get("dagster/partition", "")
        published = set()
        for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION):
            made = entry.get_dagster_event().step_materialization_data.materialization
            published.add((made.asset_key, made.partition or only))
        for entry in instance.all_logs(run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION):
            found = entry.get_dagster_event().asset_check_evaluation_data
            month = found.partition or only
            table = Names.table(found.asset_key)
            name = f"{table}.{found.check_name}"
            ours = found.asset_key == self._names.key(table) and name in self._checks
            if ours and not found.passed and (found.asset_key, month) in published:
                yield name, Month.parse(month), _sentence(self._checks[name], found.description)


def last_place(instance: dg.DagsterInstance, kind: End) -> int:
    """Return the place of the last run that ended so in the order of all events, 0 if none did."""
    records = instance.fetch_run_status_changes(dg.RunStatusChangeRecordsFilter(kind), limit=1).records
    return records[0].storage_id if records else 0


def _chosen(settings: Settings) -> dict[str, Check]:
    """Return the checks that the settings name, by ``asset.check``."""
    every = {
        f"{table.name}.{check.name}": check
        for table in TABLES
        for check in table.checks_for(settings.horizons_months)
        if not check.blocking
    }
    found: dict[str, Check] = {}
    for wanted in settings.automation.webhook_warnings:
        chosen = {name: check for name, check in every.items() if wanted in (name, check.name)}
        if not chosen:
            names = sorted({*every, *(check.name for check in every.values())})
            near = difflib.get_close_matches(wanted, names, 1)
            raise ConfigError(
                f"automation.webhook_warnings names {wanted}, which is no check that warns.",
                f"Did you mean {near[0]}?" if near else f"Choose among {', '.join(sorted(every))}.",
            )
        found |= chosen
    return found


def _sentence(check: Check, says: str | None) -> str:
    return from_markdown(says or check.description)


def _warned(name: str, months: Mapping[Month, tuple[str, str]]) -> Warned:
    newest = max(months)
    return Warned(name, ranges(months), newest, *months[newest])
