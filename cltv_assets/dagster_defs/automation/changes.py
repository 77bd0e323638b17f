"""When a month was made with other rows than before: content counts, not time."""

from __future__ import annotations

from collections.abc import Mapping, Set
from typing import Any

import dagster as dg

from cltv_assets.dagster_defs.automation.landed import landed_of
from cltv_assets.dagster_defs.naming import Names
from cltv_assets.months import Month
from cltv_assets.sources.delivered import RAW_TRANSACTIONS
from cltv_assets.tables.same_rows import AS_BEFORE, CONTENT

#: The most materialisations of one month that are looked at; older ones count as changes.
_LOOKED_AT = 100


class Changes:
    """The materialisations that brought other rows, each month's looked up once.

    Parameters
    ----------
    instance : DagsterInstance
        Where materialisations are recorded.
    names : Names
        What assets are called in this graph.
    tables : set of str
        Plain names of the graph's tables. Of other assets every materialisation counts as a change.
    """

    def __init__(self, instance: dg.DagsterInstance, names: Names, tables: Set[str]) -> None:
        self._instance = instance
        self._names = names
        self._tables = tables
        self._found: dict[tuple[str, Month], list[int]] = {}

    def since(self, table: str, month: Month, at: int) -> bool:
        """Return whether a month was made with other rows after a place in the order of all events."""
        if table not in self._tables:
            return True
        if (table, month) not in self._found:
            self._found[table, month] = self._of(table, month)
        return any(number > at for number in self._found[table, month])

    def _of(self, table: str, month: Month) -> list[int]:
        """Return the places of the materialisations with other rows than the one before."""
        wanted = dg.AssetRecordsFilter(self._names.key(table), asset_partitions=[month.key])
        records = self._instance.fetch_materializations(wanted, limit=_LOOKED_AT).records
        found, before = [], None
        for record in reversed(records):
            assert record.asset_materialization is not None
            metadata = record.asset_materialization.metadata
            if table == RAW_TRANSACTIONS.name:
                files = landed_of(record.storage_id, metadata).files
                lines = None if files is None else {name: one.content for name, one in files.items()}
                same, before = lines is not None and lines == before, lines
            else:
                same = _says(metadata, CONTENT) == AS_BEFORE
            if not same:
                found.append(record.storage_id)
        return found


def _says(metadata: Mapping[str, dg.MetadataValue[Any]], name: str) -> object:
    value = metadata.get(name)
    return None if value is None else value.value
