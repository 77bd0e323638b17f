"""Alerts: what goes wrong is told once, nothing is lost, and the address stays secret."""

from __future__ import annotations

import datetime as dt
import logging
import traceback
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster._core.definitions.sensor_definition import SensorExecutionData
from dagster._core.remote_origin import (
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin
from dagster._utils.error import serializable_error_info_from_exc_info

from cltv_assets.cli.runner import QUIET
from cltv_assets.dagster_defs.automation.alerts import Cursor, Watchman, alerts_sensor
from cltv_assets.dagster_defs.automation.expectations import expectations
from cltv_assets.dagster_defs.automation.state import parents_of
from cltv_assets.dagster_defs.automation.webhook import WebhookError
from cltv_assets.dagster_defs.build import MONTH_JOB, build_definitions
from cltv_assets.dagster_defs.graph import all_assets
from cltv_assets.errors import ConfigError
from cltv_assets.settings import load_settings
from cltv_assets_tests.dagster_defs.automation.webhook_server import WebhookServer
from cltv_assets_tests.e2e.running import settings_in

RAW = dg.AssetKey("raw_transactions")
#: Its partitions ended long ago, so they are overdue; or far in the future, so none is.
LONG_AGO = {"start_month": "2011-01", "end_month": "2011-03"}
UNHURRIED = {**LONG_AGO, "automation": {"overdue_after": "50000d"}}


class Alerted:
    """An instance with the sensor, and the runs that a test makes."""

    def __init__(self, home: Path, instance: dg.DagsterInstance, **changes: Any) -> None:
        self.settings = settings_in(home, **changes)
        self.instance = instance
        self.definitions = build_definitions(self.settings)
        self.job = self.definitions.resolve_job_def(MONTH_JOB)
        self.expected = expectations(self.settings, parents_of(all_assets(self.settings)))
        self.sensor = alerts_sensor(self.settings, self.job, self.expected)
        self.cursor: str | None = None

    def tick(self) -> SensorExecutionData:
        context = dg.build_sensor_context(instance=self.instance, cursor=self.cursor, sensor_name=self.sensor.name)
        with context:
            found = self.sensor.evaluate_tick(context)
        self.cursor = found.cursor
        return found

    def run(self, month: str) -> str:
        """Run a month's landing and return the run's id."""
        return self.job.execute_in_process(
            run_config=QUIET,
            instance=self.instance,
            partition_key=month,
            asset_selection=[RAW],
            raise_on_error=False,
        ).run_id

    def arrive(self, *months: str) -> None:
        for asset in self.expected:
            for month in months:
                self.instance.report_runless_asset_event(dg.AssetMaterialization(asset, partition=month))


def test_nothing_is_said_while_nothing_is_wrong(
    tmp_path: Path, instance: dg.DagsterInstance, webhook: WebhookServer
) -> None:
    alerted = Alerted(tmp_path, instance, **UNHURRIED)
    assert alerted.tick().skip_message == "Nothing new is wrong."
    assert alerted.tick().skip_message == "Nothing new is wrong."
    assert webhook.requests == []


def test_a_failed_run_is_told_once_with_its_month_its_reason_and_a_link(
    tmp_path: Path, instance: dg.DagsterInstance, webhook: WebhookServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLTV_UI_URL", "https://reader:s3cr3t@dagster.example/")
    alerted = Alerted(tmp_path, instance, **UNHURRIED)
    # What failed before anybody listened is no news.
    alerted.run("2011-01")
    alerted.tick()
    failed = [alerted.run("2011-02"), alerted.run("2011-03")]
    alerted.tick()
    alerted.tick()
    (text,) = webhook.texts
    assert "2011-01" not in text
    for month, run_id in zip(("2011-02", "2011-03"), failed, strict=True):
        (line,) = [line for line in text.splitlines() if f":x: {month} failed." in line]
        # The sentence of the step, with what to do.
        assert "raw_transactions: source.path" in line
        assert "matches no file" in line
        assert "set source.path to what you mean" in line
        assert line.endswith(f" https://dagster.example/runs/{run_id}")
    assert webhook.requests[0][:2] == ("/services/T0/s3cr3t", "application/json")


def test_what_is_meant_literally_is_escaped(
    tmp_path: Path, instance: dg.DagsterInstance, webhook: WebhookServer
) -> None:
    alerted = Alerted(tmp_path, instance, **UNHURRIED, source={"path": "<!channel> & co"})
    alerted.tick()
    alerted.run("2011-01")
    alerted.tick()
    (text,) = webhook.texts
    assert "&lt;!channel&gt; &amp; co" in text


def test_overdue_months_are_told_once_and_once_more_when_they_are_there(
    tmp_path: Path, instance: dg.DagsterInstance, webhook: WebhookServer
) -> None:
    alerted = Alerted(tmp_path, instance, **LONG_AGO)
    alerted.arrive("2011-02")
    alerted.tick()
    alerted.tick()
    assert webhook.texts == [
        "*cltv*\n:hourglass: Overdue: 2011-01, 2011-03 of raw_transactions, acquisition_costs, "
        "cleaned_transactions and 16 more assets"
    ]
    instance.report_runless_asset_event(dg.AssetMaterialization(RAW, partition="2011-01"))
    alerted.tick()
    alerted.tick()
    assert webhook.texts[1:] == ["*cltv*\n:white_check_mark: There now: 2011-01 of raw_transactions"]
    alerted.arrive("2011-01", "2011-03")
    alerted.tick()
    assert alerted.tick().skip_message == "Nothing new is wrong."
    assert len(webhook.texts) == 3
    assert "2011-03 of raw_transactions" in webhook.texts[2]


def test_a_month_is_overdue_when_it_was_due_and_a_while_has_passed(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    """London, January: due on the 2nd of February at midnight, overdue twelve hours later."""
    settings = {"start_month": "2011-01", "end_month": None, "automation": {"overdue_after": "12h"}}
    alerted = Alerted(tmp_path, instance, **settings)
    watchman = Watchman(alerted.settings, alerted.job.name, alerted.expected)
    at = dt.datetime(2011, 2, 2, 11, 59, tzinfo=dt.UTC)
    assert watchman.look(instance, None, at, None).text == ""
    text = watchman.look(instance, None, at + dt.timedelta(minutes=1), None).text
    assert "Overdue: 2011-01 of raw_transactions" in text


@pytest.mark.parametrize("status", [500, 503, 404, 302])
def test_what_the_webhook_does_not_take_is_told_again(
    tmp_path: Path, instance: dg.DagsterInstance, webhook: WebhookServer, status: int
) -> None:
    alerted = Alerted(tmp_path, instance, **LONG_AGO)
    alerted.tick()
    alerted.run("2011-02")
    webhook.status, before = status, alerted.cursor
    for _ in range(2):
        with pytest.raises(WebhookError, match=f"HTTP {status}"):
            alerted.tick()
        assert alerted.cursor == before
    webhook.status = 200
    alerted.tick()
    assert len(webhook.texts) == 2
    assert "2011-02 failed" in webhook.texts[1]


def test_a_webhook_that_is_gone_loses_nothing(
    tmp_path: Path, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    with WebhookServer() as gone:
        monkeypatch.setenv("CLTV_WEBHOOK_URL", gone.address)
    alerted = Alerted(tmp_path, instance, **LONG_AGO)
    with pytest.raises(WebhookError, match="ConnectionRefusedError"):
        alerted.tick()
    with WebhookServer() as back:
        monkeypatch.setenv("CLTV_WEBHOOK_URL", back.address)
        alerted.tick()
        assert "2011-01 to 2011-03" in back.texts[0]


def test_without_an_address_it_waits_and_loses_nothing(
    tmp_path: Path, instance: dg.DagsterInstance, webhook: WebhookServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    alerted = Alerted(tmp_path, instance, **UNHURRIED)
    alerted.tick()
    with monkeypatch.context() as without:
        without.delenv("CLTV_WEBHOOK_URL")
        alerted.run("2011-02")
        assert "CLTV_WEBHOOK_URL is not set" in (alerted.tick().skip_message or "")
    alerted.tick()
    assert "2011-02 failed" in webhook.texts[0]


@pytest.mark.parametrize("fault", ["refused", "answer", "scheme", "host", "blank"])
def test_the_address_is_shown_nowhere(
    tmp_path: Path,
    instance: dg.DagsterInstance,
    webhook: WebhookServer,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    fault: str,
) -> None:
    webhook.status = 500
    addresses = {
        "refused": "http://127.0.0.1:1/services/s3cr3t",
        "answer": webhook.address,
        "scheme": "ftp://example/s3cr3t",
        "host": "http://[s3cr3t/x",
        "blank": "http://127.0.0.1:1/s3cr3t and more",
    }
    monkeypatch.setenv("CLTV_WEBHOOK_URL", addresses[fault])
    alerted = Alerted(tmp_path, instance, **LONG_AGO)
    caplog.set_level(logging.DEBUG)
    with pytest.raises((WebhookError, ConfigError)) as raised:
        alerted.tick()
    shown = serializable_error_info_from_exc_info((raised.type, raised.value, raised.tb)).to_string()
    shown += "".join(traceback.format_exception(raised.value)) + caplog.text + str(alerted.cursor)
    shown += repr(alerted.sensor) + str(alerted.sensor.description)
    assert "CLTV_WEBHOOK_URL" in shown
    assert "s3cr3t" not in shown


def test_a_sentence_that_holds_the_address_is_told_without_it(
    tmp_path: Path, instance: dg.DagsterInstance, webhook: WebhookServer
) -> None:
    alerted = Alerted(tmp_path, instance, **UNHURRIED, source={"path": f"x{webhook.address.removeprefix('http:/')}"})
    alerted.tick()
    message = f"told {webhook.address} about it"
    run = instance.create_run_for_job(alerted.job, tags={"dagster/partition": "2011-01"})
    instance.report_run_failed(run, message)
    alerted.tick()
    assert "told [webhook address] about it" in webhook.texts[0]
    assert "s3cr3t" not in webhook.texts[0]


def test_the_variables_of_the_alerts_are_no_settings() -> None:
    load_settings(environ={"CLTV_WEBHOOK_URL": "https://example/x", "CLTV_UI_URL": "https://example"})


def _origin(location: str) -> RemoteJobOrigin:
    target = LoadableTargetOrigin(module_name="cltv_assets.definitions")
    repository = RemoteRepositoryOrigin(ManagedGrpcPythonEnvCodeLocationOrigin(target, location), "__repository__")
    return RemoteJobOrigin(repository, MONTH_JOB)


def test_what_others_run_in_the_same_instance_is_not_ours(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    alerted = Alerted(tmp_path, instance, **UNHURRIED)
    watchman = Watchman(alerted.settings, alerted.job.name, alerted.expected)
    now = dt.datetime.now(dt.UTC)

    @dg.op
    def breaks() -> None:
        raise ValueError("of somebody else")

    @dg.job
    def their_job() -> None:
        breaks()

    cursor = watchman.look(instance, None, now, "mine").cursor
    assert not their_job.execute_in_process(instance=instance, raise_on_error=False).success
    found = watchman.look(instance, cursor, now, "mine")
    assert found.text == ""
    # Looked at and done with, not looked at for ever.
    assert found.cursor.failures > cursor.failures

    # Another location has a job of the same name.
    for location in ("theirs", "mine"):
        run = instance.create_run_for_job(
            alerted.job, tags={"dagster/partition": "2011-01"}, remote_job_origin=_origin(location)
        )
        instance.report_run_failed(run, f"in {location}")
    text = watchman.look(instance, cursor, now, "mine").text
    assert "in mine" in text
    assert "in theirs" not in text


def test_what_dagster_runs_again_by_itself_is_not_told(
    tmp_path: Path, instance: dg.DagsterInstance, webhook: WebhookServer
) -> None:
    alerted = Alerted(tmp_path, instance, **UNHURRIED)
    alerted.tick()
    tags = {"dagster/partition": "2011-01", "dagster/will_retry": "true"}
    instance.report_run_failed(instance.create_run_for_job(alerted.job, tags=tags), "for now")
    alerted.tick()
    assert webhook.texts == []


def test_many_failures_come_in_messages_of_bounded_size_and_leave_a_small_cursor(
    tmp_path: Path, instance: dg.DagsterInstance, webhook: WebhookServer
) -> None:
    alerted = Alerted(tmp_path, instance, **UNHURRIED)
    alerted.tick()
    runs = []
    for _ in range(45):
        run = instance.create_run_for_job(alerted.job, tags={"dagster/partition": "2011-01"})
        instance.report_run_failed(run, "too long " * 1000)
        runs.append(run.run_id)
    for _ in range(4):
        alerted.tick()
    assert [text.count(":x:") for text in webhook.texts] == [20, 20, 5]
    assert all(sum(run in text for text in webhook.texts) == 1 for run in runs)
    assert max(map(len, webhook.texts)) < 20_000
    # Every second month of ten years overdue, of every asset.
    months = [(f"{2001 + n // 6}-{n % 6 * 2 + 1:02d}",) * 2 for n in range(60)]
    assert len(Cursor(10**9, dict.fromkeys(alerted.expected, months)).text()) < 20_000
