"""What is older than something it was made from, and what a new run would make older.

Content counts, not time: an input that was made again with the rows it had makes nothing stale.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dagster as dg

from cltv_assets.dagster_defs.automation.landed import landed_of
from cltv_assets.dagster_defs.automation.state import latest, needs_of
from cltv_assets.dagster_defs.naming import Names
from cltv_assets.months import Month
from cltv_assets.sources.delivered import RAW_TRANSACTIONS
from cltv_assets.tables.same_rows import AS_BEFORE, CONTENT
from cltv_assets.tables.table import Input

#: The most materialisations of one month that are looked at; older ones count as changes.
_LOOKED_AT = 100


class Graph:
    """The tables of a graph, what each is made from, and when each month of them was made.

    Parameters
    ----------
    instance : DagsterInstance
        Where materialisations are recorded.
    assets : sequence of AssetsDefinition
        In the order of the graph.
    names : Names
        What assets are called in this graph.
    first : Month
        The first month.
    """

    def __init__(
        self, instance: dg.DagsterInstance, assets: Sequence[dg.AssetsDefinition], names: Names, first: Month
    ) -> None:
        self._instance = instance
        self._names = names
        self._first = first
        needs = [(definition, needs_of(definition)) for definition in assets]
        #: Each table's inputs, in the order of the graph.
        self.needs: Mapping[str, Sequence[Input]] = {
            Names.table(key): given for definition, given in needs for key in definition.keys
        }
        #: The tables of each step, by the name that Dagster gives it.
        self.steps = {definition.op.name: [Names.table(key) for key in definition.keys] for definition in assets}
        #: The checks that decide on a month, ``asset.check``; not `on_time`, which is about all months.
        self.checks = {
            f"{Names.table(check.key.asset_key)}.{check.name}"
            for definition in assets
            for check in definition.check_specs
        }
        #: Each month's last materialisation, as its place in the order of all events.
        self.made = {table: latest(instance, names.key(table)) for table in self.needs}
        self._changes: dict[tuple[str, Month], list[int]] = {}

    def stale(self, months: Iterable[Month], again: set[tuple[str, Month]]) -> set[tuple[str, Month]]:
        """Return what is older than what it was made from; ``again`` is what must be made again in any case."""
        found = set(again)
        for table, month in self._in_order(months):
            at = self.made[table].get(month.key)
            if at is not None and any(
                (above, up) in found or self._changed_since(above, up, at) for above, up in self._inputs(table, month)
            ):
                found.add((table, month))
        return found

    def made_again_by(self, wrong: set[tuple[str, Month]], months: Iterable[Month]) -> list[Month]:
        """Return the months of which something must be made if ``wrong`` is: those that it makes stale too."""
        found = set(wrong)
        for table, month in self._in_order(months):
            if any(up in found for up in self._inputs(table, month)):
                found.add((table, month))
        return sorted({month for _, month in found})

    def _in_order(self, months: Iterable[Month]) -> Iterable[tuple[str, Month]]:
        given = sorted(months)
        # A table's inputs come before it, and of a table only earlier months are read for a month.
        return [(table, month) for table in self.needs for month in given]

    def _inputs(self, table: str, month: Month) -> Iterable[tuple[str, Month]]:
        return ((need.table, up) for need in self.needs[table] for up in need.months(month, self._first))

    def _changed_since(self, table: str, month: Month, at: int) -> bool:
        """Return whether a month was made later than an event, with other rows."""
        if self.made[table].get(month.key, 0) <= at:
            return False
        if (table, month) not in self._changes:
            self._changes[table, month] = self._find_changes(table, month)
        return any(number > at for number in self._changes[table, month])

    def _find_changes(self, table: str, month: Month) -> list[int]:
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
