"""What the doctor finds without servers: files, versions, automation, a SQLite instance."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteInstigatorOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.scheduler.instigation import InstigatorState, InstigatorStatus, SensorInstigatorData
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._daemon.types import DaemonHeartbeat

from cltv_assets.cli.doctor import Finding, State
from cltv_assets.cli.doctor.examine import findings
from cltv_assets.cli.doctor.instance import _reason, look_at_instance
from cltv_assets.cli.doctor.versions import look_at_versions
from cltv_assets.dagster_defs.automation.automate import AUTOMATION_SENSOR
from cltv_assets.dagster_defs.build import build_definitions
from cltv_assets.dagster_defs.instance import open_instance
from cltv_assets.months import Month
from cltv_assets.settings import Settings, deprecations
from cltv_assets.settings.deprecations import Renamed
from cltv_assets_tests.cli.commands import code_of
from cltv_assets_tests.e2e.running import settings_in, write_config
from cltv_assets_tests.e2e.shop import deliver, lines_of_shop


def by_name(found: Iterator[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in found}


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.delenv("CLTV_WEBHOOK_URL", raising=False)
    return settings_in(tmp_path, environment="production")


def test_the_command_shows_each_finding_and_its_json_says_the_same(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    deliver(tmp_path / "shop", lines_of_shop([Month.parse("2011-01")], customers=5))
    write_config(tmp_path, end_month="2011-01")
    (tmp_path / "cltv.production.yaml").write_text("lake_uri: other\n")
    assert code_of("doctor", "--environment", "production") == 0
    said = capsys.readouterr().out
    assert "ok      configuration: cltv.yaml, cltv.production.yaml; production; 2011-01 to 2011-01" in said
    assert f"{tmp_path / 'other'} is writable" in said
    assert "warning database: Sqlite" in said
    assert "Nothing is wrong. 4 warnings. Next: cltv run" in said
    assert code_of("doctor", "--environment", "production", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] is True
    states = {one["name"]: one["state"] for one in document["findings"]}
    assert states["database"] == "warning"
    assert states["lake"] == states["schema"] == "ok"
    assert all(one["remedy"] for one in document["findings"] if one["state"] != "ok")
    # A failure is in the document and in the exit code, and what comes after is looked at all the same.
    (tmp_path / "other").rmdir()
    (tmp_path / "other").write_text("in the way")
    assert code_of("doctor", "--environment", "production", "--json") == 4
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] is False
    lake = next(one for one in document["findings"] if one["name"] == "lake")
    assert (lake["state"], "is a file, not a folder" in lake["text"], bool(lake["remedy"])) == ("failed", True, True)
    assert "packages" in {one["name"] for one in document["findings"]}


def test_a_wrong_configuration_is_the_only_finding(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_config(tmp_path, curency="GBP")
    assert code_of("doctor", "--json") == 2
    document = json.loads(capsys.readouterr().out)
    assert [(one["name"], one["state"]) for one in document["findings"]] == [("configuration", "failed")]


def test_a_setting_under_its_old_name_is_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deprecations, "RENAMED_SETTINGS", (Renamed("limits", "checks", "0.2.0", "0.3.0"),))
    path = write_config(tmp_path, limits={"volume_change": 0.2})
    found = findings(path)
    assert next(found).state is State.OK
    told = next(found)
    assert (told.name, told.state) == ("deprecated", State.WARNING)
    assert "'limits' is called 'checks'" in told.text


def test_a_fresh_instance_in_production(settings: Settings) -> None:
    found = by_name(look_at_instance(settings))
    assert found["database"].state is State.WARNING
    assert "PostgreSQL" in found["database"].remedy
    assert found["schema"].state is State.OK
    assert "none has run" in found["daemon"].text
    assert found["automation"] == Finding("automation", State.OK, "running: cltv_automation, cltv_source_files")
    assert found["alerts"].state is State.WARNING
    assert "$CLTV_WEBHOOK_URL" in found["alerts"].remedy


def test_nothing_is_expected_to_run_in_development(tmp_path: Path) -> None:
    found = by_name(look_at_instance(settings_in(tmp_path)))
    assert found["automation"].text == "nothing runs by itself in development"
    assert {finding.state for finding in found.values()} == {State.OK}


def test_what_was_stopped_in_the_ui_is_a_warning(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLTV_WEBHOOK_URL", "https://example.invalid/hook")
    definitions = build_definitions(settings)
    repository = definitions.get_repository_def()
    sensor = next(found for found in definitions.sensors or () if found.name == AUTOMATION_SENSOR)
    with open_instance(settings) as instance:
        from dagster._core.definitions.run_request import InstigatorType

        location = ManagedGrpcPythonEnvCodeLocationOrigin(LoadableTargetOrigin(module_name="cltv_assets.definitions"))
        origin = RemoteInstigatorOrigin(RemoteRepositoryOrigin(location, repository.name), sensor.name)
        instance.add_instigator_state(
            InstigatorState(origin, InstigatorType.SENSOR, InstigatorStatus.STOPPED, SensorInstigatorData())
        )
    found = by_name(look_at_instance(settings))
    assert found["automation"].state is State.WARNING
    assert "cltv_automation should run in production and was stopped" in found["automation"].text
    assert "alerts" not in found


def test_a_daemon_that_is_silent_is_a_warning_and_one_that_lives_is_not(settings: Settings) -> None:
    def beat(at: float) -> None:
        with open_instance(settings) as instance:
            for kind in instance.get_required_daemon_types():
                instance.add_daemon_heartbeat(DaemonHeartbeat(at, kind, "1", []))

    beat(time.time())
    assert by_name(look_at_instance(settings))["daemon"] == Finding("daemon", State.OK, "alive")
    beat(time.time() - 3600)
    found = by_name(look_at_instance(settings))["daemon"]
    assert found.state is State.WARNING
    assert "SENSOR" in found.text


def test_an_instance_that_was_not_migrated_fails(settings: Settings, tmp_path: Path) -> None:
    with open_instance(settings):
        pass
    for file in (tmp_path / ".dagster").rglob("runs.db"):
        with sqlite3.connect(file) as database:
            database.execute("UPDATE alembic_version SET version_num = '5b467f7af3f6'")
        database.close()
    found = by_name(look_at_instance(settings))["schema"]
    assert found.state is State.FAILED
    assert "runs 5b467f7af3f6 instead of" in found.text
    assert dg.__version__ in found.text
    assert "dagster instance migrate" in found.remedy


def test_an_instance_that_cannot_be_opened_says_so_without_its_secrets(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / ".dagster").mkdir()
    (tmp_path / ".dagster/dagster.yaml").write_text("storage:\n  sqlite:\n    base_dir: {env: NOT_SET_ANYWHERE}\n")
    (found,) = look_at_instance(settings)
    assert found.state is State.FAILED
    assert found.text.endswith("cannot be opened: not set: NOT_SET_ANYWHERE.")
    assert found.exit_code == 2


def test_a_database_that_does_not_answer_is_named_by_its_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "dagster.yaml").write_text(
        "storage:\n  postgres:\n    postgres_db:\n      hostname: {env: OF_HOST}\n      password: {env: OF_PASSWORD}\n"
    )
    monkeypatch.setenv("OF_HOST", "CANARY-1.example")
    monkeypatch.setenv("OF_PASSWORD", "CANARY-2/@x")
    told = _reason(OSError("no CANARY-1.example: postgresql://u:CANARY-2/@x@CANARY-1.example/d, CANARY-2/@x"), tmp_path)
    assert told == "OSError: no ($OF_HOST): postgresql://…@($OF_HOST)/d, ($OF_PASSWORD)"


def test_an_instance_of_a_wrong_form_is_told_apart_from_one_that_lacks_variables(
    settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / ".dagster").mkdir()
    (tmp_path / ".dagster/dagster.yaml").write_text("run_monitorign:\n  enabled: true\n")
    (found,) = look_at_instance(settings)
    assert "dagster.yaml is wrong" in found.text
    assert "run_monitorign" in found.text


def test_packages_are_compared_with_the_tested_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    def pinned(name: str, version: str, marker: str = "") -> dict[str, str]:
        return {"name": name, "version": version, "marker": marker}

    def packages(*pins: dict[str, str]) -> Finding:
        monkeypatch.setattr("cltv_assets.cli.doctor.versions.pins", lambda: list(pins))
        return by_name(look_at_versions())["packages"]

    right = pinned("dagster", dg.__version__)
    found = packages(
        right,
        pinned("duckdb", "0.0.1", "python_version >= '3.8'"),
        pinned("pyarrow", "0.0.1", "python_version < '3.8'"),
        pinned("not-installed-anywhere", "1.0"),
        # It builds packages only, and comes with Python.
        pinned("pip", "0.0.1"),
    )
    assert found.state is State.WARNING
    assert "duckdb" in found.text
    assert "pyarrow" not in found.text
    assert "pip " not in found.text
    assert "dagster " not in found.text
    assert packages(right) == Finding("packages", State.OK, "1 packages are the tested ones")


def test_the_packages_here_are_those_that_the_package_brings_along() -> None:
    assert by_name(look_at_versions())["packages"].state is State.OK


def test_an_untested_python_and_a_stale_installation_are_warnings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cltv_assets.cli.doctor.versions.sys.version_info", (3, 19, 0))
    monkeypatch.setattr("cltv_assets.cli.doctor.versions.__version__", "9.9.9")
    found = by_name(look_at_versions())
    assert found["python"].state is State.WARNING
    assert "3.11 to 3.13" in found["python"].remedy
    assert found["version"].state is State.WARNING
