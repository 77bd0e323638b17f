"""What runs from the start: in development only what ends killed runs; in production what the trigger says, too."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from cltv_assets.dagster_defs.build import build_definitions
from cltv_assets.dagster_defs.naming import Names
from cltv_assets_tests.e2e.running import settings_in

NAMES = {"cltv_automation", "cltv_source_files", "cltv_alerts", "cltv_monthly", "cltv_killed_runs"}


@pytest.mark.parametrize("prefix", ["", "acme"])
@pytest.mark.parametrize(
    ("environment", "trigger", "webhook", "running"),
    [
        ("development", "due", True, set()),
        ("development", "cron", True, set()),
        ("production", "due", False, {"cltv_automation", "cltv_source_files"}),
        ("production", "due", True, {"cltv_automation", "cltv_source_files", "cltv_alerts"}),
        ("production", "cron", False, {"cltv_monthly", "cltv_source_files"}),
        ("production", "cron", True, {"cltv_monthly", "cltv_source_files", "cltv_alerts"}),
    ],
)
def test_what_runs_from_the_start(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    environment: str,
    trigger: str,
    webhook: bool,
    running: set[str],
    prefix: str,
) -> None:
    monkeypatch.delenv("CLTV_WEBHOOK_URL", raising=False)
    if webhook:
        monkeypatch.setenv("OUR_WEBHOOK", "http://127.0.0.1:1/")
    automation = {"trigger": trigger, "webhook_variable": "OUR_WEBHOOK"}
    settings = settings_in(tmp_path, environment=environment, automation=automation, asset_prefix=prefix)
    repository = build_definitions(settings).get_repository_def()
    found = {
        **{sensor.name: sensor.default_status == dg.DefaultSensorStatus.RUNNING for sensor in repository.sensor_defs},
        **{
            schedule.name: schedule.default_status == dg.DefaultScheduleStatus.RUNNING
            for schedule in repository.schedule_defs
        },
    }
    name = Names(prefix).name
    assert set(found) == {name(plain) for plain in NAMES}
    assert {plain for plain in NAMES if found[name(plain)]} == running | {"cltv_killed_runs"}
