"""The monthly schedule asks for the month that has just closed, when its deliveries are due."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import dagster as dg
import pytest

from cltv_assets.dagster_defs.automation.schedules import monthly_schedule
from cltv_assets.dagster_defs.build import MONTH_JOB, build_definitions
from cltv_assets.errors import ConfigError
from cltv_assets_tests.e2e.running import settings_in

CRON = {"trigger": "cron"}


def schedule_of(home: Path, **changes: Any) -> tuple[dg.ScheduleDefinition, dg.Definitions]:
    settings = settings_in(home, **{"end_month": None, "start_month": "2024-01", **changes})
    definitions = build_definitions(settings)
    name = f"{settings.asset_prefix}__{MONTH_JOB}" if settings.asset_prefix else MONTH_JOB
    return monthly_schedule(settings, definitions.resolve_job_def(name)), definitions


def asked(home: Path, at: dt.datetime, **changes: Any) -> tuple[list[tuple[str | None, str | None]], str | None]:
    """Return run keys and partitions that a tick requests, and why it skips."""
    schedule, definitions = schedule_of(home, **changes)
    repository = definitions.get_repository_def()
    with dg.DagsterInstance.ephemeral() as instance:
        context = dg.build_schedule_context(instance, scheduled_execution_time=at, repository_def=repository)
        found = schedule.evaluate_tick(context)
    return [(request.run_key, request.partition_key) for request in found.run_requests or ()], found.skip_message


@pytest.mark.parametrize(
    ("due", "cron"),
    [
        ({}, "0 0 2 * *"),
        ({"raw_transactions": "36h"}, "0 12 2 * *"),
        ({"raw_transactions": "0h"}, "0 0 1 * *"),
        ({"raw_transactions": "90s"}, "2 0 1 * *"),
        ({"raw_transactions": "27d"}, "0 0 28 * *"),
    ],
)
def test_it_ticks_when_the_deliveries_are_due(tmp_path: Path, due: dict[str, str], cron: str) -> None:
    schedule, _ = schedule_of(tmp_path, automation={**CRON, "due": due})
    assert schedule.cron_schedule == cron
    assert schedule.execution_timezone == "Europe/London"


def test_the_time_of_the_tick_decides_the_month(tmp_path: Path) -> None:
    at = dt.datetime(2024, 3, 2, tzinfo=ZoneInfo("Europe/London"))
    assert asked(tmp_path, at) == ([("2024-02", "2024-02")], None)


def test_the_month_is_that_of_the_zone_and_not_of_utc(tmp_path: Path) -> None:
    """Midnight of 1 July in Auckland is still June in UTC."""
    due = {"automation": {**CRON, "due": {"raw_transactions": "0h"}}, "time_zone": "Pacific/Auckland"}
    at = dt.datetime(2024, 6, 30, 12, tzinfo=dt.UTC)
    assert asked(tmp_path, at, **due) == ([("2024-06", "2024-06")], None)


def test_after_the_last_month_it_says_why_it_skips(tmp_path: Path) -> None:
    at = dt.datetime(2024, 4, 2, tzinfo=dt.UTC)
    assert asked(tmp_path, at, end_month="2024-02") == (
        [],
        "2024-03 lies after the last month, 2024-02 (end_month).",
    )
    assert asked(tmp_path, dt.datetime(2024, 3, 2, tzinfo=dt.UTC), end_month="2024-02")[0] == [("2024-02", "2024-02")]


def test_before_the_first_month_it_skips(tmp_path: Path) -> None:
    requests, reason = asked(tmp_path, dt.datetime(2024, 1, 2, tzinfo=dt.UTC))
    assert requests == []
    assert "2024-01 (start_month)" in str(reason)


def test_a_time_that_no_cron_can_say_is_refused_where_cron_is_wanted(tmp_path: Path) -> None:
    late = {"due": {"raw_transactions": "28d"}}
    with pytest.raises(ConfigError, match=r"raw_transactions is due 28 days after.*automation\.trigger"):
        schedule_of(tmp_path, automation={**CRON, **late})
    # Where the automation makes the months, such a time is all right.
    schedule_of(tmp_path, automation=late)


def test_names_and_jobs_have_the_prefix(tmp_path: Path) -> None:
    schedule, _ = schedule_of(tmp_path, asset_prefix="acme")
    assert (schedule.name, schedule.job_name) == ("acme__cltv_monthly", "acme__cltv_month")
