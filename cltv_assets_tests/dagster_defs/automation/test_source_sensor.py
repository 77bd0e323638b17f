"""The sensor requests the months that files touch: each once, and none is lost."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from cltv_assets.dagster_defs.automation import source_sensor as module
from cltv_assets.dagster_defs.automation.source_sensor import Cursor, SourceWatch
from cltv_assets.errors import SourceError
from cltv_assets.sources.source import TransactionSource
from cltv_assets_tests.dagster_defs.automation.watched_shop import WatchedShop, sales
from cltv_assets_tests.e2e.running import instance_below

JAN, FEB, MAR = MONTHS = ("2011-01", "2011-02", "2011-03")
Opener = Callable[..., WatchedShop]


@pytest.fixture
def shop(tmp_path: Path, instance: dg.DagsterInstance) -> Opener:
    def make(**changes: Any) -> WatchedShop:
        return WatchedShop(tmp_path, instance, **changes)

    return make


@pytest.fixture(scope="module")
def at_rest(tmp_path_factory: pytest.TempPathFactory) -> WatchedShop:
    """A shop with a file for each month, all landed, and a sensor that has come to rest. Tests must not touch it."""
    home = tmp_path_factory.mktemp("landed")
    with instance_below(home) as opened:
        made = WatchedShop(home, opened)
        for month in MONTHS:
            made.deliver(f"{month}.csv", sales(month, "A", "B"))
        assert made.run(*MONTHS) == [True] * 3
        assert made.requested() == []
    return made


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that are read to see what they hold."""
    names: list[str] = []
    original = TransactionSource.contents

    def contents(self: TransactionSource, files: Any) -> Any:
        names.extend(file.name for file in files)
        return original(self, files)

    monkeypatch.setattr(TransactionSource, "contents", contents)
    return names


def test_the_record_says_what_was_landed(landed: WatchedShop) -> None:
    event = landed.instance.get_latest_materialization_event(dg.AssetKey("raw_transactions"))
    assert event is not None
    assert event.asset_materialization is not None
    record = event.asset_materialization.metadata["source_files"].value
    stat = (landed.folder / "2011-03.csv").stat()
    assert list(record) == ["2011-03.csv"]
    found = record["2011-03.csv"]
    assert (found["size"], found["mtime_ns"], found["lines"], found["file_lines"]) == (
        stat.st_size,
        stat.st_mtime_ns,
        2,
        2,
    )


def test_nothing_is_read_while_nothing_changes(landed: WatchedShop, opened: list[str]) -> None:
    assert (landed.tick().skip_message or "").startswith("No file has changed")
    assert opened == []


def test_a_changed_file_touches_its_months_only(landed: WatchedShop, opened: list[str]) -> None:
    landed.deliver("2011-02.csv", sales(FEB, "A", "B", "C"), age=1800)
    assert landed.requested() == [FEB]
    assert opened == ["2011-02.csv"]
    assert landed.run(FEB) == [True]
    assert landed.requested() == []


def test_a_new_file_with_late_lines_touches_the_months_of_its_lines_oldest_first(landed: WatchedShop) -> None:
    landed.deliver("late.csv", [*sales(MAR, "L"), *sales(JAN, "L"), *sales("2010-06", "L")])
    assert landed.requested() == [JAN, MAR]


def test_a_changed_value_of_the_same_length_is_seen(landed: WatchedShop) -> None:
    before = (landed.folder / "2011-01.csv").stat().st_size
    path = landed.deliver("2011-01.csv", sales(JAN, "A", "Z"), age=1800)
    assert path.stat().st_size == before
    assert landed.requested() == [JAN]


def test_a_file_merely_touched_requests_nothing(landed: WatchedShop, opened: list[str]) -> None:
    landed.age(landed.folder / "2011-01.csv", 1800)
    assert landed.requested() == []
    assert opened == ["2011-01.csv"]


def test_a_removed_file_touches_the_months_it_was_in(landed: WatchedShop) -> None:
    extra = landed.deliver("late.csv", [*sales(JAN, "L"), *sales(FEB, "L")])
    assert landed.requested() == [JAN, FEB]
    landed.run(JAN, FEB)
    assert landed.requested() == []
    extra.unlink()
    assert landed.requested() == []
    assert (landed.tick().skip_message or "").startswith(
        "Not requested, because published lines are not delivered any more: 2011-01: late.csv is gone (had 1 line); "
        "2011-02: late.csv is gone (had 1 line)."
    )


def test_a_renamed_file_is_another_file(landed: WatchedShop) -> None:
    (landed.folder / "2011-01.csv").rename(landed.folder / "first.csv")
    assert landed.requested() == [JAN]


def test_a_packed_file_is_read(landed: WatchedShop) -> None:
    text = (landed.folder / "2011-01.csv").read_bytes() + b"late,L,2011-02-03 10:00:00,1,5.00\n"
    (landed.folder / "late.csv.gz").write_bytes(gzip.compress(text))
    landed.age(landed.folder / "late.csv.gz", 1800)
    assert landed.requested() == [JAN, FEB]


def test_a_file_that_is_still_being_written_is_waited_for(landed: WatchedShop) -> None:
    for customers in ("A", "AB", "ABC", "ABCD"):
        landed.deliver("growing.csv", sales(JAN, *customers), age=0)
        found = landed.tick()
        assert not found.run_requests
        assert "one more look" in (found.skip_message or "")
    assert [request.partition_key for request in landed.tick().run_requests or ()] == [JAN]


def test_a_source_that_never_rests_is_looked_at_without_its_newest_files(landed: WatchedShop) -> None:
    watch, cursor = SourceWatch(landed.settings, landed.job.name), Cursor.parse(landed.cursor)
    landed.deliver("whole.csv", sales(JAN, "W"), age=-60)
    begin = dt.datetime.now(dt.UTC)
    requests = []
    for minute in range(1, 20):
        landed.deliver("restless.csv", sales(FEB, *(f"R{n}" for n in range(minute))), age=-60 * minute)
        found = watch.look(landed.instance, cursor, begin + dt.timedelta(minutes=minute))
        cursor = found.cursor
        requests += [(minute, month.key) for month, _, _ in found.requests]
    assert requests == [(16, JAN)]
    # It has come to rest.
    found = watch.look(landed.instance, cursor, begin + dt.timedelta(minutes=20))
    assert [month.key for month, _, _ in found.requests] == [FEB]


def test_what_is_running_is_not_requested_again_and_not_forgotten(landed: WatchedShop) -> None:
    run = landed.begin(FEB)
    landed.deliver("2011-02.csv", sales(FEB, "A", "B", "C"), age=1800)
    assert landed.requested() == []
    landed.instance.report_run_canceled(run)
    assert landed.requested() == [FEB]


def test_a_run_that_goes_on_after_it_has_landed_the_month_is_waited_for(landed: WatchedShop) -> None:
    run = landed.begin(FEB)
    landed.run(FEB)
    landed.deliver("2011-02.csv", sales(FEB, "A", "B", "C"), age=1800)
    assert landed.requested() == []
    landed.instance.report_run_canceled(run)
    assert landed.requested() == [FEB]


def test_a_range_of_months_in_one_run_is_waited_for(landed: WatchedShop) -> None:
    tags = {"dagster/asset_partition_range_start": JAN, "dagster/asset_partition_range_end": FEB}
    run = landed.instance.create_run_for_job(landed.job, tags=tags, status=dg.DagsterRunStatus.STARTED)
    # It has landed its months and goes on.
    landed.run(JAN, FEB)
    landed.deliver("late.csv", [line for month in MONTHS for line in sales(month, "L")])
    assert landed.requested() == [MAR]
    landed.instance.report_run_canceled(run)
    assert landed.requested() == [JAN, FEB]


def test_what_failed_is_not_requested_again_until_it_changes(landed: WatchedShop) -> None:
    landed.deliver("2011-02.csv", sales(FEB, "A", "B", "C", "E"), age=1800)
    assert landed.requested() == [FEB]
    landed.instance.report_run_failed(landed.begin(FEB))
    assert landed.requested() == []
    # Nor by a code server that has just started, nor without the cursor.
    landed.load()
    assert landed.requested() == []
    landed.cursor = None
    assert landed.requested() == []
    landed.deliver("2011-02.csv", sales(FEB, "A", "B", "C", "D"), age=-1)
    assert landed.requested() == [FEB]
    assert landed.run(FEB) == [True]
    assert landed.requested() == []
    # And back: what stood there before the failure is other content than what is landed now.
    landed.deliver("2011-02.csv", sales(FEB, "A", "B", "C", "E"), age=-2)
    assert landed.requested() == [FEB]


def test_the_run_key_is_the_same_for_the_same_look_only(landed: WatchedShop) -> None:
    def key() -> str:
        landed.tick()
        (request,) = landed.tick().run_requests or ()
        return str(request.run_key)

    landed.deliver("2011-02.csv", sales(FEB, "A", "C"), age=1800)
    before, first = landed.cursor, key()
    landed.cursor = before
    assert key() == first
    landed.run(FEB)
    landed.deliver("2011-02.csv", sales(FEB, "A", "D"), age=1700)
    second = key()
    landed.run(FEB)
    landed.deliver("2011-02.csv", sales(FEB, "A", "C"), age=1600)
    assert len({first, second, key()}) == 3


def test_without_its_cursor_it_finds_the_same(landed: WatchedShop, opened: list[str]) -> None:
    landed.cursor = "of another version"
    landed.load()
    assert landed.requested() == []
    assert opened == []
    landed.deliver("2011-02.csv", sales(FEB, "A", "B", "C"), age=1800)
    landed.cursor = None
    assert landed.requested() == [FEB]


def test_a_month_whose_run_failed_is_not_lost_with_the_cursor(landed: WatchedShop) -> None:
    """January's record knows the new file; February's run never began."""
    landed.deliver("late.csv", [*sales(JAN, "L"), *sales(FEB, "L")])
    assert landed.requested() == [JAN, FEB]
    landed.run(JAN)
    landed.cursor = None
    assert landed.requested() == [FEB]


def test_months_never_landed_are_left_to_the_automation(shop: Opener, opened: list[str]) -> None:
    made = shop()
    for month in MONTHS:
        made.deliver(f"{month}.csv", sales(month, "A"))
    assert made.requested() == []
    assert opened == []
    made.run(JAN)
    made.deliver("more.csv", [line for month in MONTHS for line in sales(month, "M")])
    assert made.requested() == [JAN]
    made.run(JAN)
    assert made.requested() == []


def test_with_cron_they_are_requested_one_after_the_other(shop: Opener) -> None:
    """The schedule makes the newest month only; a later month needs the earlier ones."""
    made = shop(automation={"trigger": "cron"})
    for month in MONTHS:
        made.deliver(f"{month}.csv", sales(month, "A"))
    for month in MONTHS:
        assert made.requested() == [month]
        assert made.requested() == []
        made.run(month)
    assert made.requested() == []


def test_with_cron_the_newest_month_is_left_to_the_schedule_for_an_hour(shop: Opener) -> None:
    made = shop(automation={"trigger": "cron", "due": {"raw_transactions": "2d"}}, end_month=None)
    made.deliver("first.csv", sales(JAN, "A"))
    watch, cursor = SourceWatch(made.settings, made.job.name), Cursor()
    # Due on 3 February at midnight in London.
    for minutes, expected in ((-1, []), (59, []), (60, [JAN]), (61, [])):
        now = dt.datetime(2011, 2, 3, tzinfo=dt.UTC) + dt.timedelta(minutes=minutes)
        found = [look := watch.look(made.instance, cursor, now), watch.look(made.instance, look.cursor, now)]
        cursor = found[-1].cursor
        assert [month.key for look in found for month, _, _ in look.requests] == expected, minutes


def test_a_delivery_that_arrives_after_its_month_failed(shop: Opener) -> None:
    made = shop(source={"path": "shop/{month}.csv"})
    made.deliver("2011-01.csv", sales(JAN, "A"))
    assert made.run(JAN, FEB) == [True, False]
    assert made.requested() == []
    # A header alone: nothing was sold.
    made.deliver("2011-02.csv", [])
    assert made.requested() == [FEB]
    assert made.run(FEB) == [True]
    assert made.requested() == []
    # Without a delivery a month cannot be landed again; it is not asked for in vain.
    (made.folder / "2011-01.csv").unlink()
    assert made.requested() == []


def test_a_delivery_with_lines_of_another_month_only(shop: Opener) -> None:
    """The other month's record accounts for all its lines, and yet its own month is to be made."""
    made = shop(source={"path": "shop/{month}.csv"})
    made.deliver("2011-01.csv", sales(JAN, "A"))
    made.run(JAN, FEB)
    assert made.requested() == []
    made.deliver("2011-02.csv", sales(JAN, "L"))
    assert made.requested() == [JAN]
    made.run(JAN)
    assert made.requested() == [FEB]


def test_a_later_delivery_touches_the_months_that_search_it(shop: Opener) -> None:
    made = shop(source={"path": "shop/{month}.csv", "late_months": 1})
    for month in MONTHS:
        made.deliver(f"{month}.csv", sales(month, "A"))
    made.run(*MONTHS)
    made.deliver("2011-03.csv", [*sales(MAR, "A"), *sales(FEB, "L"), *sales(JAN, "L")], age=1800)
    # January does not search the delivery of March.
    assert made.requested() == [FEB]


def test_a_month_landed_without_a_record_counts_its_lines(landed: WatchedShop, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a version before this one left it."""
    monkeypatch.setattr("cltv_assets.dagster_defs.automation.landed.SOURCE_FILES", "nobody's")
    landed.load()
    assert landed.requested() == []
    landed.deliver("late.csv", sales(JAN, "L"))
    assert landed.requested() == [JAN]


def test_files_are_read_in_the_background_and_across_ticks(
    landed: WatchedShop, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    may_go = threading.Event()
    original = TransactionSource.contents

    def slow(self: TransactionSource, files: Any) -> Any:
        assert may_go.wait(60)
        return original(self, files)

    monkeypatch.setattr(TransactionSource, "contents", slow)
    watch = SourceWatch(landed.settings, landed.job.name, reading=0.01)
    landed.deliver("2011-02.csv", sales(FEB, "A", "B", "C"), age=1800)
    now, cursor = dt.datetime.now(dt.UTC), Cursor.parse(landed.cursor)
    for _ in range(3):
        look = watch.look(landed.instance, cursor, now)
        cursor = look.cursor
        assert not look.requests
    assert look.reason == "Reading changed files: 1 of 1 are left."
    may_go.set()
    patient = SourceWatch(landed.settings, landed.job.name)
    patient._reader = watch._reader
    assert [month.key for month, _, _ in patient.look(landed.instance, cursor, now).requests] == [FEB]


def test_a_source_that_cannot_be_read_fails_the_tick_with_what_to_do(landed: WatchedShop) -> None:
    landed.deliver("broken.csv", [])
    (landed.folder / "broken.csv").write_text("wrong;header\n", encoding="utf-8")
    with pytest.raises(SourceError, match=r"broken\.csv.*source\.columns"):
        landed.requested()
    # Every time, until it is mended.
    with pytest.raises(SourceError):
        landed.tick()
    # What else is wrong need not wait until then.
    (landed.folder / "2011-02.csv").unlink()
    with pytest.raises(SourceError, match=r"broken\.csv.* published are gone: 2011-02\.csv\. .*source\.columns"):
        landed.requested()
    (landed.folder / "broken.csv").unlink()
    assert landed.requested() == []


def test_what_stands_in_a_file_that_cannot_be_read_is_not_recorded(landed: WatchedShop) -> None:
    landed.deliver("2011-02.csv", [(f"B{n}", "A", f"Secret {n}", "1", "5.00") for n in range(30)])
    with pytest.raises(SourceError) as told:
        landed.requested()
    assert "2011-02.csv" in str(told.value)
    assert "Secret" not in str(told.value)
    assert told.value.__suppress_context__


def test_a_source_that_is_gone_requests_nothing(landed: WatchedShop) -> None:
    landed.folder.rename(landed.folder.with_name("elsewhere"))
    with pytest.raises(SourceError, match="matches no file"):
        landed.tick()


def test_many_files_and_months_fit_into_a_small_cursor(shop: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    made = shop(start_month="2001-01", end_month="2010-12", automation={"trigger": "cron"})
    months = list(made.settings.first_month.until(made.settings.last_month()))
    for number in range(2000):
        month = months[number % len(months)].key
        made.deliver(f"{month}-{number}.csv", sales(month, f"C{number}"))
    assert made.requested() == [months[0].key]
    # The worst case: every month is requested and none of the runs comes to anything.
    found = Cursor.parse(made.cursor)
    worst = Cursor(found.seen, 1e10, found.done, {month.key: found.tried[months[0].key] for month in months})
    assert len(months) == 120
    assert len(worst.text()) < 10_000
    assert len(json.dumps(made.cursor)) < 1_000


def test_the_demo_has_no_such_sensor(shop: Opener) -> None:
    made = shop()
    demo = made.settings.model_copy(update={"source": type(made.settings.source).model_validate({})})
    assert module.source_sensor(demo, made.job) is None


def test_a_backfill_under_way_claims_its_months(landed: WatchedShop) -> None:
    """Not all of a backfill's runs exist while it is under way."""
    from dagster._core.execution.backfill import BulkActionStatus, PartitionBackfill

    repository = landed.definitions.get_repository_def()
    key = dg.AssetKey("raw_transactions")
    backfill = PartitionBackfill.from_asset_partitions(
        backfill_id="claims",
        asset_graph=repository.asset_graph,
        partition_names=[JAN, FEB],
        asset_selection=[key],
        backfill_timestamp=dt.datetime.now(dt.UTC).timestamp(),
        tags={},
        dynamic_partitions_store=landed.instance,
        all_partitions=False,
        title=None,
        description=None,
        run_config=None,
    )
    landed.instance.add_backfill(backfill)
    landed.deliver("late.csv", [line for month in MONTHS for line in sales(month, "L")])
    assert landed.requested() == [MAR]
    landed.instance.update_backfill(backfill.with_status(BulkActionStatus.CANCELED))
    assert landed.requested() == [JAN, FEB]


def test_months_of_a_table_are_told_apart_without_reading_them(tmp_path: Path, shop: Opener, opened: list[str]) -> None:
    with sqlite3.connect(tmp_path / "shop.db") as database:
        database.execute("create table orders (customer text, at text, value real)")
        times = [(None,), *((f"{month}-05",) for month in MONTHS)]
        database.executemany("insert into orders values ('A', ?, 5)", times)
    columns = {"customer_id": "customer", "transacted_at": "at", "amount": "value"}
    path = str(tmp_path / "shop.db")
    made = shop(source={"kind": "sql", "path": path, "table": "orders", "columns": columns})
    assert made.run(*MONTHS) == [True] * 3
    assert made.requested() == []
    assert opened == []
    with sqlite3.connect(path) as database:
        database.execute("update orders set value = 6 where at like ?", [f"{FEB}%"])
        database.execute("insert into orders values ('B', '2011-04-01', 5)")
    assert made.requested() == [FEB]
    assert opened == [f"orders/{FEB}"]
