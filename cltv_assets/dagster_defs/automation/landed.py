"""Reads from a Dagster instance what was landed of the source, what is being made, and what failed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dagster as dg
from dagster._core.errors import DagsterDefinitionChangedDeserializationError
from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES
from dagster._core.storage.tags import (
    ASSET_PARTITION_RANGE_END_TAG,
    ASSET_PARTITION_RANGE_START_TAG,
    PARTITION_NAME_TAG,
)

from cltv_assets.dagster_defs.automation.source_changes import Landed, State
from cltv_assets.dagster_defs.automation.state import read_history
from cltv_assets.dagster_defs.naming import Names
from cltv_assets.months import Month
from cltv_assets.sources.contents import FileRecord
from cltv_assets.sources.delivered import RAW_TRANSACTIONS
from cltv_assets.tables.raw_transactions import SOURCE_FILES

#: Events fetched at once.
_PAGE = 100


class LandedMonths:
    """What a Dagster instance knows of ``raw_transactions``.

    Parameters
    ----------
    names : Names
    job : str
        Name of the job that makes a whole month.
    """

    def __init__(self, names: Names, job: str) -> None:
        self._names = names
        self._key = names.key(RAW_TRANSACTIONS.name)
        self._job = job
        # An event never changes, so each is read once in the life of the process.
        self._records: dict[int, Landed] = {}

    def state(self, instance: dg.DagsterInstance, months: Sequence[Month], repository: Any = None) -> State:
        """Return what is there, and what is going on.

        Parameters
        ----------
        instance : DagsterInstance
        months : sequence of Month
            The closed ones.
        repository : RepositoryDefinition, optional
            Tells what backfills under way are going to make.
        """
        # First what is running: a run that ends meanwhile is then looked at again, and not
        # taken for one that ended without having landed anything.
        busy = self._running(instance) | dict.fromkeys(self._claimed(instance, repository), math.inf)
        history = read_history(instance, self._names, [RAW_TRANSACTIONS.name])
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
        """Return the months of queued and running runs that land lines, or have and go on, and when they began."""
        found: dict[Month, float] = {}
        for record in instance.get_run_records(dg.RunsFilter(statuses=list(NOT_FINISHED_STATUSES))):
            run = record.dagster_run
            if self._key in run.asset_selection if run.asset_selection else run.job_name == self._job:
                found |= dict.fromkeys(months_of_tags(run.tags), record.create_timestamp.timestamp())
        return found

    def _claimed(self, instance: dg.DagsterInstance, repository: Any) -> set[Month]:
        """Return the months of backfills under way: not all of their runs exist yet."""
        if repository is None:
            return set()
        found: set[Month] = set()
        # Their runs are still to begin, so they will see whatever is there.
        filters = BulkActionsFilter(statuses=[BulkActionStatus.REQUESTED])
        for backfill in instance.get_backfills(filters=filters):
            if not backfill.is_asset_backfill or self._key not in (backfill.asset_selection or ()):
                continue
            try:
                target = backfill.get_asset_backfill_data(repository.asset_graph).get_target_partitions_subset(
                    self._key
                )
            except DagsterDefinitionChangedDeserializationError:
                # Of other partitions than those of now.
                continue
            found.update(Month.parse(key) for key in target.get_partition_keys())
        return found


def months_of_tags(tags: Mapping[str, str]) -> list[Month]:
    """Return the months that a run makes, by its tags; none for a run without partitions."""
    if PARTITION_NAME_TAG in tags:
        return _months(tags[PARTITION_NAME_TAG], tags[PARTITION_NAME_TAG])
    if ASSET_PARTITION_RANGE_START_TAG in tags and ASSET_PARTITION_RANGE_END_TAG in tags:
        return _months(tags[ASSET_PARTITION_RANGE_START_TAG], tags[ASSET_PARTITION_RANGE_END_TAG])
    return []


def _months(first: str, last: str) -> list[Month]:
    try:
        return list(Month.parse(first).until(Month.parse(last)))
    except ValueError:
        # A partition of somebody else's.
        return []


def ranges(months: Iterable[Month]) -> list[tuple[Month, Month]]:
    """Return months as first and last of each unbroken stretch."""
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
