"""What is read from CSV text, and with which line number."""

from __future__ import annotations

import csv
import gzip
import io
import os
from pathlib import Path

import pytest

from cltv_assets.errors import SourceError
from cltv_assets.files.storage import Storage
from cltv_assets.sources import csv_blocks, csv_files
from cltv_assets_tests.sources.conftest import HEADER, Opener, read_all


def lines_of(rows: list[dict[str, object]]) -> list[object]:
    return [row["source_line"] for row in rows]


def test_values_are_kept_as_delivered_and_empty_is_null(tmp_path: Path, open_at: Opener) -> None:
    (tmp_path / "a.csv").write_text(f'{HEADER}\n1, c1 ,2024-01-02,"1,50"\nNA,null,,""\n')
    first, second = read_all(open_at("a.csv"))
    assert first["customer_id"] == " c1 "
    assert first["amount"] == "1,50"
    assert (second["transaction_id"], second["customer_id"]) == ("NA", "null")
    assert (second["transacted_at"], second["amount"], second["quantity"]) == (None, None, None)
    assert (first["source_file"], first["source_line"], first["source_text"]) == ("a.csv", 2, None)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_numbers_are_physical_lines(tmp_path: Path, open_at: Opener, end: str) -> None:
    body = [HEADER, "1,a,2024-01-01,1", "", f'2,"b{end}c{end}{end}d",2024-01-01,1', "3,e,2024-01-01,1", "", "4,f"]
    (tmp_path / "a.csv").write_bytes(end.join(body).encode())
    rows = read_all(open_at("a.csv"))
    assert lines_of(rows) == [2, 4, 8, 10]
    assert rows[1]["customer_id"] == f"b{end}c{end}{end}d"
    assert rows[3]["source_text"] == "4,f"


def test_lines_that_cannot_be_split_keep_their_text(tmp_path: Path, open_at: Opener) -> None:
    text = f'{HEADER}\r\n1,a,2024-01-01\r\n2,b,"x\r\ny",1,extra\r\n3,c,2024-01-01,1\r\n   \r\n'
    (tmp_path / "a.csv").write_bytes(text.encode())
    rows = read_all(open_at("a.csv"))
    assert lines_of(rows) == [2, 3, 5, 6]
    assert [row["source_text"] for row in rows] == ["1,a,2024-01-01", '2,b,"x\r\ny",1,extra', None, "   "]
    assert all(rows[1][name] is None for name in ("transaction_id", "customer_id", "transacted_at", "amount"))


def test_blank_lines_before_the_header_and_a_header_alone(tmp_path: Path, open_at: Opener) -> None:
    (tmp_path / "a.csv").write_text(f"\n\n{HEADER}\n1,a,2024-01-01,1")
    (tmp_path / "b.csv").write_text(HEADER)
    assert lines_of(read_all(open_at("*.csv"))) == [4]


def test_nul_and_very_long_lines(tmp_path: Path, open_at: Opener) -> None:
    long = "x" * 3_000_000
    (tmp_path / "a.csv").write_text(f"{HEADER}\n1,a\0b,2024-01-01,1\n2,{long},2024-01-01,1\n3,c,2024-01-01,1\n")
    rows = read_all(open_at("a.csv"))
    assert rows[0]["customer_id"] == "a\0b"
    assert rows[1]["customer_id"] == long
    assert lines_of(rows) == [2, 3, 4]


def test_stray_quotes_inside_fields(tmp_path: Path, open_at: Opener) -> None:
    (tmp_path / "a.csv").write_text(f'{HEADER}\n1,12" vinyl,2024-01-01,1\n2,"say ""hi""",2024-01-01,1\n')
    assert [row["customer_id"] for row in read_all(open_at("a.csv"))] == ['12" vinyl', 'say "hi"']


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "latin-1", "cp1252"])
def test_encodings(tmp_path: Path, open_at: Opener, encoding: str) -> None:
    (tmp_path / "a.csv").write_bytes(f"{HEADER}\n1,Zoë,2024-01-01,1\n".encode(encoding))
    assert read_all(open_at("a.csv", source_encoding=encoding))[0]["customer_id"] == "Zoë"


@pytest.mark.parametrize("encoding", ["utf-8", "UTF8", "utf-16-le"])
def test_a_byte_order_mark_is_no_part_of_the_header(tmp_path: Path, open_at: Opener, encoding: str) -> None:
    (tmp_path / "a.csv").write_bytes(f"\ufeff{HEADER}\n1,Zoë,2024-01-01,1\n".encode(encoding))
    assert read_all(open_at("a.csv", source_encoding=encoding))[0]["transaction_id"] == "1"


def test_gzip(tmp_path: Path, open_at: Opener) -> None:
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(f"{HEADER}\n1,a,2024-01-01,1\n".encode()))
    assert read_all(open_at("."))[0]["source_file"] == "a.csv.gz"


def test_many_batches_keep_their_numbers(tmp_path: Path, open_at: Opener) -> None:
    # Some lines cannot be split, some are blank, some span two: more than one batch of each.
    text = (
        HEADER
        + "\n"
        + "".join(
            "\n" if n % 7 == 0 else "short\n" if n % 3 == 0 else f'{n},"a\nb",2024-01-01,1\n' for n in range(20_000)
        )
    )
    (tmp_path / "a.csv").write_text(text)
    reader = csv.reader(io.StringIO(text, newline=""))
    expected, start = [], 1
    for row in reader:
        if row and start > 1:
            expected.append(start)
        start = reader.line_num + 1
    assert lines_of(read_all(open_at("a.csv"))) == expected


def test_only_mapped_columns_must_be_unique(tmp_path: Path, open_at: Opener) -> None:
    (tmp_path / "a.csv").write_text("note, value ,when,customer,id,note\nx,1,2024-01-01,c,7,y\n")
    row = read_all(open_at("a.csv"))[0]
    assert (row["transaction_id"], row["amount"]) == ("7", "1")


def broken(name: str, content: bytes, *expected: str, **options: str) -> object:
    return pytest.param(content, expected, options, id=name)


@pytest.mark.parametrize(
    ("content", "expected", "options"),
    [
        broken("missing column", b"id,custmer,when,value\n", "line 1", "'customer'", "did you mean 'custmer'", "id, "),
        broken("case", b"id,Customer,when,value\n", "did you mean 'Customer'"),
        broken("delimiter", b"id;customer;when;value\n", "line 1", 'Set source.delimiter: ";"'),
        broken("tab", b"id\tcustomer\twhen\tvalue\n", r'Set source.delimiter: "\t"'),
        broken("duplicate", b"id,customer,when,value,value\n", "line 1", "'value'", "2 times"),
        broken("encoding", b"id,customer,when,value\n1,a,,\n2,\xe9,,\n", "line 3", "source.encoding", "cp1252"),
        broken(
            "late encoding", HEADER.encode() + b"\n1,a,,\n" * 9_000 + b"2,\xe9,,\n", "line 18001", "source.encoding"
        ),
        broken("utf-16", "id,customer,when,value\n".encode("utf-16"), "line 1", "source.encoding: utf-16"),
        broken("odd utf-16", HEADER.encode("utf-16") + b"\n\0x", "line 2", "source.encoding", encoding="utf-16"),
        broken("utf-16 without mark", HEADER.encode(), "line 1", "source.encoding", encoding="utf-16"),
        broken("no text encoding", b"id,customer,when,value\n", "'rot13'", encoding="rot13"),
        broken("unterminated", HEADER.encode() + b'\n1,a,,\n2,"b,,\n3,c,,\n', "line 3", "quote"),
        broken("unterminated header", b'id,"customer\n1,2\n', "line 1", "quote"),
        broken("parquet", b"PAR1xxxx", "Parquet", "source.kind: parquet"),
        broken("workbook", b"PK\x03\x04xxxx", "Excel", "CSV"),
        broken("packed", gzip.compress(b"x"), "compressed", ".csv.gz"),
    ],
)
def test_what_cannot_be_read(
    tmp_path: Path, open_at: Opener, content: bytes, expected: tuple[str, ...], options: dict[str, str]
) -> None:
    (tmp_path / "a.csv").write_bytes(content)
    source = open_at("a.csv", **{f"source_{k}": v for k, v in options.items()})
    with pytest.raises(SourceError) as raised:
        read_all(source)
    if options.keys().isdisjoint({"encoding", "delimiter"}) or "line" in expected[0]:
        assert "a.csv" in str(raised.value)
    for words in expected:
        assert words in str(raised.value)
    assert raised.value.remedy


def test_damaged_gzip(tmp_path: Path, open_at: Opener) -> None:
    packed = gzip.compress(f"{HEADER}\n".encode() + os.urandom(5_000).hex().encode())
    (tmp_path / "a.csv.gz").write_bytes(packed[:-300])
    with pytest.raises(SourceError, match=r"a\.csv\.gz cannot be read"):
        read_all(open_at("a.csv.gz"))


def test_an_endless_field_is_an_unterminated_quote(
    tmp_path: Path, open_at: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_files, "_FIELD_LIMIT", 1_000)
    before = csv.field_size_limit(1_000)
    try:
        (tmp_path / "a.csv").write_text(f'{HEADER}\n1,a,,\n2,"b,,\n' + "3,c,,\n" * 1_000)
        with pytest.raises(SourceError, match=r"a\.csv, line 3: .*1,000 characters"):
            read_all(open_at("a.csv"))
    finally:
        csv.field_size_limit(before)


def test_a_line_that_would_fill_the_memory_is_not_unpacked(
    tmp_path: Path, open_at: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(csv_blocks, "LONGEST_LINE", 2 << 20)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(f"{HEADER}\n1,a,,\n{',' * (9 << 20)}\n".encode()))
    with pytest.raises(SourceError, match=r"a\.csv\.gz, line 3: a line of over 67,108,864 characters"):
        read_all(open_at("a.csv.gz"))


def test_a_file_that_vanishes(tmp_path: Path, open_at: Opener) -> None:
    (tmp_path / "a.csv").write_text(f"{HEADER}\n")
    source = open_at("a.csv")
    (file,) = source.list_files()
    (tmp_path / "a.csv").unlink()
    with pytest.raises(SourceError, match=r"a\.csv was there .* gone now"):
        list(source.transactions(file))


def test_a_file_that_vanishes_as_it_is_opened(tmp_path: Path, open_at: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.csv").write_text(f"{HEADER}\n")
    source = open_at("a.csv")
    head = Storage.head

    def then_gone(self: Storage, path: str, count: int) -> bytes:
        found = head(self, path, count)
        Path(path).unlink()
        return found

    monkeypatch.setattr(Storage, "head", then_gone)
    with pytest.raises(SourceError, match="gone now"):
        read_all(source)


def test_a_file_that_changes_while_it_is_read(tmp_path: Path, open_at: Opener) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"{HEADER}\n" + "1,a,2024-01-01,1\n" * 12_000)
    source = open_at("a.csv")
    batches = source.transactions(source.list_files()[0])
    next(batches)
    with path.open("a") as more:
        more.write("2,b,2024-01-01,1\n")
    with pytest.raises(SourceError, match=r"a\.csv changed while it was read"):
        list(batches)


@pytest.mark.parametrize(
    "lines", ["1,a,2024-01-01,1\n" * 3, '"1","a, b","2024-01-01",""\r\n' * 3, "1,ä,2024-01-01,\n2,b,2024-01-01,1"]
)
def test_what_most_shops_deliver_is_split_in_blocks(lines: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_blocks, "_SMALL", 0)
    columns = csv_blocks.regular_columns(lines, csv_blocks.Dialect(","), 4, [3, 1])
    assert columns is not None
    assert [list(row) for row in zip(*(column.to_pylist() for column in columns), strict=True)] == [
        [row[3], row[1]] for row in csv.reader(io.StringIO(lines, newline=""))
    ]


def test_lines_in_quotes_as_a_whole_are_called_so(tmp_path: Path, open_at: Opener) -> None:
    (tmp_path / "a.csv").write_text(f'"{HEADER}"\n"1,a,2024-01-01,1"\n')
    with pytest.raises(SourceError, match=r"line 1: each line stands in quotes as a whole.*sed -E"):
        read_all(open_at("a.csv"))


def test_a_column_that_stands_twice_can_be_read_by_its_position(tmp_path: Path, open_at: Opener) -> None:
    (tmp_path / "a.csv").write_text(f"{HEADER},{HEADER}\n1,a,2024-01-01,1,,,,\n")
    with pytest.raises(SourceError, match=r"stands there 2 times.*source\.header: false"):
        read_all(open_at("a.csv"))
    columns = {"customer_id": 2, "transacted_at": 3, "amount": 4}
    (row,) = read_all(open_at("a.csv", source_columns=columns, source_skip_rows=1, source_header=False))
    assert (row["customer_id"], row["source_line"]) == ("a", 2)
