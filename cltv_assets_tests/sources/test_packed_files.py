"""Packed files and archives, what a folder does not read, and columns that folders name."""

from __future__ import annotations

import bz2
import gzip
import io
import os
import zipfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cltv_assets.errors import SourceError
from cltv_assets_tests.sources.conftest import COLUMNS, HEADER, Opener, landed, read_all

TEXT = f"{HEADER}\n1,a,2024-01-01,1\n".encode()


def zstd(text: bytes) -> bytes:
    return bytes(pa.Codec("zstd").compress(text, asbytes=True))


def archive(path: Path, **members: bytes) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as opened:
        for name, content in members.items():
            opened.writestr(name, content)


@pytest.mark.parametrize(("ending", "pack"), [("gz", gzip.compress), ("bz2", bz2.compress), ("zst", zstd)])
def test_packed_files_are_read_by_their_ending(tmp_path: Path, open_at: Opener, ending: str, pack: Any) -> None:
    # Parts that were packed one by one and joined are one text.
    (tmp_path / f"A.CSV.{ending.upper()}").write_bytes(pack(TEXT) + pack(b"2,b,2024-01-01,1\n"))
    rows = read_all(open_at("."))
    assert [(row["source_line"], row["customer_id"]) for row in rows] == [(2, "a"), (3, "b")]
    (tmp_path / f"A.CSV.{ending.upper()}").rename(tmp_path / "a.csv")
    with pytest.raises(SourceError, match=rf"a\.csv is compressed.*Give it the ending \.csv\.{ending}"):
        read_all(open_at("a.csv"))
    (tmp_path / f"b.csv.{ending}").write_bytes(pack(os.urandom(4000).hex().encode())[:-300])
    with pytest.raises(SourceError, match=rf"b\.csv\.{ending} (cannot be read|is empty)"):
        read_all(open_at(f"b.csv.{ending}"))


def test_every_file_of_an_archive_is_a_file_of_its_own(tmp_path: Path, open_at: Opener) -> None:
    members = {
        "orders.csv": TEXT,
        "old/2.csv.gz": gzip.compress(TEXT),
        "read me.txt": b"x",
        "__MACOSX/._orders.csv": b"",
    }
    archive(tmp_path / "in.ZIP", **members)
    source = open_at(".")
    rows = read_all(source)
    assert [(row["source_file"], row["source_line"]) for row in rows] == [
        ("in.ZIP/old/2.csv.gz", 2),
        ("in.ZIP/orders.csv", 2),
    ]
    assert source.skipped_files() == ["in.ZIP/read me.txt"]
    landing = landed(source, "2024-01", tmp_path / "out")
    assert [row["source_file"] for row in landing] == ["in.ZIP/old/2.csv.gz", "in.ZIP/orders.csv"]
    # A changed archive is looked into again.
    archive(tmp_path / "in.ZIP", **{"orders.csv": TEXT, "new.csv": TEXT})
    assert [file.name for file in source.list_files()] == ["in.ZIP/new.csv", "in.ZIP/orders.csv"]


@pytest.mark.parametrize("member", ["orders.txt", "*/orders.txt", "or*.txt"])
def test_a_member_by_name_or_glob(tmp_path: Path, open_at: Opener, member: str) -> None:
    archive(tmp_path / "in.zip", **{"2024/orders.txt": TEXT, "customers.csv": b"id,name\n"})
    assert [row["source_file"] for row in read_all(open_at("in.zip", source_member=member))] == [
        "in.zip/2024/orders.txt"
    ]


def damaged() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("a.csv", TEXT + os.urandom(5000).hex().encode())
    data = bytearray(packed.getvalue())
    data[200:300] = bytes(100)
    return bytes(data)


def locked() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as opened:
        opened.writestr("a.csv", TEXT)
    data = bytearray(packed.getvalue())
    # The bit that says that there is a password, in both places.
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"no archive", ["a.zip cannot be read"]),
        (damaged(), ["a.zip", "cannot be read"]),
        (locked(), ["a.zip cannot be read", "password"]),
        (None, ["a.zip holds no *.csv", "but b.txt", "source.member"]),
    ],
)
def test_an_archive_that_cannot_be_read(
    tmp_path: Path, open_at: Opener, content: bytes | None, expected: list[str]
) -> None:
    archive(tmp_path / "a.zip", **{"b.txt": TEXT})
    if content is not None:
        (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(SourceError) as raised:
        read_all(open_at("a.zip"))
    assert [words for words in expected if words not in str(raised.value)] == []


def test_other_formats_inside_are_named(tmp_path: Path, open_at: Opener) -> None:
    archive(tmp_path / "a.zip", **{"x/b.csv": b"PAR1"})
    with pytest.raises(SourceError, match=r"a\.zip/x/b\.csv is a Parquet file"):
        read_all(open_at("a.zip"))
    archive(tmp_path / "a.zip", **{"b.csv": TEXT + b"\xff"})
    with pytest.raises(SourceError, match=r"a\.zip/b\.csv, line 3: bytes that are no utf-8 text"):
        read_all(open_at("a.zip"))


def test_what_a_folder_does_not_read_is_known(tmp_path: Path, open_at: Opener) -> None:
    for name in ("a.csv", "b.xlsx", "deep/c.csv.xz", "_SUCCESS", ".hidden"):
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / "in" / name).write_bytes(TEXT)
    (tmp_path / "in" / "gone.txt").symlink_to("nowhere")
    (tmp_path / "in" / "latest.csv").symlink_to("a.csv")
    assert open_at("in").inspect().skipped == ("b.xlsx", "deep/c.csv.xz", "gone.txt")
    assert open_at("in/a.csv").skipped_files() == []


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_folders_name_columns(tmp_path: Path, open_at: Opener, kind: str) -> None:
    table = pa.table({"id": ["1", "2"], "value": [1, 2]})
    folders = ["when=2024-01-05/customer=a%20b", "when=2024-02-06/customer=__HIVE_DEFAULT_PARTITION__"]
    for folder in folders:
        (tmp_path / "in" / folder).mkdir(parents=True)
        if kind == "csv":
            (tmp_path / "in" / folder / "part.csv").write_text("id,value\n1,1\n2,2\nshort\n")
        else:
            pq.write_table(table, tmp_path / "in" / folder / "part.parquet")
    source = open_at("in", kind)
    rows = [row for row in read_all(source) if row["source_text"] is None]
    assert [(row["transacted_at"], row["customer_id"], row["amount"]) for row in rows] == [
        ("2024-01-05", "a b", "1"), ("2024-01-05", "a b", "2"), ("2024-02-06", None, "1"), ("2024-02-06", None, "2")
    ]  # fmt: skip
    assert source.inspect().columns == ("id", "value", "when", "customer")
    # The folder counts wherever it stands in the path, and a line that could not be split has no fields.
    (alone,) = {row["customer_id"] for row in read_all(open_at(f"in/{folders[0]}", kind)) if row["source_text"] is None}
    assert alone == "a b"
    assert all(row["transacted_at"] is None for row in read_all(source) if row["source_text"] is not None)


def test_a_column_of_the_file_counts_before_that_of_its_folder(tmp_path: Path, open_at: Opener) -> None:
    (tmp_path / "customer=x").mkdir()
    (tmp_path / "customer=x" / "a.csv").write_bytes(TEXT)
    assert [row["customer_id"] for row in read_all(open_at("."))] == ["a"]
    with pytest.raises(SourceError, match=r"no column 'shop'"):
        read_all(open_at(".", source_columns={**COLUMNS, "currency": "shop"}))
