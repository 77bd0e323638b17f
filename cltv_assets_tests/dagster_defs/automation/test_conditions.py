"""The automation conditions, evaluated by Dagster on a real instance and a real lake."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from cltv_assets.dagster_defs.automation.expectations import expectations
from cltv_assets.dagster_defs.automation.state import parents_of
from cltv_assets.dagster_defs.build import build_definitions
from cltv_assets.dagster_defs.graph import all_assets
from cltv_assets.errors import ConfigError
from cltv_assets.months import Month
from cltv_assets_tests.dagster_defs.automation.daemon import Daemon
from cltv_assets_tests.e2e.running import instance_below, settings_in
from cltv_assets_tests.e2e.shop import deliver, lines_of_shop, months_of

MONTHS = months_of("2011-01", 5)
#: The last month is for the test that waits until it is due.
KEYS = [month.key for month in MONTHS[:4]]
PREPARED = {"raw_transactions", "cleaned_transactions", "rejected_transactions", "purchase_days"}
BROKEN = [(f"B{i}", "", "2011-02-05 10:00:00", "1", "5.00") for i in range(2000)]


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Daemon:
    """A shop whose lake was empty and is filled. Tests must not write to it."""
    home = tmp_path_factory.mktemp("filled")
    with instance_below(home) as opened:
        daemon = daemon_of(home, opened)
        daemon.settle()
    return daemon


@pytest.fixture
def copied(filled: Daemon, tmp_path: Path) -> Iterator[dg.DagsterInstance]:
    """The instance of that shop, which is copied with it into the test's folder."""
    shutil.copytree(filled.settings.home, tmp_path, dirs_exist_ok=True)
    with instance_below(tmp_path) as opened:
        yield opened


def daemon_of(home: Path, instance: dg.DagsterInstance, **changes: Any) -> Daemon:
    if not (home / "shop").exists():
        deliver(home / "shop", lines_of_shop(MONTHS, customers=60))
    return Daemon(settings_in(home, **{"end_month": KEYS[-1], **changes}), instance)


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def assets(daemon: Daemon) -> set[str]:
    return {key.path[-1] for key in daemon.definitions.resolve_asset_graph().get_all_asset_keys()}


def there(daemon: Daemon) -> set[tuple[str, str]]:
    return {
        (table, str(month))
        for table in assets(daemon)
        for month in daemon.instance.get_materialized_partitions(dg.AssetKey(table))
    }


def test_a_lake_that_was_never_materialised_is_filled(
    filled: Daemon, tmp_path: Path, copied: dg.DagsterInstance
) -> None:
    daemon = daemon_of(tmp_path, copied)

    assert filled.errors == []
    assert dict(filled.requests) == {(table, key): 1 for table in assets(daemon) for key in KEYS}
    assert {(table, key) for table in assets(daemon) for key in KEYS} == there(daemon)


def test_a_month_that_has_closed_is_made_once_when_it_is_due(tmp_path: Path, copied: dg.DagsterInstance) -> None:
    daemon = daemon_of(tmp_path, copied, end_month=None, automation={"due": {"raw_transactions": "2d"}})

    # London closes May an hour before UTC does.
    assert daemon.evaluate(at("2011-06-02 22:59")) == {}
    requested = daemon.evaluate(at("2011-06-02 23:01"))
    assert requested == {table: {"2011-05"} for table in assets(daemon)}, "one run makes the whole month"
    daemon.run(requested)
    assert daemon.settle(at("2011-06-30 22:59")) == 0
    assert set(daemon.requests.values()) == {1}
    assert daemon.errors == []


def test_a_failed_check_stops_what_is_made_from_it_and_mending_finishes_the_rest(
    tmp_path: Path, instance: dg.DagsterInstance
) -> None:
    daemon = daemon_of(tmp_path, instance, end_month="2011-03")
    deliver(tmp_path / "shop", {MONTHS[1]: BROKEN}, "second.csv")
    wanted = {(table, key) for table in assets(daemon) for key in KEYS[:3]}

    daemon.settle()

    assert "rejected_transactions.reject_share" in daemon.errors[0]
    missing = wanted - there(daemon)
    # February stops; March's own lines are prepared, and what looks back over February waits.
    assert missing == {(t, "2011-02") for t in assets(daemon) - {"raw_transactions", "acquisition_costs"}} | {
        (t, "2011-03") for t in assets(daemon) - PREPARED - {"acquisition_costs"}
    }
    assert daemon.requests["cleaned_transactions", "2011-02"] == 1
    assert daemon.evaluate() == {}, "it is not tried again and again"

    (tmp_path / "shop/second.csv").unlink()
    daemon.requests.clear()
    daemon.materialize(["2011-02"], ["raw_transactions"])
    daemon.settle()
    assert wanted == there(daemon)
    # Costs begin at the raw lines, too.
    assert set(daemon.requests) == missing | {("acquisition_costs", "2011-02")}
    assert set(daemon.requests.values()) == {1}


# Cut off by the months that lines may be late, and by the month itself.
@pytest.mark.parametrize(("late", "again"), [(1, "2011-02"), (3, "2011-03")])
def test_a_month_with_other_rows_brings_later_months_up_to_date(
    tmp_path: Path, copied: dg.DagsterInstance, late: int, again: str
) -> None:
    daemon = daemon_of(tmp_path, copied, automation={"late_data_months": late})
    deliver(
        tmp_path / "shop", {Month.parse(again): [("L1", "C00001", f"{again}-05 10:00:00", "1", "5.00")]}, "late.csv"
    )

    daemon.materialize([again], sorted(PREPARED))
    daemon.settle()

    assert {month for _, month in daemon.requests} == {"2011-03", "2011-04"}
    assert {("rfm_summary", "2011-04"), ("cltv_report", "2011-04")} <= set(daemon.requests)
    assert not {table for table, _ in daemon.requests} & PREPARED
    assert set(daemon.requests.values()) == {1}


def test_a_month_with_the_rows_it_had_asks_for_nothing(tmp_path: Path, copied: dg.DagsterInstance) -> None:
    daemon = daemon_of(tmp_path, copied)
    assert daemon.evaluate() == {}

    daemon.materialize(["2011-03"], sorted(PREPARED))

    assert daemon.evaluate() == {}


def test_nothing_is_asked_again_when_the_cursor_is_lost(tmp_path: Path, copied: dg.DagsterInstance) -> None:
    daemon = daemon_of(tmp_path, copied)
    assert daemon.cursor is None

    assert daemon.evaluate() == {}


def test_a_month_in_a_queue_is_not_asked_for_again(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    daemon = daemon_of(tmp_path, instance, end_month="2011-01")
    job = daemon.definitions.resolve_job_def("cltv_month")
    run = instance.create_run_for_job(job, tags={"dagster/partition": "2011-01"})
    assert run.status is dg.DagsterRunStatus.NOT_STARTED

    assert daemon.evaluate() == {}


def on_time_of_summaries(instance: dg.DagsterInstance) -> dg.AssetCheckEvaluation:
    key = dg.AssetCheckKey(dg.AssetKey("rfm_summary"), "on_time")
    said = instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key].event
    assert said is not None
    assert said.dagster_event is not None
    return said.dagster_event.asset_check_evaluation_data


def test_on_time_speaks_when_its_answer_changes(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    daemon = daemon_of(tmp_path, instance, end_month="2011-02")

    daemon.evaluate()
    assert daemon.checks == assets(daemon), "months of long ago are overdue"
    daemon.answer_checks()
    answer = on_time_of_summaries(instance)
    assert not answer.passed
    assert "rfm_summary lacks 2011-01, 2011-02" in str(answer.description)
    assert "2011-02 was due on 2011-03-02 00:00 (Europe/London)" in str(answer.description)

    daemon.evaluate()
    assert daemon.checks == set(), "the same answer is not given twice"
    # The answer is about what is recorded; the months themselves need not be made for it.
    for made in daemon.definitions.resolve_asset_graph().toposorted_asset_keys:
        for month in ("2011-01", "2011-02"):
            instance.report_runless_asset_event(dg.AssetMaterialization(made, partition=month))
    assert daemon.evaluate() == {}
    assert daemon.checks == assets(daemon)
    daemon.answer_checks()
    assert on_time_of_summaries(instance).passed
    daemon.evaluate()
    assert daemon.checks == set()


def test_due_names_an_asset_or_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"automation\.due names raw_transaction, which is no asset") as refused:
        build_definitions(settings_in(tmp_path, automation={"due": {"raw_transaction": "1d"}}))
    assert "Did you mean raw_transactions?" in str(refused.value)


@pytest.mark.parametrize(
    ("due", "overdue", "cron"),
    [("1d", "1d", "0 0 3 * *"), ("36h", "90m", "30 13 2 * *"), ("26d", "1d", "0 0 28 * *"), ("30s", "0s", "1 0 1 * *")],
)
def test_the_freshness_policy_is_the_deadline(tmp_path: Path, due: str, overdue: str, cron: str) -> None:
    automation = {"due": {"raw_transactions": due}, "overdue_after": overdue}
    definitions = build_definitions(settings_in(tmp_path, end_month=None, automation=automation))
    for spec in definitions.resolve_all_asset_specs():
        policy: Any = spec.freshness_policy
        assert policy.deadline_cron == cron
        assert policy.timezone == "Europe/London"


def test_no_freshness_where_no_later_month_is_ever_due(tmp_path: Path) -> None:
    definitions = build_definitions(settings_in(tmp_path))
    assert all(spec.freshness_policy is None for spec in definitions.resolve_all_asset_specs())


def test_an_asset_is_never_due_before_what_it_is_made_from(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, automation={"due": {"rfm_summary": "9d", "spend_model": "3d"}})
    due = {name: found.due.days for name, found in expectations(settings, parents_of(all_assets(settings))).items()}
    assert (due["raw_transactions"], due["purchase_days"]) == (1, 1)
    assert {due[name] for name in ("rfm_summary", "spend_model", "cltv_predictions", "cltv_report")} == {9}
