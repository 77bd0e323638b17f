"""Which month a line belongs to, and that every line belongs somewhere."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from cltv_assets.errors import SourceError
from cltv_assets.months import Month
from cltv_assets.sources.csv_files import CsvReader
from cltv_assets.sources.delivered import RAW_TRANSACTIONS
from cltv_assets_tests.sources.conftest import HEADER, TODAY, Opener, landed

MONTHS = [f"2024-{m:02d}" for m in range(1, 6)]


def ids(rows: list[dict[str, object]]) -> list[object]:
    return [row["transaction_id"] for row in rows]


def write(path: Path, *times: str) -> None:
    """Write a line for each time; its transaction is the time too."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{HEADER}\n" + "".join(f"{t},c,{t},1\n" if t != "?" else "short\n" for t in times))


def test_lines_go_to_the_month_of_their_time(tmp_path: Path, open_at: Opener) -> None:
    write(tmp_path / "in/b.csv", "2024-02-01", "2024-01-31", "2024-02-29 23:59:59")
    write(tmp_path / "in/a.csv", "2024-03-01T00:00", "20240215")
    source = open_at("in")
    assert ids(landed(source, "2024-01", tmp_path)) == ["2024-01-31"]
    february = landed(source, "2024-02", tmp_path)
    assert [(r["source_file"], r["source_line"]) for r in february] == [("a.csv", 3), ("b.csv", 2), ("b.csv", 4)]
    assert ids(landed(source, "2024-03", tmp_path)) == ["2024-03-01T00:00"]
    assert landed(source, "2024-04", tmp_path) == []


def test_the_files_have_the_declared_schema(tmp_path: Path, open_at: Opener) -> None:
    write(tmp_path / "a.csv", "2024-02-01", "?")
    source = open_at("a.csv")
    for month in ("2024-01", "2024-02"):
        for file in source.land(Month.parse(month), tmp_path / month).files:
            assert pq.read_schema(file).remove_metadata() == RAW_TRANSACTIONS.arrow


def test_what_has_no_month_of_its_own(tmp_path: Path, open_at: Opener) -> None:
    future = f"{TODAY + dt.timedelta(days=2)}"
    write(tmp_path / "in/a.csv", "?", "soon", future, "9999-12-31", "2024-03-05", "2024-04-01", "")
    write(tmp_path / "in/b.csv", "soon", "?")
    write(tmp_path / "in/c.csv", "2023-06-01", "soon", "2024-05-01")
    write(tmp_path / "in/d.csv", "2024-06-10", "soon")
    source = open_at("in")
    march = source.land(Month.parse("2024-03"), tmp_path / "x")
    assert (march.lines, march.malformed, march.undatable, march.future) == (6, 1, 2, 2)
    # Without a readable line, or with an earlier one only: the first month; with a later one only: the last.
    first = landed(source, "2024-01", tmp_path)
    assert [(r["source_file"], r["source_line"]) for r in first] == [("b.csv", 2), ("b.csv", 3), ("c.csv", 3)]
    assert ids(landed(source, "2024-05", tmp_path)) == ["2024-05-01", "soon"]
    assert (march.before_first, march.after_last, march.out_of_reach) == (1, 1, 0)
    assert sum(source.line_counts().values()) + march.before_first + march.after_last == 7 + 2 + 3 + 2


def test_tomorrow_is_not_the_future(tmp_path: Path, open_at: Opener) -> None:
    write(tmp_path / "a.csv", "2024-06-16 23:59:59", "2024-06-17", "2024-02-01")
    source = open_at("a.csv")
    landing = source.land(Month.parse("2024-02"), tmp_path / "x")
    assert (landing.lines, landing.future, landing.after_last) == (2, 1, 1)


def test_the_range_may_end_early(tmp_path: Path, open_at: Opener) -> None:
    write(tmp_path / "a.csv", "2024-02-01", "2024-03-01", "2023-12-31")
    source = open_at("a.csv", end_month="2024-02")
    landing = source.land(Month.parse("2024-02"), tmp_path / "x")
    assert (landing.lines, landing.before_first, landing.after_last) == (1, 1, 1)
    assert source.line_counts() == {Month.parse("2024-01"): 0, Month.parse("2024-02"): 1}


def test_months_are_those_of_the_time_zone(tmp_path: Path, open_at: Opener) -> None:
    write(tmp_path / "a.csv", "2024-01-31T23:30:00Z", "2024-02-01 00:10", "2024-01-31T22:59:59+00:00")
    source = open_at("a.csv", time_zone="Europe/Berlin")
    assert ids(landed(source, "2024-01", tmp_path)) == ["2024-01-31T22:59:59+00:00"]
    assert ids(landed(source, "2024-02", tmp_path)) == ["2024-01-31T23:30:00Z", "2024-02-01 00:10"]


def test_other_time_formats(tmp_path: Path, open_at: Opener) -> None:
    write(tmp_path / "a.csv", "01/02/2024 08:26", "2024-02-01")
    source = open_at("a.csv", source_timestamp_format="%d/%m/%Y %H:%M")
    landing = source.land(Month.parse("2024-02"), tmp_path / "x")
    assert (landing.lines, landing.undatable) == (2, 1)


def test_no_month_has_closed_yet(tmp_path: Path, open_at: Opener) -> None:
    write(tmp_path / "a.csv", "2024-06-01", "soon")
    source = open_at("a.csv", start_month="2024-06")
    assert source.line_counts() == {}
    landing = source.land(Month.parse("2024-06"), tmp_path / "x")
    assert (landing.lines, landing.undatable, landing.after_last) == (2, 1, 2)


@pytest.fixture
def monthly(tmp_path: Path) -> Path:
    write(tmp_path / "2023-12.csv", "2024-01-01", "2023-12-30")
    write(tmp_path / "2024-01.csv", "2024-01-02", "2024-02-01", "2023-12-31", "soon")
    write(tmp_path / "2024-02.csv", "2024-02-03", "?", "2999-01-01", "2024-01-03")
    write(tmp_path / "2024-04.csv", "2024-01-04", "2024-04-01")
    write(tmp_path / "2024-05.csv", "2024-01-05", "2024-05-01", "2024-06-01")
    write(tmp_path / "2024-06.csv", "2024-05-02", "2024-06-02")
    return tmp_path


def test_deliveries_by_month(monthly: Path, tmp_path: Path, open_at: Opener) -> None:
    source = open_at("{month}.csv")
    # From the delivery before, its own, and three later ones; the fifth month's line comes too late.
    assert ids(landed(source, "2024-01", tmp_path)) == ["2024-01-01", "2024-01-02", "soon", "2024-01-03", "2024-01-04"]
    assert ids(landed(source, "2024-02", tmp_path)) == ["2024-02-01", "2024-02-03", None, "2999-01-01"]
    landing = source.land(Month.parse("2024-05"), tmp_path / "x")
    assert (landing.lines, landing.late, landing.after_last, landing.out_of_reach) == (2, 1, 1, 1)
    assert landing.source_files == 3
    january = source.land(Month.parse("2024-01"), tmp_path / "y")
    assert (january.late, january.before_first, january.undatable) == (3, 1, 1)


def test_deliveries_add_up(monthly: Path, tmp_path: Path, open_at: Opener) -> None:
    write(tmp_path / "2024-03.csv")
    source = open_at("{month}.csv")
    landings = [source.land(Month.parse(month), tmp_path / month) for month in MONTHS]
    inside = sum(landing.lines for landing in landings)
    outside = sum(landing.before_first + landing.after_last + landing.out_of_reach for landing in landings)
    # Of the deliveries before and after the range only what falls into it is told.
    assert inside + outside == 17 - 2
    assert source.line_counts() == {landing.month: landing.lines for landing in landings}


def test_how_late_lines_may_be_is_a_setting(monthly: Path, tmp_path: Path, open_at: Opener) -> None:
    source = open_at("{month}.csv", source_late_months=0)
    assert ids(landed(source, "2024-01", tmp_path)) == ["2024-01-01", "2024-01-02", "soon"]
    assert source.line_counts([Month.parse("2024-05")]) == {Month.parse("2024-05"): 1}


def test_a_month_that_was_not_delivered(monthly: Path, tmp_path: Path, open_at: Opener) -> None:
    source = open_at("{month}.csv")
    with pytest.raises(SourceError, match=r"2024-03 is missing.*2024-03\.csv.*there are 2023-12, 2024-01, 2024-02, 20"):
        source.land(Month.parse("2024-03"), tmp_path / "x")
    assert source.line_counts()[Month.parse("2024-03")] == 0
    with pytest.raises(SourceError, match="Nothing there matches it for any month"):
        open_at("sales-{month}.csv").land(Month.parse("2024-03"), tmp_path / "x")
    with pytest.raises(SourceError, match=r"matches no file.*holds"):
        open_at("nowhere/{month}.csv").land(Month.parse("2024-03"), tmp_path / "x")


def count_reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    reads: list[str] = []
    read = CsvReader.read

    def counted(self: CsvReader, file: object) -> object:
        reads.append(file.name)  # type: ignore[attr-defined]
        return read(self, file)  # type: ignore[arg-type]

    monkeypatch.setattr(CsvReader, "read", counted)
    return reads


def test_each_file_is_parsed_once(tmp_path: Path, open_at: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = count_reads(monkeypatch)
    write(tmp_path / "in/a.csv", "2024-02-01", "2024-03-01", "soon")
    write(tmp_path / "in/b.csv", "2024-02-02")
    for month in MONTHS:
        open_at("in").land(Month.parse(month), tmp_path / month)
    open_at("in").line_counts()
    assert reads == ["a.csv", "b.csv"]


def test_only_changed_files_are_parsed_again(tmp_path: Path, open_at: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path / "in/a.csv", "2024-02-01", "2024-03-01", "soon")
    write(tmp_path / "in/b.csv", "2024-02-02")
    source = open_at("in")
    assert ids(landed(source, "2024-02", tmp_path)) == ["2024-02-01", "soon", "2024-02-02"]
    reads = count_reads(monkeypatch)
    write(tmp_path / "in/a.csv", "2024-02-09", "2024-01-01", "soon", "2024-02-03")
    write(tmp_path / "in/c.csv", "2024-02-04")
    assert ids(landed(source, "2024-02", tmp_path)) == ["2024-02-09", "soon", "2024-02-03", "2024-02-02", "2024-02-04"]
    assert ids(landed(source, "2024-01", tmp_path)) == ["2024-01-01"]
    assert landed(source, "2024-03", tmp_path) == []
    assert reads == ["a.csv", "c.csv"]
    # Of the same size: the time of the change tells.
    write(tmp_path / "in/c.csv", "2024-03-04")
    os.utime(tmp_path / "in/c.csv", ns=(1, 1))
    assert ids(landed(source, "2024-03", tmp_path)) == ["2024-03-04"]
    (tmp_path / "in/a.csv").unlink()
    assert ids(landed(source, "2024-02", tmp_path)) == ["2024-02-02"]
    assert sum(source.line_counts().values()) == 2


def test_a_file_that_fails_leaves_the_cache_as_it_was(tmp_path: Path, open_at: Opener) -> None:
    write(tmp_path / "in/a.csv", "2024-02-01")
    source = open_at("in")
    landed(source, "2024-02", tmp_path)
    (tmp_path / "in/b.csv").write_text("nothing\n")
    write(tmp_path / "in/a.csv", "2024-02-01", "2024-02-02")
    with pytest.raises(SourceError, match=r"b\.csv, line 1: no columns"):
        source.land(Month.parse("2024-02"), tmp_path / "x")
    (tmp_path / "in/b.csv").unlink()
    assert ids(landed(source, "2024-02", tmp_path)) == ["2024-02-01", "2024-02-02"]


def test_a_new_day_opens_the_next_month(tmp_path: Path, open_at: Opener) -> None:
    write(tmp_path / "a.csv", "2024-06-01", "2024-05-01", "2024-07-09")
    source = open_at("a.csv")
    landing = source.land(Month.parse("2024-05"), tmp_path / "x")
    assert (landing.lines, landing.future, landing.after_last) == (2, 1, 1)
    source.today = dt.date(2024, 7, 8)
    landing = source.land(Month.parse("2024-06"), tmp_path / "x")
    assert (landing.lines, landing.future, landing.after_last) == (1, 0, 1)
    source.today = TODAY


def test_names_with_quotes_and_percent_signs(tmp_path: Path, open_at: Opener) -> None:
    write(tmp_path / "it's 100%/a'b*.csv", "2024-02-01")
    write(tmp_path / "it's 100%/slot=7/ü.csv", "2024-02-02")
    rows = landed(open_at("it's 100%"), "2024-02", tmp_path)
    assert [row["source_file"] for row in rows] == ["a'b*.csv", "slot=7/ü.csv"]
