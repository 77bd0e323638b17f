"""A file whose times cannot be read is refused as a file, with the format that reads them."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pytest

from cltv_assets.errors import SourceError
from cltv_assets.months import Month
from cltv_assets.sources.proposing import proposed_formats
from cltv_assets_tests.sources.conftest import HEADER, Opener

JAN = Month.parse("2024-01")
AT = dt.datetime(2024, 3, 25, 17, 8, 9)


@pytest.mark.parametrize(
    "fmt",
    [
        "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y %H:%M", "%m-%d-%Y %H:%M:%S", "%d.%m.%Y %H:%M", "%m/%d/%y %I:%M %p",
        "%m/%d/%Y, %I:%M:%S %p", "%d.%m.%y", "%Y/%m/%d %H:%M", "%d %b %Y", "%d-%b-%Y %H:%M", "%b %d, %Y",
        "%a, %d %b %Y %H:%M:%S",
    ],
)  # fmt: skip
def test_a_usual_format_is_found(fmt: str) -> None:
    assert proposed_formats([AT.strftime(fmt), AT.replace(month=12, day=31).strftime(fmt)]) == [fmt]


@pytest.mark.parametrize(
    ("text", "formats"),
    [
        ("2024-03-25T17:08:09Z", ["iso"]),
        ("20240325", ["iso"]),
        ("1711386489", ["epoch_s"]),
        ("1711386489000", ["epoch_ms"]),
        ("1711386489000000", ["epoch_us"]),
        ("45376.7139", ["excel_serial"]),
        # Days that exist in both orders do not tell; the 31st of February does not exist in either.
        ("03/04/2024", ["%d/%m/%Y", "%m/%d/%Y"]),
        ("31/02/2024", []),
        ("25/03/2024 13:00 PM", []),
        ("soon", []),
        ("7", []),
    ],
)
def test_what_a_text_can_mean(text: str, formats: list[str]) -> None:
    assert proposed_formats([text]) == formats


def test_no_texts_propose_nothing() -> None:
    assert proposed_formats([]) == []


def deliver(folder: Path, *times: str) -> None:
    lines = [f"{number},c,{time},1" for number, time in enumerate(times)]
    (folder / "a.csv").write_text("\n".join([HEADER, *lines, ""]))


def test_a_file_of_other_times_is_not_landed(tmp_path: Path, open_at: Opener) -> None:
    deliver(tmp_path, *("2024-01-02",) * 9, *("01/25/2024",) * 11)
    expected = (
        r"a\.csv, column 'when': 11 of its 20 lines \(55%\) have no time that source\.timestamp_format 'iso' can read; "
        r"see line 11\. Line 11 holds '01/25/2024', line 12 holds '01/25/2024', line 13 holds '01/25/2024'\. "
        r"Set source\.timestamp_format: \['iso', '%m/%d/%Y'\], which reads all of them\."
    )
    for act in (lambda: open_at("a.csv").land(JAN, tmp_path / "into"), lambda: open_at("a.csv").inspect()):
        with pytest.raises(SourceError, match=expected.replace("its 20", "its (first )?20")):
            act()
    # With that format, and as one that is told to bear it, the file is landed.
    done = open_at("a.csv", source_timestamp_format=["iso", "%m/%d/%Y"]).land(JAN, tmp_path / "done")
    assert (done.lines, done.undatable) == (20, 0)
    borne = open_at("a.csv", checks={"reject_share": 0.6}).land(JAN, tmp_path / "borne")
    assert (borne.lines, borne.undatable) == (20, 11)


def test_few_lines_and_lines_that_do_not_count_say_nothing(tmp_path: Path, open_at: Opener) -> None:
    deliver(tmp_path, *("2024-01-02",) * 8, *("01/25/2024",) * 11)
    assert open_at("a.csv").land(JAN, tmp_path / "few").undatable == 11
    lines = [f"{n},c,{'2024-01-02' if n < 9 else ''},{'paid' if n < 9 else 'open'}" for n in range(40)]
    (tmp_path / "b.csv").write_text("\n".join([HEADER, *lines, ""]))
    where = {"value": "paid"}
    assert open_at("b.csv", source_where=where).land(JAN, tmp_path / "open").undatable == 31


def test_day_and_month_that_could_be_swapped(tmp_path: Path, open_at: Opener) -> None:
    deliver(tmp_path, *("01/02/2024",) * 20)
    with pytest.raises(SourceError, match=r"'%d/%m/%Y' or '%m/%d/%Y'\. Each reads all of them, .* could be swapped"):
        open_at("a.csv").land(JAN, tmp_path / "into")


def test_lines_without_any_time(tmp_path: Path, open_at: Opener) -> None:
    deliver(tmp_path, *("",) * 20)
    with pytest.raises(SourceError, match=r"none of its 20 lines has a time.*Line 2 holds nothing.*transacted_at"):
        open_at("a.csv").land(JAN, tmp_path / "into")
