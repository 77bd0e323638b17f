"""Reads from a Dagster instance which months were landed, are being made, or failed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dagster as dg

from cltv_assets.dagster_defs.automation.planning import History
from cltv_assets.dagster_defs.automation.source_changes import Landed, State
from cltv_assets.dagster_defs.automation.state import read_history
from cltv_assets.dagster_defs.instance_state import keys_of_backfill, requested_backfills
from cltv_assets.dagster_defs.naming import Names
from cltv_assets.months import Month
from cltv_assets.sources.contents import FileRecord
from cltv_assets.sources.delivered import RAW_TRANSACTIONS
from cltv_assets.tables.cleaned_and_rejected.columns import CLEANED_TRANSACTIONS
from cltv_assets.tables.raw_transactions import SOURCE_FILES

#: Events fetched at once.
_PAGE = 100
#: Statuses of runs that have not ended.
_NOT_FINISHED = [status for status in dg.DagsterRunStatus if status.name not in ("SUCCESS", "FAILURE", "CANCELED")]
#: Tags of a run: its partition, or the first and last of its range.
_PARTITION = "dagster/partition"
_FIRST, _LAST = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


class LandedMonths:
    """What a Dagster instance knows about ``raw_transactions``.

    Parameters
    ----------
    names : Names
        What assets and jobs are called in this graph.
    job : str
        Name of the job that makes a whole month.
    """

    def __init__(self, names: Names, job: str) -> None:
        self._names = names
        self._key = names.key(RAW_TRANSACTIONS.name)
        self._job = job
        # An event never changes, so a process reads each only once.
        self._records: dict[int, Landed] = {}

    def state(self, instance: dg.DagsterInstance, months: Sequence[Month], repository: Any = None) -> State:
        """Return which months are landed, being made, or failed.

        Parameters
        ----------
        instance : DagsterInstance
            Where runs and materialisations are recorded.
        months : sequence of Month
            The closed months.
        repository : RepositoryDefinition, optional
            Shows what running backfills will make.
        """
        # The running ones first: a run that ends meanwhile then still counts as running until the next
        # look, and not as one that ended without landing anything.
        busy = self._running(instance) | dict.fromkeys(self._claimed(instance, repository), math.inf)
        history = read_history(instance, self._names, [RAW_TRANSACTIONS.name, CLEANED_TRANSACTIONS.name])
        failed: dict[Month, float] = {}
        for month, attempt in history.attempts[RAW_TRANSACTIONS.name].items():
            if (record := instance.get_run_record_by_id(attempt.run_id)) is not None:
                (busy if attempt.running else failed).setdefault(month, record.create_timestamp.timestamp())
        landed = self._landed(instance, history.made[RAW_TRANSACTIONS.name])
        exist = set(months)
        return State(
            months,
            {month: there for month, there in landed.items() if month in exist},
            {month: began for month, began in busy.items() if month in exist},
            {month: at for month, at in failed.items() if month in exist},
            exist & _refused(history),
        )

    def _landed(self, instance: dg.DagsterInstance, made: Mapping[Month, int]) -> dict[Month, Landed]:
        numbers = set(made.values())
        self._records = {number: there for number, there in self._records.items() if number in numbers}
        missing = sorted(numbers - self._records.keys())
        for at in range(0, len(missing), _PAGE):
            page = missing[at : at + _PAGE]
            found = instance.fetch_materializations(dg.AssetRecordsFilter(self._key, storage_ids=page), limit=len(page))
            for record in found.records:
                assert record.asset_materialization is not None
                self._records[record.storage_id] = _landed(record.storage_id, record.asset_materialization.metadata)
        return {month: self._records[number] for month, number in made.items() if number in self._records}

    def _running(self, instance: dg.DagsterInstance) -> dict[Month, float]:
        """Return the months of unfinished runs that land lines or have landed them, and when each run began."""
        found: dict[Month, float] = {}
        for record in instance.get_run_records(dg.RunsFilter(statuses=_NOT_FINISHED)):
            run = record.dagster_run
            if self._key in run.asset_selection if run.asset_selection else run.job_name == self._job:
                found |= dict.fromkeys(months_of_tags(run.tags), record.create_timestamp.timestamp())
        return found

    def _claimed(self, instance: dg.DagsterInstance, repository: Any) -> set[Month]:
        """Return the months of running backfills, whose runs do not all exist yet."""
        if repository is None:
            return set()
        # Their runs have not begun, so they will read whatever files are there.
        return {
            Month.parse(key)
            for backfill in requested_backfills(instance)
            for key in keys_of_backfill(backfill, self._key, repository)
        }


def _refused(history: History) -> set[Month]:
    """Return the months whose lines were landed, and then came to nothing in the same run or a later one."""
    raw, split = RAW_TRANSACTIONS.name, history.attempts[CLEANED_TRANSACTIONS.name]
    return {
        month
        for month, attempt in split.items()
        if not attempt.running
        and month not in history.attempts[raw]
        and (at := history.at(raw, month)) is not None
        and (attempt.number > at or history.run_of(raw, at) == attempt.run_id)
    }


def months_of_tags(tags: Mapping[str, str]) -> list[Month]:
    """Return the months that a run makes, by its tags; none for a run without partitions."""
    if _PARTITION in tags:
        return _months(tags[_PARTITION], tags[_PARTITION])
    if _FIRST in tags and _LAST in tags:
        return _months(tags[_FIRST], tags[_LAST])
    return []


def _months(first: str, last: str) -> list[Month]:
    try:
        return list(Month.parse(first).until(Month.parse(last)))
    except ValueError:
        # A partition of another graph, which is not a month.
        return []


def ranges(months: Iterable[Month]) -> list[tuple[Month, Month]]:
    """Return the first and last month of each unbroken stretch."""
    found: list[tuple[Month, Month]] = []
    for month in sorted(set(months)):
        if found and found[-1][1].shift(1) == month:
            found[-1] = (found[-1][0], month)
        else:
            found.append((month, month))
    return found


def _landed(number: int, metadata: Mapping[str, dg.MetadataValue[Any]]) -> Landed:
    recorded, lines = metadata.get(SOURCE_FILES), metadata.get("lines")
    files = None
    if isinstance(recorded, dg.JsonMetadataValue) and isinstance(recorded.value, Mapping):
        files = {name: FileRecord.from_json(record) for name, record in recorded.value.items()}
    count = lines.value if isinstance(lines, dg.IntMetadataValue) else None
    return Landed(number, files, count or 0)
