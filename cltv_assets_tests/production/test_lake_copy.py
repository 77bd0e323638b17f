"""Copies of a lake that is being written hold whole months only."""

from __future__ import annotations

import io
import itertools
import tarfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from cltv_assets.cli.deployment.lake_copy import load, save
from cltv_assets.errors import LakeError
from cltv_assets.files.storage import Entry, Storage

TABLES = ["upstream", "downstream"]
MONTHS = ("2011-01-01", "2011-02-01", "2011-03-01")
ROWS = 50


def publish(root: Path, table: str, month: str, edition: int) -> None:
    """Replace a month by rows that bear the edition's number."""
    rows = pa.table({"month": [month] * ROWS, "edition": [edition] * ROWS})
    write_deltalake(
        root / table,
        rows,
        mode="overwrite",
        predicate=f"month = '{month}'",
        partition_by=["month"],
        configuration={"delta.logRetentionDuration": "interval 0 seconds"},
    )


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    root = tmp_path / "lake"
    for table in TABLES:
        # delta-rs wants a table before it overwrites by a predicate.
        write_deltalake(
            root / table, pa.table({"month": MONTHS[:1] * ROWS, "edition": [0] * ROWS}), partition_by=["month"]
        )
        for month in MONTHS:
            publish(root, table, month, 0)
    (root / "cltv_report/month=2011-01-01").mkdir(parents=True)
    (root / "cltv_report/month=2011-01-01/report.html").write_text("a report")
    return root


@contextmanager
def writing(root: Path) -> Iterator[None]:
    """Publish edition after edition: each first upstream, then downstream."""
    done = threading.Event()
    trouble: list[BaseException] = []

    def write() -> None:
        edition = 0
        try:
            while not done.is_set():
                edition += 1
                for table in TABLES:
                    publish(root, table, MONTHS[edition % 3], edition)
                if edition % 5 == 0:
                    # The log becomes shorter, which a reader of it may notice in the middle.
                    table_now = DeltaTable(root / TABLES[0])
                    table_now.create_checkpoint()
                    table_now.cleanup_metadata()
        except BaseException as error:
            trouble.append(error)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        done.set()
        writer.join()
    assert not trouble, trouble


def editions(root: Path, table: str) -> dict[str, int]:
    """Return each month's edition; a month that is not whole fails."""
    rows = DeltaTable(root / table).to_pyarrow_table().to_pydict()
    found: dict[str, set[int]] = {}
    for month, edition in zip(rows["month"], rows["edition"], strict=True):
        found.setdefault(str(month), set()).add(edition)
    assert len(rows["month"]) == ROWS * len(MONTHS)
    return {month: edition for month, (edition,) in found.items()}


def test_a_copy_of_a_lake_at_work_is_whole(lake: Path, tmp_path: Path):
    copied_at = set()
    with writing(lake):
        for number in range(12):
            stream = io.BytesIO()
            versions = save(Storage(str(lake)), TABLES, stream)
            stream.seek(0)
            copy = tmp_path / f"copy-{number}"
            load(Storage(str(copy)), stream)
            assert {table: DeltaTable(copy / table).version() for table in TABLES} == versions
            upstream, downstream = (editions(copy, table) for table in TABLES)
            # Never a month downstream that is newer than what it was made from.
            assert all(downstream[month] <= upstream[month] for month in MONTHS)
            copied_at.add(versions["upstream"])
    # The writer was at work meanwhile.
    assert len(copied_at) > 6
    assert (copy / "cltv_report/month=2011-01-01/report.html").read_text() == "a report"


class Interrupted(Storage):
    """A lake where something happens whenever a log has just been listed."""

    def __init__(self, root: Path, happens: Callable[[], None]) -> None:
        super().__init__(str(root))
        self._happens = happens

    def entries(self, uri: str, *, recursive: bool = False) -> list[Entry]:
        found = super().entries(uri, recursive=recursive)
        if uri.endswith("_delta_log"):
            self._happens()
        return found


def test_what_is_downstream_is_never_newer_than_what_it_was_made_from(lake: Path, tmp_path: Path):
    edition = itertools.count(1)

    def all_is_made_again() -> None:
        number = next(edition)
        for table in TABLES:
            for month in MONTHS:
                publish(lake, table, month, number)

    stream = io.BytesIO()
    save(Interrupted(lake, all_is_made_again), TABLES, stream)
    stream.seek(0)
    load(Storage(str(tmp_path / "copy")), stream)
    upstream, downstream = (editions(tmp_path / "copy", table) for table in TABLES)
    assert all(downstream[month] < upstream[month] for month in MONTHS)


def test_a_log_that_is_shortened_while_it_is_read_is_read_again(lake: Path, tmp_path: Path):
    oldest = lake / "upstream/_delta_log" / f"{0:020}.json"

    def log_is_shortened() -> None:
        if oldest.exists():
            DeltaTable(lake / "upstream").create_checkpoint()
            oldest.unlink()

    stream = io.BytesIO()
    save(Interrupted(lake, log_is_shortened), ["upstream"], stream)
    stream.seek(0)
    load(Storage(str(tmp_path / "copy")), stream)
    assert editions(tmp_path / "copy", "upstream") == dict.fromkeys(MONTHS, 0)


def test_a_lake_that_holds_something_is_not_written_to(lake: Path, tmp_path: Path):
    stream = io.BytesIO()
    save(Storage(str(lake)), TABLES, stream)
    stream.seek(0)
    before = editions(lake, "upstream")
    with pytest.raises(LakeError, match="holds something already"):
        load(Storage(str(lake)), stream)
    assert editions(lake, "upstream") == before


@pytest.mark.parametrize("share", [0.2, 0.5, 0.7])
def test_a_stream_that_breaks_off_leaves_no_table(lake: Path, tmp_path: Path, share: float):
    stream = io.BytesIO()
    save(Storage(str(lake)), TABLES, stream)
    # At a boundary of two files, too: tar itself takes that for the end.
    half = io.BytesIO(stream.getvalue()[: int(len(stream.getvalue()) * share) // 512 * 512])
    with pytest.raises(LakeError, match="no whole copy"):
        load(Storage(str(tmp_path / "copy")), half)
    assert not any((tmp_path / "copy").glob("*/_delta_log"))


def test_a_missing_file_is_named(lake: Path):
    next((lake / "downstream").glob("month=2011-02-01/*.parquet")).unlink()
    for path in (lake / "downstream").glob("month=2011-02-01/*.parquet"):
        path.unlink()
    with pytest.raises(LakeError, match=r"month=2011-02-01.* is missing"):
        save(Storage(str(lake)), TABLES, io.BytesIO())


@pytest.mark.parametrize("name", ["../outside", "/outside", "table/../../outside"])
def test_an_archive_cannot_write_outside_the_lake(tmp_path: Path, name: str):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.addfile(tarfile.TarInfo(name))
    stream.seek(0)
    with pytest.raises(LakeError, match="no whole copy"):
        load(Storage(str(tmp_path / "lake")), stream)
    assert not (tmp_path / "outside").exists()
