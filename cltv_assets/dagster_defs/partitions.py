"""The one partitioning, and windows over it.

Every asset is partitioned by calendar month in the configured time zone. A key is
``YYYY-MM``; the table column ``month`` holds the month's first day.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg

from cltv_assets.months import Month
from cltv_assets.settings import Settings

_WINDOW = "window"


def monthly_partitions(settings: Settings) -> dg.MonthlyPartitionsDefinition:
    """Return the partitions: from the first month to the last closed or fixed one."""
    last = settings.fixed_last_month
    return dg.MonthlyPartitionsDefinition(
        start_date=settings.first_month.key,
        end_date=last.shift(1).key if last is not None else None,
        fmt="%Y-%m",
        timezone=settings.time_zone,
    )


@dataclass(frozen=True)
class Window:
    """The months of an upstream table that a month is made from.

    Dagster is told nothing of it: to its graph every month is made from the same month.
    With window mappings a backfill of some months would take along every later one.

    Parameters
    ----------
    farthest, nearest : int
        Counted back from the month: 11 and 0 for a trailing year.
    holes : bool
        Whether months that were never published are done without.
    """

    farthest: int = 0
    nearest: int = 0
    holes: bool = False

    def months(self, month: Month, first: Month) -> list[Month]:
        """Return the upstream months of ``month``, oldest first; before ``first`` there are none."""
        begin, end = max(month.shift(-self.farthest), first), month.shift(-self.nearest)
        return list(begin.until(end)) if begin <= end else []

    def metadata(self) -> dict[str, Any]:
        """Return the window as metadata of an asset's input."""
        return {_WINDOW: [self.farthest, self.nearest, self.holes]}

    @classmethod
    def of_input(cls, metadata: Mapping[str, Any] | None) -> Window:
        """Return the window that an input's metadata hold."""
        found = (metadata or {}).get(_WINDOW, [0, 0, False])
        farthest, nearest, holes = found.value if isinstance(found, dg.MetadataValue) else found
        return cls(farthest, nearest, holes)


SAME_MONTH = Window()
#: Farther back than any source reaches.
ALL_HISTORY = Window(1200)


def month_of(partition_key: str) -> Month:
    """Return the month of a partition key."""
    return Month.parse(partition_key)
