"""Columns that no setting uses are kept as text, in every form of delivery."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cltv_assets.errors import ConfigError
from cltv_assets.months import Month
from cltv_assets.settings import load_settings
from cltv_assets.sources.meaning import others_as_json
from cltv_assets.sources.parts import weight
from cltv_assets_tests.sources.conftest import COLUMNS, HEADER, Opener, landed, read_all

NAMES = [*HEADER.split(","), "coupon", "a note"]
#: Of each line what no setting uses: short codes, and texts with all that JSON writes in another way.
OTHERS = [
    {"coupon": "SPRING", "a note": 'say "hi"\\ to all'},
    {},
    {"a note": "first\nsecond\té"},
    {"coupon": "NA"},
]
ROWS = [[str(at), "c1", f"2024-01-0{at + 1}", "5", *map(other.get, NAMES[4:])] for at, other in enumerate(OTHERS)]


def csv_text(rows: list[list[Any]] = ROWS) -> str:
    fields = ['"' + (text or "").replace('"', '""') + '"' for row in rows for text in row]
    lines = [",".join(fields[at : at + len(NAMES)]) for at in range(0, len(fields), len(NAMES))]
    return "\n".join([",".join(NAMES), *lines]) + "\n"


def as_csv(folder: Path) -> dict[str, Any]:
    (folder / "in.csv").write_text(csv_text())
    return {"path": "in.csv"}


def as_long_csv(folder: Path) -> dict[str, Any]:
    # Long enough for Arrow, and without line breaks in fields.
    rows = [ROWS[0], ROWS[1], *[[str(at), "c1", "2024-02-01", "5", "LATER", None] for at in range(2_000)]]
    plain = [[(text or "").replace('"', "") for text in row] for row in rows]
    (folder / "in.csv").write_text("\n".join([",".join(NAMES), *map(",".join, plain)]) + "\n")
    return {"path": "in.csv"}


def as_json_lines(folder: Path) -> dict[str, Any]:
    lines = [json.dumps({k: v for k, v in zip(NAMES, row, strict=True) if v is not None}) for row in ROWS]
    (folder / "in.jsonl").write_text("\n".join(lines) + "\n")
    return {"kind": "jsonl", "path": "in.jsonl"}


def as_workbook(folder: Path) -> dict[str, Any]:
    book = openpyxl.Workbook()
    for row in [NAMES, *ROWS]:
        book.active.append(row)
    book.save(folder / "in.xlsx")
    return {"kind": "excel", "path": "in.xlsx"}


def as_parquet(folder: Path) -> dict[str, Any]:
    table = pa.table(
        {name: pa.array(column, pa.string()) for name, column in zip(NAMES, zip(*ROWS, strict=True), strict=True)}
    )
    # What is no plain value has no text, and is left out.
    pq.write_table(table.append_column("basket", pa.array([[1]] * len(ROWS))), folder / "in.parquet")
    return {"kind": "parquet", "path": "in.parquet"}


def as_table(folder: Path) -> dict[str, Any]:
    with sqlite3.connect(folder / "in.db") as connection:
        columns = ", ".join(f'"{name}" text' for name in NAMES)
        connection.execute(f"create table orders ({columns})")
        connection.executemany("insert into orders values (?, ?, ?, ?, ?, ?)", ROWS)
    connection.close()
    return {"kind": "sql", "path": "in.db", "source_table": "orders", "source_keep_other_columns": True}


def as_query(folder: Path) -> dict[str, Any]:
    as_csv(folder)
    return {"path": None, "source_paths": {"lines": "in.csv"}, "source_query": "SELECT * FROM lines"}


@pytest.mark.parametrize("form", [as_csv, as_json_lines, as_workbook, as_parquet, as_table, as_query])
def test_fields_that_nothing_maps_are_kept_as_they_are(
    tmp_path: Path, open_at: Opener, form: Callable[[Path], dict[str, Any]]
) -> None:
    rows = landed(open_at(**form(tmp_path)), "2024-01", tmp_path / "out")
    found = [row["other_columns"] and json.loads(row["other_columns"]) for row in rows]
    assert found == [other or None for other in OTHERS]


def test_a_long_file_and_each_batch_of_it(tmp_path: Path, open_at: Opener) -> None:
    source = open_at(**as_long_csv(tmp_path))
    january = landed(source, "2024-01", tmp_path / "out")
    assert [row["other_columns"] for row in january] == ['{"coupon": "SPRING", "a note": "say hi\\\\ to all"}', None]
    february = landed(source, "2024-02", tmp_path / "out")
    assert {row["other_columns"] for row in february} == {'{"coupon": "LATER"}'}


@pytest.mark.parametrize(
    ("keep", "kept"),
    [(False, None), (["a note"], '{"a note": "n"}'), (["a note", "nowhere"], '{"a note": "n"}')],
)
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_nothing_or_some_columns_alone_may_be_kept(
    tmp_path: Path, open_at: Opener, kind: str, keep: Any, kept: str | None
) -> None:
    row = ["1", "c", "2024-01-01", "5", "X", "n"]
    (tmp_path / "in.csv").write_text(f"{','.join(NAMES)}\n{','.join(row)}\n")
    (tmp_path / "in.jsonl").write_text(json.dumps(dict(zip(NAMES, row, strict=True))))
    source = open_at(f"in.{kind}", kind, source_keep_other_columns=keep)
    assert [row["other_columns"] for row in read_all(source)] == [kept]


def test_a_name_to_keep_that_no_file_has_is_told(tmp_path: Path, open_at: Opener) -> None:
    (tmp_path / "in.csv").write_text(csv_text())
    said = open_at("in.csv", source_keep_other_columns=["coupon", "a nite"]).unused_columns()
    assert said == ["source.keep_other_columns names 'a nite', which no file has that was looked at: correct it."]


def test_a_table_is_not_copied_unless_it_is_asked_for(tmp_path: Path, open_at: Opener) -> None:
    given = as_table(tmp_path)
    del given["source_keep_other_columns"]
    assert {row["other_columns"] for row in landed(open_at(**given), "2024-01", tmp_path / "out")} == {None}


def test_each_file_has_columns_of_its_own(tmp_path: Path, open_at: Opener) -> None:
    (tmp_path / "1.csv").write_text(f"{HEADER},x\n1,c,2024-01-01,5,a\n")
    (tmp_path / "2.csv").write_text(f"y,{HEADER},\nb,1,c,2024-01-01,5,end\n")
    (tmp_path / "3.csv").write_text(f"{HEADER},x,x\n1,c,2024-01-01,5,a,again\nshort\n")
    rows = read_all(open_at("*.csv"))
    # A column without a name, and the second of one name, are told by their position; a line that could not be split
    # is kept whole as it was.
    assert [row["other_columns"] for row in rows] == [
        '{"x": "a"}', '{"y": "b", "6": "end"}', '{"x": "a", "x (6)": "again"}', None,
    ]  # fmt: skip
    assert rows[-1]["source_text"] == "short"


def test_what_is_only_looked_at_is_kept_and_what_has_a_column_is_not(tmp_path: Path, open_at: Opener) -> None:
    (tmp_path / "in.csv").write_text(
        f"{HEADER},state,kind,country,back\n1,c,2024-01-01,5,paid,sale,DE,2\n2,c,2024-01-01,5,void,test,FR,\n"
    )
    source = open_at(
        "in.csv",
        source_columns={**COLUMNS, "status": "state", "attributes": ["country"], "refund_amount": "back"},
        source_count_status=["paid"],
        source_where={"kind": "sale"},
    )
    rows = [(row["booked_as"], row["other_columns"]) for row in read_all(source)]
    paid = '{"state": "paid", "kind": "sale"}'
    assert rows == [(None, paid), ("refund", paid), (None, '{"state": "void", "kind": "test"}')]


def test_json_keeps_what_only_later_lines_have_and_what_is_no_plain_value(tmp_path: Path, open_at: Opener) -> None:
    line = {"id": "1", "customer": "c", "when": "2024-01-01", "value": 5}
    late = {
        **line,
        "basket": [{"sku": "a", "price": 1.25}],
        "gift": True,
        "shop": {"till": 7},
        "gone": None,
        "bad": "\ud83d",
    }
    (tmp_path / "in.jsonl").write_text("\n".join([*[json.dumps(line)] * 1_100, json.dumps(late)]))
    rows = read_all(open_at("in.jsonl", "jsonl"))
    assert {row["other_columns"] for row in rows[:-1]} == {None}
    assert rows[-1]["source_text"] is None
    assert json.loads(rows[-1]["other_columns"]) == {
        "basket": [{"sku": "a", "price": "1.25"}], "gift": "true", "shop.till": "7", "bad": "\ud83d",
    }  # fmt: skip


def test_a_change_in_them_alone_makes_no_month_again(tmp_path: Path, open_at: Opener) -> None:
    def digest(text: str, **source: Any) -> str:
        (tmp_path / "in.csv").write_text(text)
        opened = open_at("in.csv", source_version=None, **source)
        [file] = opened.list_files()
        return opened.contents([file])[file].months[Month.parse("2024-01")].digest

    text = f"{HEADER},exported\n1,c,2024-01-01,5,monday\n"
    first = digest(text)
    assert digest(text.replace("monday", "tuesday")) == first
    assert digest(text, source_keep_other_columns=False) == first
    assert digest(text.replace(",5,", ",6,")) != first


def test_text_of_every_kind_is_written_as_json() -> None:
    texts = ["", '"', "\\", "\\n", "\n", "\x00\x1f\x7f", "é€🎁", "a, b: {c}", None]
    found = others_as_json({'n"\\': pa.array(texts, pa.string()), "empty": pa.nulls(len(texts), pa.string())})
    assert found is not None
    read = [text and json.loads(text) for text in found.to_pylist()]
    assert read == [None if text is None else {'n"\\': text} for text in texts]
    # A part of an array has its own bytes only.
    assert others_as_json({"n": pa.array(['"', "a"]).slice(1)}).to_pylist() == ['{"n": "a"}']


def test_long_lines_wait_in_smaller_numbers() -> None:
    short, long = pa.table({"other_columns": ["x"] * 100}), pa.table({"other_columns": ["x" * 51_200] * 100})
    assert weight(short) == 100
    # A hundredth of their number fills a group, by their bytes.
    assert 100 * 100 <= weight(long) <= 101 * 100


def test_a_column_that_is_mapped_needs_no_keeping(tmp_path: Path) -> None:
    (tmp_path / "cltv.yaml").write_text(
        "start_month: 2024-01\nsource: {kind: csv, path: a.csv, keep_other_columns: [day], "
        "columns: {customer_id: who, transacted_at: day, amount: total}}\n"
    )
    with pytest.raises(ConfigError, match="keep_other_columns names 'day', which columns keeps already"):
        load_settings(tmp_path / "cltv.yaml")
