"""The sensor requests no month whose files are gone or far smaller, and says which."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import dagster as dg
import pytest

from cltv_assets.cli.runner import QUIET
from cltv_assets.dagster_defs.accepting import accepting
from cltv_assets_tests.dagster_defs.automation.watched_shop import RAW, WatchedShop, sales
from cltv_assets_tests.e2e.running import instance_below

JAN, FEB, MAR = MONTHS = ("2011-01", "2011-02", "2011-03")
SAID = "Not requested, because published lines are not delivered any more: "
#: Both steps that read the lines.
SPLIT = (RAW, dg.AssetKey("cleaned_transactions"), dg.AssetKey("rejected_transactions"))


@pytest.fixture(scope="module")
def at_rest(tmp_path_factory: pytest.TempPathFactory) -> WatchedShop:
    """A shop with a file of ten lines for each month, all landed. Tests must not touch it."""
    home = tmp_path_factory.mktemp("landed")
    with instance_below(home) as opened:
        made = WatchedShop(home, opened)
        for month in MONTHS:
            made.deliver(f"{month}.csv", sales(month, *"ABCDEFGHIJ"))
        assert made.run(*MONTHS) == [True] * 3
        assert made.requested() == []
    return made


def said(shop: WatchedShop) -> str:
    """Return why the next tick requests nothing."""
    found = shop.tick()
    assert not found.run_requests
    return found.skip_message or ""


def test_a_file_that_is_gone_is_named_until_it_is_back(landed: WatchedShop, tmp_path: Path) -> None:
    file, away = landed.folder / "2011-02.csv", tmp_path / "away.csv"
    shutil.move(file, away)
    assert landed.requested() == []
    expected = SAID + "2011-02: 2011-02.csv is gone (had 10 lines). Bring them back."
    assert said(landed).startswith(expected)
    assert "cltv run --from 2011-02 --accept-loss 2011-02" in said(landed)
    # Without its cursor it finds the same.
    landed.cursor = None
    landed.requested()
    assert said(landed).startswith(expected)
    shutil.move(away, file)
    assert landed.requested() == []
    assert said(landed) == "No file has changed."


def test_a_month_that_was_refused_is_made_again_when_its_file_is_back(landed: WatchedShop, tmp_path: Path) -> None:
    file, away = landed.folder / "2011-02.csv", tmp_path / "away.csv"
    shutil.move(file, away)
    # By hand: the sensor does not ask for it.
    assert landed.run(FEB) == [False]
    assert landed.requested() == []
    shutil.move(away, file)
    assert landed.requested() == [FEB]
    assert landed.requested() == [], "once"
    assert landed.run(FEB) == [True]
    assert landed.requested() == []
    assert said(landed) == "No file has changed."


def test_other_months_are_requested_in_the_same_look(landed: WatchedShop) -> None:
    (landed.folder / "2011-02.csv").unlink()
    landed.deliver("2011-03.csv", sales(MAR, *"ABCDEFGHIJK"), age=1800)
    landed.tick()
    found = landed.tick()
    assert [request.partition_key for request in found.run_requests or ()] == [MAR]
    assert landed.run(MAR) == [True]
    landed.requested()
    assert said(landed).startswith(SAID + "2011-02: 2011-02.csv is gone")


@pytest.mark.parametrize(
    ("left", "what"),
    [("ABCDE", "2011-02.csv has 5 of 10 lines"), ("", "2011-02.csv has no line left (had 10 lines)")],
)
def test_a_file_cut_short_is_no_correction(landed: WatchedShop, left: str, what: str) -> None:
    landed.deliver("2011-02.csv", sales(FEB, *left), age=1800)
    assert landed.requested() == []
    assert said(landed).startswith(SAID + f"2011-02: {what}.")
    landed.deliver("2011-02.csv", sales(FEB, *"ABCDEFGHI"), age=1700)
    assert landed.requested() == [FEB]
    assert landed.run(FEB) == [True]


def test_lines_that_may_be_in_another_file_are_looked_for_by_the_run(landed: WatchedShop) -> None:
    (landed.folder / "2011-02.csv").unlink()
    landed.deliver("second.csv", sales(FEB, *"ABCDEFGHIJK"), age=1800)
    assert landed.requested() == [FEB]
    assert landed.run(FEB) == [True]
    # As many lines, of others.
    (landed.folder / "second.csv").unlink()
    landed.deliver("third.csv", sales(FEB, *"KLMNOPQRSTU"), age=1800)
    assert landed.requested() == [FEB]
    assert landed.run(FEB) == [False]
    assert landed.requested() == []


def test_a_loss_that_was_accepted_is_said_no_more(landed: WatchedShop) -> None:
    (landed.folder / "2011-02.csv").unlink()
    assert landed.requested() == []
    assert landed.run(FEB) == [False]
    landed.requested()
    assert said(landed).startswith(SAID)
    done = landed.job.execute_in_process(
        run_config=QUIET | accepting(landed.settings),
        instance=landed.instance,
        partition_key=FEB,
        asset_selection=[RAW],
    )
    (found,) = [one for one in done.get_asset_check_evaluations() if one.check_name == "nothing_lost"]
    assert (found.passed, found.severity) == (False, dg.AssetCheckSeverity.WARN)
    assert found.metadata["accepted"].value is True
    assert landed.requested() == []
    assert said(landed) == "No file has changed."


def test_a_delivery_that_was_refused_may_be_taken_back(landed: WatchedShop) -> None:
    assert landed.run(FEB, assets=SPLIT) == [True]
    # Lines without a customer, and more than half of the month.
    landed.deliver("broken.csv", [(f"B{n}", "", f"{FEB}-05 10:00:00", "1", "5.00") for n in range(20)])
    assert landed.requested() == [FEB]
    assert landed.run(FEB, assets=SPLIT) == [False]
    (landed.folder / "broken.csv").unlink()
    assert landed.requested() == [FEB]
    assert landed.run(FEB, assets=SPLIT) == [True]
    assert landed.requested() == []


def test_while_it_is_refused_its_good_lines_are_kept(landed: WatchedShop) -> None:
    assert landed.run(FEB, assets=SPLIT) == [True]
    landed.deliver("broken.csv", [(f"B{n}", "", f"{FEB}-05 10:00:00", "1", "5.00") for n in range(20)])
    assert landed.run(FEB, assets=SPLIT) == [False]
    (landed.folder / "broken.csv").unlink()
    (landed.folder / "2011-02.csv").unlink()
    assert landed.run(FEB, assets=SPLIT) == [False]
    landed.deliver("2011-02.csv", sales(FEB, *"ABCDEFGHIJ"))
    assert landed.run(FEB, assets=SPLIT) == [True]


def test_a_delivery_of_its_month_that_is_gone_is_named(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    made = WatchedShop(tmp_path, instance, source={"path": "shop/{month}.csv"}, end_month=FEB)
    for month in (JAN, FEB):
        made.deliver(f"{month}.csv", sales(month, "A"))
    made.run(JAN, FEB)
    (made.folder / "2011-01.csv").unlink()
    assert made.requested() == []
    assert said(made).startswith(SAID + "2011-01: 2011-01.csv is gone (had 1 line).")


def test_rows_of_a_table_that_are_gone_are_told_by_month(tmp_path: Path, instance: dg.DagsterInstance) -> None:
    path = str(tmp_path / "shop.db")
    with sqlite3.connect(path) as database:
        database.execute("create table orders (customer text, at text)")
        times = [(None,), *((f"{month}-{day:02}",) for month in MONTHS for day in range(1, 11))]
        database.executemany("insert into orders values ('A', ?)", times)
    columns = {"customer_id": "customer", "transacted_at": "at"}
    source = {"kind": "sql", "path": path, "table": "orders", "columns": columns, "amounts": "none"}
    made = WatchedShop(tmp_path, instance)
    made.settings = made.settings.model_validate(
        made.settings.model_dump(exclude_unset=True) | {"source": source, "home": tmp_path}
    )
    made.load()
    assert made.run(*MONTHS) == [True] * 3
    assert made.requested() == []
    with sqlite3.connect(path) as database:
        # A row without a date gets one, which is no loss; the unit that held it is gone.
        database.execute("update orders set at = '2011-01-11' where at is null")
        database.execute("delete from orders where at > '2011-02-05' and at < '2011-03'")
    assert made.requested() == [JAN]
    assert made.run(JAN, FEB) == [True, False]
    made.requested()
    assert said(made).startswith(SAID + "2011-02: the source has 5 of 10 lines.")
