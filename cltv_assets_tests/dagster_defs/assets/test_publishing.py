"""Write, audit, publish: a month that fails anywhere leaves readers on the month they had."""

from __future__ import annotations

import datetime as dt
import json
import shutil
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from cltv_assets.cli.runner import MonthRunner
from cltv_assets.dagster_defs import report_asset
from cltv_assets.dagster_defs.build import build_definitions
from cltv_assets.dagster_defs.graph import assets_of_half
from cltv_assets.dagster_defs.io_managers import LakeWindow
from cltv_assets.dagster_defs.resources import Platform
from cltv_assets.engines.duckdb_engine import DuckDBEngine
from cltv_assets.files.storage import Storage
from cltv_assets.lake import Lake, LakeTable
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.tables import lake_schemas
from cltv_assets_tests.e2e.reading import contents, differences, rows_of, unfinished_files
from cltv_assets_tests.e2e.running import run, settings_in
from cltv_assets_tests.e2e.shop import deliver, lines_of_shop, months_of

JAN, FEB = months_of("2011-01", 2)
HALF = assets_of_half("preprocess")
#: A second delivery most of which is broken.
BROKEN = [(f"B{i}", "", "2011-01-05 10:00:00", "1", "5.00") for i in range(2000)]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A shop with January published."""
    home = tmp_path_factory.mktemp("made")
    deliver(home / "shop", lines_of_shop([JAN], customers=60))
    (result,) = run(settings_in(home, end_month="2011-02"), [JAN])
    assert result.errors == []
    return home


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    """A copy of that shop to spoil."""
    for folder in ("shop", "lake"):
        shutil.copytree(made / folder, tmp_path / folder)
    return tmp_path


def settings_of(home: Path, **changes: Any) -> Settings:
    return settings_in(home, end_month="2011-02", **changes)


def test_a_failed_check_keeps_the_published_month_and_stops_what_follows(home: Path) -> None:
    settings = settings_of(home)
    before = contents(settings.lake_root)
    deliver(home / "shop", {JAN: BROKEN}, "second.csv")
    with dg.DagsterInstance.ephemeral() as instance:
        result = MonthRunner(settings, instance).run(JAN)
        assert not result.succeeded
        evaluated = _evaluations(instance)
        materialized = _materialized(instance)
        unfinished = _planned(settings, instance)
    (error,) = result.errors
    kept = f"2011-01 as of {_published(settings, 'cleaned_transactions', JAN):%-d %B %Y, %H:%M} stays."
    assert f"2011-01 is not published; readers keep what they had: {kept}" in error
    # In the UI red is what failed, and not what was never reached.
    assert unfinished == []
    assert "rejected_transactions.reject_share" in error
    assert "checks.reject_share" in error

    # What was delivered is there; nothing that failed, and nothing after it.
    assert materialized == {"raw_transactions", "acquisition_costs"}
    after = contents(settings.lake_root)
    assert differences(before, after) == ["raw_transactions 2011-01"]
    assert unfinished_files(settings.lake_root) == []

    found = evaluated["rejected_transactions.reject_share"]
    assert not found.passed
    assert found.severity == dg.AssetCheckSeverity.ERROR
    assert found.blocking
    assert "2,0" in str(found.description)
    assert "missing_customer" in found.metadata["examples"].value
    # The other checks of the step say how they went all the same.
    assert evaluated["cleaned_transactions.lines_reconcile"].passed
    assert evaluated["rejected_transactions.usual_reject_mix"].severity == dg.AssetCheckSeverity.WARN

    (home / "shop/second.csv").unlink()
    (again,) = run(settings, [JAN], HALF)
    assert again.succeeded
    assert differences(before, contents(settings.lake_root)) == []


def test_a_month_that_never_passed_does_not_exist(home: Path) -> None:
    settings = settings_of(home)
    deliver(home / "shop", {FEB: [(a, b, c.replace("-01-", "-02-"), d, e) for a, b, c, d, e in BROKEN]})
    (failed,) = run(settings, [FEB])
    assert not failed.succeeded
    tables = contents(settings.lake_root)
    assert [name for name, month in tables if month == "2011-02"] == ["raw_transactions"]
    # What needs it says so instead of working with a hole in history.
    (model,) = run(settings, [FEB], ["rfm_summary"])
    assert "purchase_days" in model.errors[0]
    assert "2011-02" in model.errors[0]
    assert "cltv run --from 2011-02 --to 2011-02" in model.errors[0]


@pytest.mark.parametrize("table", ["raw_transactions", "rejected_transactions", "cltv_predictions"])
def test_an_exception_in_the_middle_of_a_write(home: Path, monkeypatch: pytest.MonkeyPatch, table: str) -> None:
    settings = settings_of(home)
    before = contents(settings.lake_root)
    deliver(home / "shop", {JAN: [("X1", "C777", "2011-01-09 09:00:00", "1", "9.99")]}, "second.csv")
    by_engine, as_delivered = DuckDBEngine.write, Storage.move_in

    def halve(path: str) -> None:
        if f"/{table}/" in path:
            file = Path(path)
            file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
            raise OSError(28, "No space left on device")

    def write(self: DuckDBEngine, expression: Any, schema: Any, path: str) -> None:
        by_engine(self, expression, schema, path)
        halve(path)

    def move_in(self: Storage, source: Path, path: str) -> None:
        as_delivered(self, source, path)
        halve(path)

    monkeypatch.setattr(DuckDBEngine, "write", write)
    monkeypatch.setattr(Storage, "move_in", move_in)
    (failed,) = run(settings, [JAN])
    assert not failed.succeeded
    assert "No space left on device" in failed.errors[0]
    after = contents(settings.lake_root)
    assert after[table, "2011-01"] == before[table, "2011-01"]
    assert after["cltv_report", "2011-01"] == before["cltv_report", "2011-01"]
    if table == "rejected_transactions":
        # The other half of the verdict was written whole, and is withheld with it.
        assert after["cleaned_transactions", "2011-01"] == before["cleaned_transactions", "2011-01"]
    assert unfinished_files(settings.lake_root) == []

    monkeypatch.undo()
    # All, or with what comes up to the summary: the models after it take most of the time.
    last, assets = ("cltv_predictions", None) if table == "cltv_predictions" else ("rfm_summary", HALF)
    (mended,) = run(settings, [JAN], assets)
    assert mended.succeeded
    assert "C777" in {row["customer_id"] for row in rows_of(settings.lake_root, last, "2011-01")}


@pytest.mark.parametrize("table", ["purchase_days", "cleaned_transactions"])
def test_a_failed_commit_keeps_the_published_month(home: Path, monkeypatch: pytest.MonkeyPatch, table: str) -> None:
    settings = settings_of(home)
    before = contents(settings.lake_root)
    publish = LakeTable.publish

    def refuse(self: LakeTable, staged: Any, *rest: Any, **named: Any) -> Any:
        if self.schema.name == table:
            staged.discard()
            raise OSError(5, "Input/output error")
        return publish(self, staged, *rest, **named)

    monkeypatch.setattr(LakeTable, "publish", refuse)
    (failed,) = run(settings, [JAN])
    assert not failed.succeeded
    assert "Input/output error" in failed.errors[0]
    assert differences(before, contents(settings.lake_root)) == []
    # The half that had not been committed yet is withheld too, and cleared away.
    assert unfinished_files(settings.lake_root) == []


def test_a_report_with_a_problem_is_not_published(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = settings_of(home)
    before = contents(settings.lake_root)
    render = report_asset.render
    monkeypatch.setattr(report_asset, "render", lambda *of: render(*of).replace("</body>", "<p>nan</p></body>"))
    with dg.DagsterInstance.ephemeral() as instance:
        result = MonthRunner(settings, instance, ["cltv_report"]).run(JAN)
        assert not result.succeeded
        assert not _evaluations(instance)["cltv_report.report_whole"].passed
        assert _materialized(instance) == set()
    assert "report of 2011-01 is not published" in result.errors[0]
    assert differences(before, contents(settings.lake_root)) == []


@pytest.mark.parametrize(
    ("asset", "owner", "method"),
    [
        ("raw_transactions", Platform, "source"),
        ("purchase_days", LakeWindow, "of"),
        ("cltv_report", LakeWindow, "of"),
    ],
)
def test_a_customer_is_erased_once_the_inputs_are_looked_at(
    home: Path, monkeypatch: pytest.MonkeyPatch, asset: str, owner: type, method: str
) -> None:
    settings = settings_of(home)
    before = contents(settings.lake_root)
    look, raised = getattr(owner, method), []

    def look_and_be_overtaken(*of: Any) -> Any:
        found = look(*of)
        # As far as an erasure comes before it deletes files: the run can still read what it looked at.
        for schema in () if raised else lake_schemas(settings.horizons_months):
            Lake(settings.lake_root).table(schema)._raise_fence()
            raised.append(schema)
        return found

    monkeypatch.setattr(owner, method, look_and_be_overtaken)
    with dg.DagsterInstance.ephemeral() as instance:
        result = MonthRunner(settings, instance, [asset]).run(JAN)
        recorded = _evaluations(instance)
        assert _materialized(instance) == set()
    (error,) = result.errors
    assert "A customer was erased while this run was making month 2011-01" in error
    assert asset in error
    # Check results may hold rows; the report's has none.
    assert set(recorded) <= {"cltv_report.report_whole"}
    assert differences(before, contents(settings.lake_root)) == []
    assert unfinished_files(settings.lake_root) == []
    monkeypatch.undo()
    (again,) = run(settings, [JAN], [asset])
    assert again.errors == []


def test_a_fault_of_the_source_is_one_paragraph(home: Path) -> None:
    settings = settings_of(home)
    (home / "shop/2011-01.csv").write_text("invoice,customer\n1,2\n", encoding="utf-8")
    (result,) = run(settings, [JAN])
    (error,) = result.errors
    assert "2011-01.csv" in error
    assert "time" in error
    assert "\n" not in error


def _evaluations(instance: dg.DagsterInstance) -> dict[str, dg.AssetCheckEvaluation]:
    found = {}
    for record in instance.get_run_records():
        for event in instance.all_logs(record.dagster_run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION):
            assert event.dagster_event is not None
            data = event.dagster_event.asset_check_evaluation_data
            found[f"{data.asset_key.to_user_string()}.{data.check_name}"] = data
    return found


def _materialized(instance: dg.DagsterInstance) -> set[str]:
    found = set()
    for record in instance.get_run_records():
        for event in instance.all_logs(record.dagster_run.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION):
            assert event.dagster_event is not None
            assert event.dagster_event.asset_key is not None
            found.add(event.dagster_event.asset_key.to_user_string())
    return found


def _planned(settings: Settings, instance: dg.DagsterInstance) -> list[str]:
    """Name the checks that stand as planned, which Dagster shows as failed once their run has failed."""
    keys = list(build_definitions(settings).resolve_asset_graph().asset_check_keys)
    latest = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys)
    assert len(latest) > 1
    return [key.name for key, record in latest.items() if record.status.value == "PLANNED"]


def _published(settings: Settings, table: str, month: Month) -> dt.datetime:
    """Return when a month was last committed, by Delta's log, in the shop's time zone."""
    times = []
    for entry in Path(settings.lake_root, table, "_delta_log").glob("*.json"):
        actions = [json.loads(line) for line in entry.read_text().splitlines()]
        if any(f"month={month.first_day}" in action.get("add", {}).get("path", "") for action in actions):
            times += [action["commitInfo"]["timestamp"] for action in actions if "commitInfo" in action]
    return dt.datetime.fromtimestamp(max(times) / 1000, settings.zone)
