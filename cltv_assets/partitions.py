"""The one partitioning, and windows over it.

Every asset is partitioned by calendar month in the configured time zone. A key is
``YYYY-MM``; the table column ``month`` holds the month's first day.
"""

from __future__ import annotations

import warnings

import dagster as dg
from dagster_shared.utils.warnings import BetaWarning

from cltv_assets.months import Month
from cltv_assets.settings import Settings

#: Months that may close before the code location is loaded again.
_YET_TO_CLOSE = 24


def monthly_partitions(settings: Settings) -> dg.MonthlyPartitionsDefinition:
    """Return the partitions: from the first month to the last closed or fixed one."""
    last = settings.fixed_last_month
    return dg.MonthlyPartitionsDefinition(
        start_date=settings.first_month.key,
        end_date=last.shift(1).key if last is not None else None,
        fmt="%Y-%m",
        timezone=settings.time_zone,
    )


def months_back(first: int, last: int = 0) -> dg.TimeWindowPartitionMapping:
    """Map a month to the upstream months from ``first`` to ``last`` months back.

    Months before the first partition do not exist and are left out.
    """
    with warnings.catch_warnings():
        # The parameter is marked beta; a window at the start of history needs it.
        warnings.simplefilter("ignore", BetaWarning)
        return dg.TimeWindowPartitionMapping(
            start_offset=-first, end_offset=-last, allow_nonexistent_upstream_partitions=True
        )


def all_history(settings: Settings) -> dg.TimeWindowPartitionMapping:
    """Map a month to every upstream month up to and with itself.

    The offset reaches just far enough, because Dagster walks it month by month.
    """
    first, last = settings.first_month.first_day, settings.last_month().first_day
    return months_back((last.year - first.year) * 12 + last.month - first.month + _YET_TO_CLOSE)


def upstream_months(mapping: dg.PartitionMapping | None, month: Month, first: Month) -> list[Month]:
    """Return the upstream months that a month is made from.

    Parameters
    ----------
    mapping : PartitionMapping or None
        One of `months_back`; ``None`` for the same month.
    month : Month
    first : Month
        The first partition; there are none before it.
    """
    if not isinstance(mapping, dg.TimeWindowPartitionMapping):
        return [month]
    begin, end = max(month.shift(mapping.start_offset), first), month.shift(mapping.end_offset)
    return list(begin.until(end)) if begin <= end else []


def month_of(partition_key: str) -> Month:
    """Return the month of a partition key."""
    return Month.parse(partition_key)
