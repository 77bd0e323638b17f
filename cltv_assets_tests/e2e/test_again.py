"""Running months again: the same rows, whatever came meanwhile; late lines are seen and taken."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cltv_assets_tests.e2e.ran import Ran
from cltv_assets_tests.e2e.reading import OPTIONAL, REPORT, TABLES, Rows, contents, differences, rows_of
from cltv_assets_tests.e2e.running import run, settings_in
from cltv_assets_tests.e2e.shop import DIRT, HEADER, Line, deliver, lines_of_shop, months_of

JAN, FEB, MAR, APR = months_of("2011-01", 4)
FIRST_HALF = ["raw_transactions", "cleaned_transactions", "rejected_transactions", "purchase_days"]
LATE: Line = ("L1", "C888", "2011-01-20 12:00:00", "3", "7.00")


@pytest.fixture
def copy(ran: Ran, tmp_path: Path) -> Path:
    for folder in ("shop", "lake"):
        shutil.copytree(ran.settings.home / folder, tmp_path / folder)
    return tmp_path


def drawn(home: Path) -> dict[tuple[str, str], Rows | bytes]:
    """Return what a copied lake holds once February's report has its pictures."""
    settings = settings_in(home)
    assert [result.errors for result in run(settings, [FEB], [REPORT])] == [[]]
    return contents(settings.lake_root)


def test_the_same_months_again_change_no_row(copy: Path) -> None:
    before = drawn(copy)
    settings = settings_in(copy)
    # An old month after newer ones, and out of order.
    results = [*run(settings, [FEB]), *run(settings, [JAN], FIRST_HALF)]
    assert all(result.succeeded for result in results)
    after = contents(settings.lake_root)
    # Every column of every table, and the report to the byte.
    assert differences(before, after) == []
    assert {name for name, _ in after} == {*TABLES, REPORT} - OPTIONAL


def test_an_old_month_knows_nothing_of_newer_ones(ran: Ran, copy: Path, tmp_path: Path) -> None:
    """A lake that has January and February alone holds what the lake of four months holds for them."""
    deliver(tmp_path / "two" / "shop", {month: ran.lines[month] for month in (JAN, FEB)})
    settings = settings_in(tmp_path / "two", end_month="2011-02")
    run(settings, [JAN, FEB])
    whole = {key: rows for key, rows in drawn(copy).items() if key[1] in ("2011-01", "2011-02")}
    assert differences(whole, contents(settings.lake_root)) == []


@pytest.mark.parametrize(
    ("path", "late_file"),
    [("shop/{month}.csv", "2011-02.csv"), ("shop/2011-*.csv", "2011-02-late.csv")],
    ids=["in a later delivery", "in a file of a glob"],
)
def test_late_lines_are_shown_and_taken(tmp_path: Path, path: str, late_file: str) -> None:
    lines = lines_of_shop([JAN, FEB], customers=30)
    deliver(tmp_path / "shop", {JAN: lines[JAN]})
    settings = settings_in(tmp_path, source={"path": path}, end_month="2011-02")
    (january,) = run(settings, [JAN], FIRST_HALF)
    assert january.errors == []
    before = contents(settings.lake_root)
    assert len(rows_of(settings.lake_root, "raw_transactions")) == len(lines[JAN])

    deliver(tmp_path / "shop", {FEB: lines[FEB]})
    with (tmp_path / "shop" / late_file).open("a", encoding="utf-8") as file:
        if not file.tell():
            file.write(",".join(HEADER) + "\n")
        file.write(",".join(LATE) + "\n")
    (february,) = run(settings, [FEB], FIRST_HALF)
    (warning,) = [text for text in february.warnings if text.startswith("raw_transactions.late_lines")]
    assert "2011-01 +1" in warning
    assert "cltv run --from 2011-01 --to 2011-02" in warning
    # The late line is nobody's until January runs again; February does not swallow it.
    assert differences(before, {k: v for k, v in contents(settings.lake_root).items() if k[1] != "2011-02"}) == []
    assert "L1" not in {row["transaction_id"] for row in rows_of(settings.lake_root, "raw_transactions")}

    results = run(settings, [JAN, FEB], FIRST_HALF)
    assert not [text for result in results for text in result.warnings if "late_lines" in text]
    (late,) = [row for row in rows_of(settings.lake_root, "raw_transactions") if row["transaction_id"] == "L1"]
    assert f"{late['month']:%Y-%m}" == "2011-01"
    assert late["source_file"] == late_file
    assert len(rows_of(settings.lake_root, "raw_transactions")) == sum(map(len, lines.values())) + 1
    changed = differences(before, {k: v for k, v in contents(settings.lake_root).items() if k[1] != "2011-02"})
    assert changed == ["cleaned_transactions 2011-01", "purchase_days 2011-01", "raw_transactions 2011-01"]
    assert len(rows_of(settings.lake_root, "rejected_transactions")) == 2 * len(DIRT)


def test_a_corrected_old_month_reaches_later_ones_when_they_run(ran: Ran, copy: Path) -> None:
    deliver(copy / "shop", {JAN: [LATE]}, "correction.csv")
    settings = settings_in(copy)
    half = [*FIRST_HALF, "rfm_summary", "repeat_customers"]
    run(settings, [JAN], half)
    assert "C888" in {row["customer_id"] for row in rows_of(settings.lake_root, "rfm_summary", "2011-01")}
    assert "C888" not in {row["customer_id"] for row in rows_of(settings.lake_root, "rfm_summary", "2011-04")}
    run(settings, [APR], half)
    (row,) = [r for r in rows_of(settings.lake_root, "rfm_summary", "2011-04") if r["customer_id"] == "C888"]
    assert row["T"] == 100.0  # from 20 January to 30 April
