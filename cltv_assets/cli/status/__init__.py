"""``cltv status``: which months exist, are stale, were refused or have changed at the source."""

from cltv_assets.cli.status.months import MonthStatus, month_statuses
from cltv_assets.cli.status.showing import show_status

__all__ = ["MonthStatus", "month_statuses", "show_status"]
