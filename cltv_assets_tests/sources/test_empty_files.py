"""Files that hold nothing, not even a header: like a file that is gone, they are no fault of all other months."""

from __future__ import annotations

import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cltv_assets.errors import EmptyFileError, SourceError
from cltv_assets.months import Month
from cltv_assets_tests.sources.conftest import COLUMNS, HEADER, Opener, landed
from cltv_assets_tests.sources.test_excel_files import NAMES, ROW, workbook

JANUARY = Month.parse("2024-01")
LINE = "7,c,2024-01-05,1"


def full(path: Path, kind: str) -> None:
    """Write a file with one line of January."""
    if kind == "excel":
        workbook(path, Orders={1: NAMES, 2: ROW})
    elif kind == "parquet":
        values = zip(COLUMNS.values(), LINE.split(","), strict=True)
        pq.write_table(pa.table({name: [value] for name, value in values}), path)
    else:
        path.write_text(f"{HEADER}\n{LINE}\n")


@pytest.mark.parametrize(
    ("kind", "ending", "content"),
    [
        pytest.param("csv", ".csv", b"", id="no byte"),
        pytest.param("csv", ".csv", b"\xef\xbb\xbf\r\n\r\n", id="blank lines"),
        pytest.param("csv", ".csv.gz", b"", id="no byte of a packed file"),
        pytest.param("csv", ".csv.gz", gzip.compress(b""), id="nothing packed"),
        pytest.param("csv", ".zip", b"", id="no byte of an archive"),
        pytest.param("parquet", ".parquet", b"", id="no byte of Parquet"),
        pytest.param("excel", ".xlsx", b"", id="no byte of a workbook"),
        pytest.param("excel", ".xlsx", None, id="a workbook with an empty sheet"),
    ],
)
def test_a_file_that_holds_nothing_is_named_and_others_are_read(
    tmp_path: Path, open_at: Opener, kind: str, ending: str, content: bytes | None
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    if content is None:
        workbook(folder / f"none{ending}", Orders={})
    else:
        (folder / f"none{ending}").write_bytes(content)
    name = f"none{ending}" + ("/Orders" if content is None else "")
    # Alone it is a source that cannot be read.
    with pytest.raises(EmptyFileError, match=rf"none{ending}\S* is empty.*(Deliver|Fill)"):
        open_at("in", kind).inspect()
    full(folder / f"full.{ending.rpartition('.')[2].replace('gz', 'csv').replace('zip', 'csv')}", kind)
    source = open_at("in", kind)
    report = source.inspect()
    assert (report.files, report.sampled_lines, report.empty) == (2, 1, (name,))
    assert source.unused_columns() == []
    assert len(landed(source, "2024-01", tmp_path / "out")) == 1
    assert source.land(Month.parse("2024-02"), tmp_path / "out/february").empty == (name,)
    assert source.line_counts([JANUARY]) == {JANUARY: 1}
    assert source.file_lines([name]) == {name: 0}


def test_a_header_alone_is_no_empty_file(tmp_path: Path, open_at: Opener) -> None:
    (tmp_path / "a.csv").write_text(f"{HEADER}\n")
    source = open_at("a.csv")
    assert (source.inspect().empty, source.land(JANUARY, tmp_path / "out").empty) == ((), ())


def test_a_month_whose_own_delivery_holds_nothing_is_refused_alone(tmp_path: Path, open_at: Opener) -> None:
    (tmp_path / "2024-01.csv").write_text(f"{HEADER}\n{LINE}\n")
    (tmp_path / "2024-02.csv").write_text("")
    source = open_at("{month}.csv")
    assert len(landed(source, "2024-01", tmp_path / "out")) == 1
    with pytest.raises(SourceError, match=r"2024-02\.csv is empty: it has not even a header"):
        source.land(Month.parse("2024-02"), tmp_path / "out/february")


def test_a_query_leaves_an_empty_file_out(tmp_path: Path, open_at: Opener) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.csv").write_text("")
    (tmp_path / "in/b.csv").write_text(f"{HEADER}\n{LINE}\n")
    paths = {"orders": "in"}
    source = open_at(None, source_paths=paths, source_query="SELECT * FROM orders")  # type: ignore[arg-type]
    assert len(landed(source, "2024-01", tmp_path / "out")) == 1
    (tmp_path / "in/b.csv").write_text("")
    with pytest.raises(SourceError, match=r"a\.csv is empty"):
        source.inspect()
