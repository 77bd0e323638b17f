"""The monthly partitions, and the metadata that say which months an asset reads.

Every asset is partitioned by calendar month in the configured time zone. A key is
``YYYY-MM``; the table column ``month`` holds the month's first day.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg

from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.tables.table import Input

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


def metadata_of_input(given: Input) -> dict[str, Any]:
    """Return the months of an input as metadata that `input_of` can read."""
    return {_WINDOW: [given.farthest, given.nearest, given.holes]}


def input_of(table: str, metadata: Mapping[str, Any] | None) -> Input:
    """Return the input of ``table`` from an asset's metadata; the same month if they have none."""
    found = (metadata or {}).get(_WINDOW, [0, 0, False])
    farthest, nearest, holes = found.value if isinstance(found, dg.MetadataValue) else found
    return Input(table, farthest, nearest, holes)


def month_of(partition_key: str) -> Month:
    """Return the month of a partition key."""
    return Month.parse(partition_key)
