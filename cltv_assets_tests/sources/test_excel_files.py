"""What is read from workbooks, with the row numbers that Excel shows."""

from __future__ import annotations

import datetime as dt
import sys
from pathlib import Path
from typing import Any

import openpyxl
import pytest

from cltv_assets.errors import SourceError
from cltv_assets_tests.sources.conftest import HEADER, Opener, read_all

NAMES = HEADER.split(",")
ROW = [1, "a", dt.datetime(2024, 1, 8, 4, 59, 53), 12.5]


def workbook(path: Path, hidden: tuple[str, ...] = (), **sheets: dict[int, list[Any]]) -> None:
    """Write a workbook; a sheet is its rows by their number."""
    book = openpyxl.Workbook()
    del book[book.sheetnames[0]]
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        sheet.sheet_state = "hidden" if name in hidden else "visible"
        for number, row in rows.items():
            for column, value in enumerate(row, 1):
                sheet.cell(number, column).value = value
    book.save(path)


def test_cells_become_text_and_rows_keep_their_numbers(tmp_path: Path, open_at: Opener) -> None:
    rows = {
        3: ["", *NAMES, "note"],
        5: ["", 17850, "00012", *ROW[2:]],
        8: ["", 12345678, True, dt.datetime(2024, 1, 9), 1e-7],
        9: ["", None, 4.25, dt.time(4, 5), 123456789012345],
        10: [*[""] * 5, "a note alone"],
    }
    workbook(tmp_path / "book.xlsx", Orders=rows)
    names = ("source_file", "source_line", "transaction_id", "customer_id", "transacted_at", "amount")
    assert [tuple(row[name] for name in names) for row in read_all(open_at(".", "excel"))] == [
        ("book.xlsx/Orders", 5, "17850", "00012", "2024-01-08 04:59:53", "12.5"),
        ("book.xlsx/Orders", 8, "12345678", "true", "2024-01-09", "0.0000001"),
        ("book.xlsx/Orders", 9, None, "4.25", "04:05:00", "123456789012345"),
        ("book.xlsx/Orders", 10, None, None, None, None),
    ]


def test_all_sheets_with_the_columns_are_read_and_the_others_known(tmp_path: Path, open_at: Opener) -> None:
    (tmp_path / "~$book.xlsx").write_bytes(b"open")
    orders = {1: NAMES, 2: ROW}
    workbook(tmp_path / "book.xlsx", ("Copy",), Jan=orders, Notes={1: ["by", "me"]}, Feb=orders, Copy=orders, None_={})
    source = open_at(".", "excel")
    assert [row["source_file"] for row in read_all(source)] == ["book.xlsx/Feb", "book.xlsx/Jan"]
    assert source.skipped_files() == ["book.xlsx/Copy", "book.xlsx/None_", "book.xlsx/Notes"]
    assert source.inspect().columns == tuple(NAMES)
    named = open_at("book.xlsx", "excel", source_sheet=["Copy"])
    assert [row["source_file"] for row in read_all(named)] == ["book.xlsx/Copy"]


def test_a_sheet_without_header(tmp_path: Path, open_at: Opener) -> None:
    workbook(tmp_path / "book.xlsx", A={1: [None, "Report"], 3: [None, *ROW], 4: [None, *ROW]})
    columns = {"transaction_id": 2, "customer_id": 3, "transacted_at": 4, "amount": 5}
    rows = read_all(open_at("book.xlsx", "excel", source_columns=columns, source_header=False, source_skip_rows=1))
    assert [(row["source_line"], row["customer_id"]) for row in rows] == [(3, "a"), (4, "a")]


@pytest.mark.parametrize(
    ("sheets", "options", "expected"),
    [
        (
            {"A": {1: NAMES}, "B": {1: ["id", "customr", "when", "value"]}},
            {},
            ["book.xlsx/B, row 1", "'customr'", "source.sheet"],
        ),
        ({"A": {1: ["x"]}}, {}, ["book.xlsx/A, row 1: no columns"]),
        ({"A": {1: ["Report"], 4: NAMES, 5: ROW}}, {}, ["book.xlsx/A, row 1", "line 4", "source.skip_rows: 3"]),
        ({"A": {1: NAMES}}, {"sheet": "B"}, ["no sheet 'B'", "Its sheets are A", "source.sheet"]),
    ],
)
def test_a_sheet_that_cannot_be_read(
    tmp_path: Path, open_at: Opener, sheets: dict[str, Any], options: dict[str, Any], expected: list[str]
) -> None:
    workbook(tmp_path / "book.xlsx", **sheets)
    with pytest.raises(SourceError) as raised:
        read_all(open_at("book.xlsx", "excel", **{f"source_{k}": v for k, v in options.items()}))
    assert [words for words in expected if words not in str(raised.value)] == []


def test_what_is_no_workbook(tmp_path: Path, open_at: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.xls").write_text(f"{HEADER}\n")
    with pytest.raises(SourceError, match=r"a\.xls is not a readable Excel workbook.*source\.kind: csv"):
        read_all(open_at("a.xls", "excel"))
    monkeypatch.setitem(sys.modules, "python_calamine", None)
    with pytest.raises(SourceError, match=r"needs the extra excel.*cltv-assets\[excel\]"):
        read_all(open_at(".", "excel"))
