"""The schedule ``cltv_monthly``, for those who prefer cron: the month that has just closed, when it is due."""

from __future__ import annotations

import datetime as dt
from typing import Any

import dagster as dg

from cltv_assets.dagster_defs.automation.expectations import DEFAULT_DUE, LONGEST_BY_CRON, monthly_cron
from cltv_assets.dagster_defs.naming import Names
from cltv_assets.errors import ConfigError
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.sources.delivered import RAW_TRANSACTIONS

#: Plain name; ``Names`` adds the prefix.
MONTHLY_SCHEDULE = "cltv_monthly"


def monthly_schedule(settings: Settings, job: Any) -> dg.ScheduleDefinition:
    """Return the schedule that requests each month when its deliveries are due.

    Parameters
    ----------
    settings : Settings
        They give the due time, the time zone and the months.
    job : job definition
        Makes a month of the whole graph.

    Raises
    ------
    ConfigError
        If ``automation.trigger`` is ``cron`` and the month is due later than a cron expression can
        say.
    """
    due = settings.automation.due.get(RAW_TRANSACTIONS.name, DEFAULT_DUE)
    by_cron = settings.automation.trigger == "cron"
    cron = monthly_cron(due)
    if cron is None:
        if by_cron:
            raise ConfigError(
                f"automation.due: {RAW_TRANSACTIONS.name} is due {due.total_seconds() / 86400:g} days after the "
                f"month closes; a monthly schedule can say {LONGEST_BY_CRON.days} at most, because not every month "
                "has a later day.",
                "Shorten it, or set automation.trigger to due.",
            )
        # The schedule stays stopped, because the automation makes the months.
        cron = monthly_cron(LONGEST_BY_CRON)
    assert cron is not None
    running = settings.environment == "production" and by_cron

    @dg.schedule(
        name=Names(settings.asset_prefix).name(MONTHLY_SCHEDULE),
        cron_schedule=cron,
        job=job,
        execution_timezone=settings.time_zone,
        default_status=dg.DefaultScheduleStatus.RUNNING if running else dg.DefaultScheduleStatus.STOPPED,
        description="Makes the month that has just closed, at the time its deliveries are due.",
    )
    def monthly(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        # The tick's own time, not the current time, so that a late daemon requests the same month.
        return _request(settings, context.scheduled_execution_time)

    return monthly


def _request(settings: Settings, at: dt.datetime) -> dg.RunRequest | dg.SkipReason:
    month = Month.of(at.astimezone(settings.zone).date()).shift(-1)
    last = settings.fixed_last_month
    if last is not None and month > last:
        return dg.SkipReason(f"{month} lies after the last month, {last} (end_month).")
    if month < settings.first_month:
        return dg.SkipReason(f"{month} lies before the first month, {settings.first_month} (start_month).")
    return dg.RunRequest(run_key=month.key, partition_key=month.key)
