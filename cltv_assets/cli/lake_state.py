"""Where the lake and Dagster's records do not agree.

A publication is a commit in the lake, and then a materialisation in Dagster's database. A process that is killed
between the two leaves a month that readers see and Dagster knows nothing of; what is made from it is not made again.
A log entry that is lost leaves a record without its commit. Both have the publication's number.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import dagster as dg

from cltv_assets.dagster_defs.automation.state import latest
from cltv_assets.dagster_defs.io_managers import PUBLICATION
from cltv_assets.dagster_defs.naming import Names
from cltv_assets.lake import Lake
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.tables import all_schemas


@dataclass(frozen=True)
class OutOfStep:
    """A month whose newest publication is not the one that Dagster recorded last.

    ``published`` and ``recorded`` are their numbers.
    """

    table: str
    month: Month
    published: int
    recorded: int

    @property
    def sentence(self) -> str:
        """What happened."""
        if self.published > self.recorded:
            return (
                f"{self.table} of {self.month} was published, and Dagster has no record of it: a run was killed "
                "between the two."
            )
        return (
            f"Dagster recorded publication {self.recorded} of {self.table} of {self.month}, and the table has "
            f"{self.published or 'none'}: the last entries of its log are lost."
        )


def out_of_step(settings: Settings, lake: Lake, instance: dg.DagsterInstance) -> list[OutOfStep]:
    """Return the months of which lake and records differ, in the order of the graph.

    Months that an earlier release published or recorded have no number and are left out.
    """
    names = Names(settings.asset_prefix)
    found = []
    for schema in all_schemas(settings.horizons_months):
        recorded = _recorded(instance, names.key(schema.name))
        published = lake.table(schema).recorded(recorded) if recorded else {}
        found += [
            OutOfStep(schema.name, month, published.get(month, 0), number)
            for month, number in sorted(recorded.items())
            if published.get(month, 0) != number
        ]
    return found


def _recorded(instance: dg.DagsterInstance, key: dg.AssetKey) -> Mapping[Month, int]:
    """Return the number of the publication that each month's newest materialisation recorded, where it has one."""
    newest: Sequence[int] = list(latest(instance, key).values())
    if not newest:
        return {}
    events = instance.fetch_materializations(dg.AssetRecordsFilter(key, storage_ids=newest), limit=len(newest))
    found = {}
    for record in events.records:
        made = record.asset_materialization
        number = made.metadata.get(PUBLICATION) if made is not None else None
        if number is not None and record.partition_key:
            found[Month.parse(record.partition_key)] = int(str(number.value))
    return found
