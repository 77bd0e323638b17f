"""Which files a path means."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow.fs as pafs
import pytest

from cltv_assets.errors import SourceError
from cltv_assets.files.storage import Storage
from cltv_assets.sources import storage_of
from cltv_assets.sources.files import list_files
from cltv_assets.sources.reading import open_text, reading
from cltv_assets_tests.sources.conftest import HEADER, Opener, read_all

CSV = (".csv", ".csv.gz")


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for name in (
        "a.csv", "B.CSV", "notes.txt", ".hidden.csv", "deep/er/c.csv", ".git/d.csv", "_temporary/e.csv", "_f.csv",
        "g.csv.gz", "p.parquet",
    ):  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    return tmp_path


def names(path: object, suffixes: tuple[str, ...] = CSV) -> list[str]:
    return [file.name for file in list_files(Storage("/"), str(path), suffixes)]


def test_a_folder_means_the_data_files_below_it(tree: Path) -> None:
    assert names(tree) == ["B.CSV", "_f.csv", "a.csv", "deep/er/c.csv", "g.csv.gz"]
    assert names(tree, (".parquet",)) == ["p.parquet"]


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("a.csv", ["a.csv"]),
        ("notes.txt", ["notes.txt"]),
        ("deep/er/c.csv", ["c.csv"]),
        ("*.csv", ["_f.csv", "a.csv"]),
        ("?.csv", ["a.csv"]),
        ("[ab].*", ["a.csv"]),
        ("[!a]?.csv", ["_f.csv"]),
        ("**/*.csv", ["_f.csv", "a.csv", "deep/er/c.csv"]),
        ("**", ["B.CSV", "_f.csv", "a.csv", "deep/er/c.csv", "g.csv.gz"]),
        ("d*", ["deep/er/c.csv"]),
        ("deep/*/c.csv", ["er/c.csv"]),
        (".hid*", [".hidden.csv"]),
    ],
)
def test_globs(tree: Path, pattern: str, expected: list[str]) -> None:
    if pattern == "**/*.csv":
        # _temporary is what a glob names only when it names it.
        (tree / "_temporary/e.csv").unlink()
    assert names(tree / pattern) == expected


def test_brackets_and_stars_that_exist_are_names(tmp_path: Path) -> None:
    folder = tmp_path / "sales [2024] *"
    folder.mkdir()
    (folder / "a[1].csv").write_text("x")
    (folder / "a1.csv").write_text("x")
    assert names(folder) == ["a1.csv", "a[1].csv"]
    assert names(folder / "*.csv") == ["a1.csv", "a[1].csv"]
    assert names(folder / "a[1].csv") == ["a[1].csv"]


def test_months_in_the_path(tmp_path: Path) -> None:
    for name in ("2024-01/a.csv", "2024-02/b.csv", "2024-02/more/c.csv", "2024-13/d.csv", "old/2024-03/e.csv"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    files = list_files(Storage("/"), str(tmp_path / "{month}"), CSV)
    assert [(file.name, file.delivery and file.delivery.key) for file in files] == [
        ("2024-01/a.csv", "2024-01"), ("2024-02/b.csv", "2024-02"), ("2024-02/more/c.csv", "2024-02")
    ]  # fmt: skip
    assert names(tmp_path / "**/{month}/*.csv") == ["2024-01/a.csv", "2024-02/b.csv", "old/2024-03/e.csv"]


def test_a_month_that_stands_twice_must_agree(tmp_path: Path) -> None:
    for name in ("2024-01/s-2024-01.csv", "2024-02/s-2024-01.csv"):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text("x")
    assert names(tmp_path / "{month}/s-{month}.csv") == ["2024-01/s-2024-01.csv"]
    (tmp_path / "2024-03_2024-03.csv").write_text("x")
    (tmp_path / "2024-03_2024-04.csv").write_text("x")
    assert names(tmp_path / "{month}_{month}.csv") == ["2024-03_2024-03.csv"]


def test_links(tree: Path) -> None:
    (tree / "0-latest.csv").symlink_to("a.csv")
    (tree / "z-latest.csv").symlink_to("a.csv")
    (tree / "round").symlink_to(tree)
    outside = tree / ".git" / "d.csv"
    (tree / "linked.csv").symlink_to(outside)
    assert names(tree) == ["B.CSV", "_f.csv", "a.csv", "deep/er/c.csv", "g.csv.gz", "linked.csv"]
    assert names(tree / "0-latest.csv") == ["0-latest.csv"]


def test_a_dangling_link(tree: Path) -> None:
    (tree / "gone.csv").symlink_to("nothing.csv")
    for path in (tree, tree / "gone.csv", tree / "g*.csv"):
        with pytest.raises(SourceError, match=r"gone\.csv is a symbolic link to a file that does not exist"):
            names(path)


def test_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "p.csv")
    with pytest.raises(SourceError, match=r"p\.csv is a pipe"):
        names(tmp_path)


def test_a_name_that_is_no_text(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.csv")).write_text("x")
    with pytest.raises(SourceError, match=r"not valid UTF-8.*Rename"):
        names(tmp_path)


def test_a_file_where_a_folder_should_be(tree: Path) -> None:
    with pytest.raises(SourceError, match="matches no file"):
        names(tree / "a.csv" / "b.csv")
    with pytest.raises(SourceError, match="matches no file"):
        names(tree / "a.csv" / "*.csv")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("x.csv", ["matches no file", "holds ", "notes.txt", "deep/"]),
        ("nowhere/x*.csv", ["matches no file", "holds ", "notes.txt"]),
        ("deep/er/*.parquet", ["matches no file", "/deep/er holds c.csv"]),
        ("_temporary/none", ["matches no file", "holds e.csv"]),
    ],
)
def test_a_path_that_matches_nothing_tells_what_is_there(tree: Path, path: str, expected: list[str]) -> None:
    with pytest.raises(SourceError) as raised:
        names(tree / path)
    assert all(words in str(raised.value) for words in expected), str(raised.value)


def test_a_folder_without_data_files(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"holds no \*\.csv or \*\.csv\.gz file.*is empty"):
        names(tmp_path)


def test_a_delta_table_is_refused(tree: Path) -> None:
    (tree / "deep" / "_delta_log").mkdir()
    with pytest.raises(SourceError, match="Delta table"):
        names(tree, (".parquet",))


def test_other_filesystems(tmp_path: Path) -> None:
    (tmp_path / "in/2024-01").mkdir(parents=True)
    (tmp_path / "in/2024-01/a.csv").write_text("x")
    # An object store is to us what Arrow makes of it: a file system without links.
    objects: Any = SimpleNamespace(filesystem=lambda: pafs.SubTreeFileSystem(str(tmp_path), pafs.LocalFileSystem()))
    storage = Storage("s3://in", objects, SourceError)
    (file,) = list_files(storage, "s3://in/{month}/*.csv", CSV)
    assert (file.path, file.name, file.size) == ("s3://in/2024-01/a.csv", "2024-01/a.csv", 1)
    with reading(storage, file.path), open_text(storage, file.path, "utf-8") as text:
        assert text.read() == "x"
    with pytest.raises(SourceError, match="holds 2024-01/"):
        list_files(storage, "s3://in/*.csv", CSV)


def test_uris(tmp_path: Path, open_at: Opener) -> None:
    (tmp_path / "a.csv").write_text(f"{HEADER}\n1,c,2024-01-01,1\n")
    assert len(read_all(open_at(f"file://{tmp_path}/*.csv"))) == 1
    with pytest.raises(SourceError, match="gopher://"):
        storage_of("gopher://host/x")
