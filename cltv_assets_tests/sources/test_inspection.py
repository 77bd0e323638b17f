"""What ``cltv doctor`` learns about a source."""

from __future__ import annotations

from pathlib import Path

import pytest

from cltv_assets.errors import SourceError
from cltv_assets.months import Month
from cltv_assets.sources import inspection
from cltv_assets_tests.sources.conftest import HEADER, Opener


def test_a_report(tmp_path: Path, open_at: Opener) -> None:
    (tmp_path / "a.csv").write_text(f"{HEADER}\n1,c,2023-11-02,1\n1,c,soon,1\nshort\n1,c,2999-01-01,1\n")
    (tmp_path / "b.csv").write_text(f"{HEADER}\n")
    (tmp_path / "c.csv").write_text(f"{HEADER}\n1,c,2024-03-02,1\n")
    report = open_at(".").inspect()
    assert (report.files, report.bytes) == (3, sum(p.stat().st_size for p in tmp_path.glob("*.csv")))
    assert report.columns == ("id", "customer", "when", "value")
    assert (report.first_month, report.last_month) == (Month.parse("2023-11"), Month.parse("2024-03"))
    assert (report.sampled_lines, report.malformed, report.undatable, report.future) == (5, 1, 1, 1)
    assert report.whole
    assert sorted(report.sample["source_line"].to_pylist()) == [2, 2, 3, 4, 5]


def test_a_large_file_is_read_at_its_beginning_its_middle_and_its_end(
    tmp_path: Path, open_at: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspection, "WHOLE_BYTES", 1 << 10)
    monkeypatch.setattr(inspection, "RANGE_BYTES", 1 << 16)
    lines = [f"{n},c{n % 7},2024-0{1 + n % 3}-02,{n}.5" for n in range(2, 40_002)]
    (tmp_path / "a.csv").write_text("\n".join([HEADER, *lines]) + "\n")
    report = open_at(".").inspect()
    assert not report.whole
    numbers = report.sample["source_line"].to_pylist()
    # Each line still has its own number.
    assert report.sample["transaction_id"].to_pylist() == [str(number) for number in numbers]
    assert min(numbers) == 2
    assert max(numbers) == 40_001
    assert any(15_000 < number < 25_000 for number in numbers)
    assert len(numbers) <= 3 * inspection.SAMPLE_LINES


def test_every_header_is_checked(tmp_path: Path, open_at: Opener) -> None:
    for name in "abc":
        (tmp_path / f"{name}.csv").write_text(f"{HEADER}\n1,c,2024-01-01,1\n")
    (tmp_path / "b.csv").write_text("id,customer,when,price\n")
    with pytest.raises(SourceError, match=r"b\.csv, line 1: no column 'value'"):
        open_at(".").inspect()


def test_deliveries_that_are_missing(tmp_path: Path, open_at: Opener) -> None:
    for month in ("2024-01", "2024-03", "2024-06"):
        (tmp_path / f"{month}.csv").write_text(f"{HEADER}\n")
    report = open_at("{month}.csv").inspect()
    assert [month.key for month in report.deliveries] == ["2024-01", "2024-03", "2024-06"]
    assert [month.key for month in report.missing_deliveries] == ["2024-02", "2024-04", "2024-05"]
    assert report.first_month is None
    with pytest.raises(SourceError, match="2024-01 is missing"):
        open_at("x{month}.csv").inspect()


def test_times_that_none_of_the_lines_has(tmp_path: Path, open_at: Opener) -> None:
    (tmp_path / "a.csv").write_text(f"{HEADER}\n" + "1,c,1/12/2024 8:26,1\n" * 3)
    with pytest.raises(
        SourceError, match=r"a\.csv, column 'when': none of its first 3 lines.*see line 2.*Line 2 holds '1/12/2024 8"
    ):
        open_at("a.csv").inspect()


def test_lines_none_of_which_fits_the_header(tmp_path: Path, open_at: Opener) -> None:
    (tmp_path / "a.csv").write_text(f"{HEADER}\n" + "1,c,2024-01-01,1,\n" * 3)
    with pytest.raises(SourceError, match=r"a\.csv: none of 3 lines has as many fields.*see line 2.*Line 2 reads"):
        open_at("a.csv").inspect()
