"""A refused month says why: in the lake, in the failure, in the UI and in ``cltv status``."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import dagster as dg
import pytest

from cltv_assets.cli.reading import open_lake
from cltv_assets.cli.runner import MonthRunner
from cltv_assets.dagster_defs.graph import assets_of_half
from cltv_assets.tables.refused_lines import REFUSED_LINES, keep, reasons_kept
from cltv_assets_tests.cli.commands import code_of
from cltv_assets_tests.dagster_defs.assets.test_ranges import run_range
from cltv_assets_tests.e2e.running import settings_in, write_config
from cltv_assets_tests.e2e.shop import deliver, months_of

JAN, FEB = months_of("2011-01", 2)
FIRST_HALF = ",".join(assets_of_half("preprocess"))
GOOD = [(f"A{i}", f"C{i % 10}", f"2011-01-0{1 + i % 9} 10:00:00", "1", "5.00") for i in range(40)]
NOBODY = [(f"B{i}", "", "2011-01-05 10:00:00", "2", "5.00") for i in range(200)]
UNREADABLE = [(f"D{i}", "C-secret", "2011-01-06 10:00:00", "1", "5,x0") for i in range(40)]
SPOILED = {JAN: [*NOBODY, *UNREADABLE]}


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Two months of a shop, of which the first has a second delivery that is broken."""
    # So many that less than half of all lines is broken: otherwise no run would begin.
    later = [(a, b, c.replace("-01-", "-02-"), d, e) for a, b, c, d, e in GOOD] * 11
    deliver(tmp_path / "shop", {JAN: GOOD, FEB: later})
    deliver(tmp_path / "shop", SPOILED, "second.csv")
    write_config(tmp_path, end_month="2011-02")
    return tmp_path


def test_the_reasons_of_a_refused_month_stand_in_the_lake_the_failure_and_the_ui(shop: Path) -> None:
    settings = settings_in(shop, end_month="2011-02")
    with dg.DagsterInstance.ephemeral() as instance:
        runner = MonthRunner(settings, instance, assets_of_half("preprocess"))
        (error,) = runner.run(JAN).errors
        run = instance.get_runs()[0]
        events = [entry.dagster_event for entry in instance.all_logs(run.run_id) if entry.dagster_event]
        # February can be cleaned; only what looks back fails, for want of January.
        assert all("has no data for 2011-01" in reason for reason in runner.run(FEB).errors)

    lake = open_lake(settings)
    missing, unreadable = reasons_kept(lake, JAN)
    assert (missing.table, missing.check) == ("rejected_transactions", "reject_share")
    assert (missing.reason, missing.lines, missing.value) == ("missing_customer", 200, Decimal(2000))
    assert (unreadable.reason, unreadable.lines, unreadable.value) == ("invalid_unit_price", 40, None)
    assert [line["source_line"] for line in unreadable.samples] == [202, 203, 204]
    assert {line["unit_price"] for line in unreadable.samples} == {"5,x0"}
    assert {line["customer_id"] for line in unreadable.samples} == {"C-secret"}
    # February is published and was never refused.
    assert lake.table(REFUSED_LINES).months() == [JAN]

    # The failure says the same in one paragraph, and sends no customer's id around.
    assert "missing_customer, 200 lines worth 2,000.00, such as " in error
    assert "second.csv line 202 (unit_price '5,x0')" in error
    assert "C-secret" not in error
    failure = next(event for event in events if event.is_step_failure).step_failure_data.user_failure_data
    (refused,) = (
        event.asset_check_evaluation_data
        for event in events
        if event.event_type_value == "ASSET_CHECK_EVALUATION"
        and event.asset_check_evaluation_data.check_name == "reject_share"
    )
    for metadata in (failure.metadata, refused.metadata):
        assert "| missing_customer | 0 | 200 |" in metadata["reasons"].value
        assert "5,x0" in metadata["reasons"].value
        assert metadata["refused_lines"].value == f"{shop}/lake/refused_lines/month=2011-01-01"


def test_the_next_try_replaces_and_a_published_month_empties_it(shop: Path) -> None:
    settings = settings_in(shop, end_month="2011-02")
    lake = open_lake(settings)
    with dg.DagsterInstance.ephemeral() as instance:
        runner = MonthRunner(settings, instance, assets_of_half("preprocess"))
        assert not runner.run(JAN).succeeded
        deliver(shop / "shop", {JAN: NOBODY}, "second.csv")
        assert not runner.run(JAN).succeeded
        assert [reason.reason for reason in reasons_kept(lake, JAN)] == ["missing_customer"]
        # What another step of the month refused stays.
        (own,) = reasons_kept(lake, JAN)
        keep(lake, JAN, ["spend_model"], [type(own)("spend_model", "fits", "It does not fit.")])
        assert [reason.table for reason in reasons_kept(lake, JAN)] == ["rejected_transactions", "spend_model"]
        (shop / "shop/second.csv").unlink()
        assert runner.run(JAN).succeeded
    assert [reason.table for reason in reasons_kept(lake, JAN)] == ["spend_model"]
    keep(lake, JAN, ["spend_model"], [])
    assert lake.table(REFUSED_LINES).rows() == 0


def test_a_backfill_keeps_the_reasons_too(shop: Path) -> None:
    settings = settings_in(shop, end_month="2011-02")
    lake = open_lake(settings)
    with dg.DagsterInstance.ephemeral() as instance:
        run_range(settings, instance, [JAN, FEB])
        assert len(reasons_kept(lake, JAN)) == 2
        (shop / "shop/second.csv").unlink()
        run_range(settings, instance, [JAN, FEB])
        assert reasons_kept(lake, JAN) == []


def test_a_table_that_cannot_be_written_hides_no_refusal(shop: Path) -> None:
    settings = settings_in(shop, end_month="2011-02")
    (shop / "lake/refused_lines").mkdir(parents=True)
    (shop / "lake/refused_lines/notes.txt").write_text("mine")
    with dg.DagsterInstance.ephemeral() as instance:
        runner = MonthRunner(settings, instance, assets_of_half("preprocess"))
        (error,) = runner.run(JAN).errors
        assert "missing_customer, 200 lines" in error
        assert "could not be kept in refused_lines" in error
        assert "notes.txt" in error
        (shop / "shop/second.csv").unlink()
        # Nothing there says that the lines of that file were refused.
        again = MonthRunner(settings, instance, assets_of_half("preprocess"), accepted=[JAN])
        assert again.run(JAN).succeeded


def test_commands_say_why_and_forget_erases(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert code_of("run", "--select", FIRST_HALF) == 1
    assert "missing_customer, 200 lines worth 2,000.00" in capsys.readouterr().out
    assert code_of("status") == 1
    assert "2011-01 rejected_transactions.reject_share: 240 of " in (said := capsys.readouterr().out)
    assert "missing_customer, 200 lines worth 2,000.00" in said
    # One month alone: also its warnings, in words.
    assert code_of("status", "--month", "2011-01") == 1
    said = capsys.readouterr().out
    assert "invalid_unit_price, 40 lines" in said
    assert "2011-02" not in said
    assert code_of("status", "--month", "2011-02") == 1
    assert "raw_transactions.usual_volume: " in (said := capsys.readouterr().out)
    assert "missing_customer" not in said

    deliver(shop / "shop", {JAN: NOBODY}, "second.csv")
    assert code_of("forget", "C-secret", "--yes") == 0
    said = capsys.readouterr().out
    assert "refused_lines: 3 rows in 1 months, 2011-01" in said
    unreadable = next(one for one in reasons_kept(open_lake(settings_in(shop)), JAN) if one.lines == 40)
    assert unreadable.samples == []
    files = [file.read_bytes() for file in (shop / "lake/refused_lines").rglob("*.parquet")]
    assert len(files) == 1
    assert b"C-secret" not in files[0]
