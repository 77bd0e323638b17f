"""When each asset is due, declared once.

``due`` says how long after its month closes an asset is due. From this follow its
automation condition (made when due), its freshness policy and its check ``on_time`` (overdue a
while after it was due), and the time of the monthly schedule.
"""

from __future__ import annotations

import datetime as dt
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import dagster as dg

from cltv_assets.errors import ConfigError
from cltv_assets.months import Month
from cltv_assets.settings import Settings

#: Deliveries have a day to arrive. By default other assets are due together with their inputs.
DEFAULT_DUE = dt.timedelta(days=1)
#: The longest delay for a monthly cron expression: every month has a day 28.
LONGEST_BY_CRON = dt.timedelta(days=27)


@dataclass(frozen=True)
class Expectation:
    """When an asset is due and when it is overdue.

    Parameters
    ----------
    due : datetime.timedelta
        How long after the month closes the asset is due.
    overdue_after : datetime.timedelta
        How long after it was due the asset is overdue.
    """

    due: dt.timedelta
    overdue_after: dt.timedelta

    @property
    def deadline(self) -> dt.timedelta:
        """How long after the month closes a missing month is overdue."""
        return self.due + self.overdue_after


def expectations(settings: Settings, parents: Mapping[str, Sequence[str]]) -> dict[str, Expectation]:
    """Return every asset's expectation.

    Parameters
    ----------
    settings : Settings
        The section ``automation`` says when assets are due.
    parents : mapping
        The assets that each asset is made from; each asset comes after its parents.

    Raises
    ------
    ConfigError
        If ``automation.due`` names no asset.
    """
    declared = settings.automation.due
    for name in declared:
        if name not in parents:
            near = difflib.get_close_matches(name, parents, 1)
            raise ConfigError(
                f"automation.due names {name}, which is no asset.",
                f"Did you mean {near[0]}?" if near else f"Choose among {', '.join(parents)}.",
            )
    due: dict[str, dt.timedelta] = {}
    for name, above in parents.items():
        own = declared.get(name, DEFAULT_DUE if not above else dt.timedelta(0))
        due[name] = max([own, *(due[parent] for parent in above)])
    return {name: Expectation(after, settings.automation.overdue_after) for name, after in due.items()}


def closes(settings: Settings, month: Month) -> dt.datetime:
    """Return the instant a month closes: midnight of the next month's first day, in the configured zone."""
    return dt.datetime.combine(month.shift(1).first_day, dt.time(), settings.zone)


def monthly_cron(after: dt.timedelta) -> str | None:
    """Return the cron expression for a delay after the month's first midnight, to the minute.

    Returns
    -------
    str or None
        ``None`` beyond 27 days, because not every month has such a day.
    """
    if after > LONGEST_BY_CRON:
        return None
    # Never earlier than the deadline itself.
    minutes = -(-after // dt.timedelta(minutes=1))
    days, rest = divmod(minutes, 24 * 60)
    return f"{rest % 60} {rest // 60} {days + 1} * *"


def freshness_policy(settings: Settings, expectation: Expectation) -> dg.FreshnessPolicy | None:
    """Return the policy that Dagster shows beside an asset.

    Dagster looks only at an asset's latest materialisation, whatever its month. So the policy
    shows only that months are being made; the check ``on_time`` looks at each month. There is
    no policy if the last month is fixed, because no later one is ever due.
    """
    if settings.fixed_last_month is not None:
        return None
    # A policy's window is at least a minute.
    deadline = max(expectation.deadline, dt.timedelta(minutes=1))
    cron = monthly_cron(deadline)
    if cron is not None:
        return dg.FreshnessPolicy.cron(deadline_cron=cron, lower_bound_delta=deadline, timezone=settings.time_zone)
    return dg.FreshnessPolicy.time_window(fail_window=dt.timedelta(days=31) + expectation.overdue_after)
