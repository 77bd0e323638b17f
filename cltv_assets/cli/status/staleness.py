"""What is older than something it was made from, and what a new run would make older.

Content counts, not time: an input that was made again with the rows it had makes nothing stale.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import dagster as dg

from cltv_assets.dagster_defs.automation.changes import Changes
from cltv_assets.dagster_defs.automation.state import latest, needs_of
from cltv_assets.dagster_defs.naming import Names
from cltv_assets.months import Month
from cltv_assets.tables.table import Input


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
        self._changes = Changes(instance, names, set(self.made))

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
        return self.made[table].get(month.key, 0) > at and self._changes.since(table, month, at)
