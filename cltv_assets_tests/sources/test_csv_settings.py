"""CSV as shops write it: what the settings of the file's form change, and which one an error names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cltv_assets.errors import SourceError
from cltv_assets.sources import csv_blocks, csv_files
from cltv_assets_tests.sources.conftest import COLUMNS, HEADER, Opener, read_all

BY_POSITION = {"transaction_id": 1, "customer_id": 2, "transacted_at": 3, "amount": 4}
LINE = "1,a,2024-01-01,5"


def fields(rows: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """Return line number, customer and amount of each line, or its text."""
    return [(r["source_line"], r["source_text"] or (r["customer_id"], r["amount"])) for r in rows]


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        (f'Report\n\n"a,\n{HEADER}\n{LINE}\n', {"skip_rows": 3}, [(5, ("a", "5"))]),
        (f"{LINE}\n\n2,b,,6", {"header": False, "columns": BY_POSITION}, [(1, ("a", "5")), (3, ("b", "6"))]),
        (f'1,"a\nb",,5\n{LINE}\n', {"header": False, "columns": BY_POSITION}, [(1, ("a\nb", "5")), (3, ("a", "5"))]),
        (f"x\n{LINE}\n1,a\n", {"header": False, "skip_rows": 1, "columns": BY_POSITION}, [(2, ("a", "5")), (3, "1,a")]),
        (
            "1,a\n2,b,,6\n",
            {"header": False, "ragged": "pad", "columns": BY_POSITION},
            [(1, ("a", None)), (2, ("b", "6"))],
        ),
        ("", {"header": False, "columns": BY_POSITION}, []),
        (f"sep=;\r\n{HEADER}\r\n{LINE}\r\n".replace(",", ";"), {}, [(3, ("a", "5"))]),
        (f'\ufeff"sep=\t"\nnote\n{HEADER}\n{LINE}\n'.replace(",", "\t"), {"skip_rows": 2}, [(4, ("a", "5"))]),
        (f"{HEADER}\n1,a\n{LINE},,\n{LINE},x\n", {}, [(2, "1,a"), (3, f"{LINE},,"), (4, f"{LINE},x")]),
        (
            f"{HEADER}\n1,a\n{LINE},,\n{LINE},x\n",
            {"ragged": "pad"},
            [(2, ("a", None)), (3, ("a", "5")), (4, f"{LINE},x")],
        ),
        (f"{HEADER},\n{LINE},\n", {}, [(2, ("a", "5"))]),
        (
            f'{HEADER}\n1,"7 inch,2024-01-01,5\n1,x"y",,6\n',
            {"quoting": "none"},
            [(2, ('"7 inch', "5")), (3, ('x"y"', "6"))],
        ),
        (
            f'{HEADER}\n1,"say \\"hi\\", a\\\\",,5\n1,a\\,b\\\nc,,6\n1,\\N,,\\x\n',
            {"escape": "\\"},
            [(2, ('say "hi", a\\', "5")), (3, ("a,b\nc", "6")), (5, ("\\N", "\\x"))],
        ),
        (f"{HEADER}\r\n1,a\\\r\nb,,6\r\n1\\,a\r\n", {"escape": "\\"}, [(2, ("a\r\nb", "6")), (4, "1\\,a")]),
    ],
)
def test_the_form_of_a_file(
    tmp_path: Path, open_at: Opener, text: str, options: dict[str, Any], expected: list[tuple[Any, ...]]
) -> None:
    (tmp_path / "a.csv").write_bytes(text.encode())
    options = {"columns": COLUMNS, **options}
    assert fields(read_all(open_at("a.csv", **{f"source_{k}": v for k, v in options.items()}))) == expected


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        (f"Sales\nby day\n{HEADER}\n{LINE}\n", {}, ["a.csv, line 1", "line 3", "Set source.skip_rows: 2."]),
        (f"x\n{HEADER}\n", {"delimiter": ";"}, ["line 2", "source.skip_rows: 1"]),
        ("\n" * 60 + f"x\n{HEADER}\n", {}, ["line 61", "source.skip_rows: 61"]),
        (f"{LINE}\n{LINE}\n", {}, ["source.header: false"]),
        (f"{LINE}\n", {"header": False}, ["no columns 'id'", "1, 2, 3, 4"]),
        (f'{HEADER}\n{LINE}\n1,"7 inch,,5\n{LINE}\n', {}, ["line 3", "source.quoting: none"]),
        (f'{HEADER}\n1,"b,9,5\n{LINE}\n1,"c,9,5\n', {}, ["line 2", "2 lines after it", "source.quoting: none"]),
        (f'{HEADER},x\n{LINE},"b\n{LINE},c"\n', {}, ["line 2", "1 lines after it", "source.quoting: none"]),
        (f'{HEADER}\n1,"b,,5' + "\nx" * 101 + '"\n', {}, ["line 2", "101 lines after it", "source.quoting: none"]),
        ('{"id": 1, "customer": 2}\n', {}, ["JSON", "source.kind: jsonl"]),
    ],
)
def test_an_error_names_the_setting_that_reads_the_file(
    tmp_path: Path, open_at: Opener, text: str, options: dict[str, Any], expected: list[str]
) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(SourceError) as raised:
        read_all(open_at("a.csv", **{f"source_{k}": v for k, v in options.items()}))
    assert [words for words in expected if words not in str(raised.value)] == []


def test_line_breaks_in_fields_that_look_like_lines_are_no_fault(tmp_path: Path, open_at: Opener) -> None:
    (tmp_path / "a.csv").write_text(f'{HEADER}\n1,a,2024-01-01,"x\n,,,"\n')
    assert fields(read_all(open_at("a.csv"))) == [(2, ("a", "x\n,,,"))]


def test_quoted_line_breaks_are_counted_and_long_ones_are_read(tmp_path: Path, open_at: Opener) -> None:
    long = '2,"x' + "\n" * 150 + '",,5\n'
    (tmp_path / "a.csv").write_text(f'{HEADER}\n{LINE}\n1,"b\n\nc",,5\n{long}' * 3)
    source = open_at("a.csv")
    (file,) = source.list_files()
    # The header stands twice more, as a line.
    found = list(source.reader.read(file))
    assert (sum(lines.continued for lines in found), sum(len(lines.numbers) for lines in found)) == (456, 11)


QUOTED = ['""', 'a"b"', '"a"b', '"a""b"', '"', 'a"', ' "a"', '"a\nb"', "2024-01-01"]
ESCAPED = ["a\\N", "\\,", "\\\\", '\\"', '"a\\"b"', "\\"]
FIELD = st.sampled_from(["a", "", '"b"', '"x,y"', 'a"b', '"a', *QUOTED, *ESCAPED])
ROW = st.tuples(st.lists(FIELD, min_size=3, max_size=6).map(",".join), st.sampled_from(["\n", "\r\n"])).map("".join)
PIECES = st.one_of(
    ROW, ROW, st.just("1,a,2024-01-01,5,\n"), st.sampled_from([*'ab1, é"\\', "\n", "\r\n", "\r", "\n\n"])
)
FORMS: list[dict[str, Any]] = [
    {},
    {"quoting": "none"},
    {"escape": "\\"},
    {"quoting": "none", "escape": "\\"},
    {"ragged": "pad"},
    {"ragged": "pad", "escape": "\\", "header": False, "columns": BY_POSITION},
]


@pytest.mark.parametrize("form", FORMS, ids=str)
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(PIECES, max_size=10), block=st.sampled_from([7, 40, 1 << 20]))
def test_blocks_say_what_the_careful_reader_says(
    tmp_path: Path,
    open_at: Opener,
    monkeypatch: pytest.MonkeyPatch,
    form: dict[str, Any],
    pieces: list[str],
    block: int,
) -> None:
    (tmp_path / "a.csv").write_bytes(f"{HEADER}\n{''.join(pieces)}".encode())
    monkeypatch.setattr(csv_blocks, "_BLOCK", block)
    monkeypatch.setattr(csv_blocks, "_SMALL", 0)
    found = []
    for split in (csv_blocks.regular_columns, lambda *_, **__: None):
        monkeypatch.setattr(csv_files, "regular_columns", split)
        try:
            found.append(read_all(open_at("a.csv", **{f"source_{k}": v for k, v in form.items()})))
        except SourceError as error:
            found.append(str(error))
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("line", "dialect", "pad", "expected"),
    [
        ('1\t"7 inch\tx\n', csv_blocks.Dialect("\t", quotes=False), False, ["1", '"7 inch']),
        ('1,"\\N",\\x\n', csv_blocks.Dialect(",", escape="\\"), False, ["1", "\\N"]),
        ("1,a,b,,\n", csv_blocks.Dialect(","), True, ["1", "a"]),
    ],
)
def test_regular_files_of_other_forms_are_split_in_blocks(
    monkeypatch: pytest.MonkeyPatch, line: str, dialect: csv_blocks.Dialect, pad: bool, expected: list[str]
) -> None:
    monkeypatch.setattr(csv_blocks, "_SMALL", 0)
    columns = csv_blocks.regular_columns(line * 3, dialect, 3, [0, 1], pad=pad)
    assert columns is not None
    assert [column.to_pylist() for column in columns] == [[value] * 3 for value in expected]
