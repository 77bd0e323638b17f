"""What every engine must do alike, as functions that tests of each engine call."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from cltv_assets.columns import Column, TableSchema
from cltv_assets.engines import Engine

#: One column of each type that a table may have.
EVERY_TYPE = TableSchema(
    "every_type",
    "One column of each type.",
    ("text",),
    tuple(
        Column(name, kind, "Made up.", nullable=True)
        for name, kind in {
            "text": "string",
            "small": "int32",
            "large": "int64",
            "real": "float64",
            "truth": "boolean",
            "day": "date",
            "at": "timestamp('UTC')",
            "money": "decimal(18, 4)",
            # Engines ignore case and SQL has reserved words; the lake's tables have a T.
            "T": "float64",
            "select": "string",
        }.items()
    ),
)
UTC = dt.UTC
ROWS = [
    {
        "text": "it's \"quoted\", \\d+ \\ and\nbroken\t😀 ä '; --", "small": -(2**31), "large": 2**63 - 1,
        "real": 1e-300, "truth": True, "day": dt.date(1, 1, 1), "at": dt.datetime(1883, 11, 18, 12, 3, 57, 999999, UTC),
        "money": Decimal("99999999999999.9999"), "T": 0.1 + 0.2, "select": "`; DROP",
    },
    {
        "text": "", "small": 2**31 - 1, "large": -(2**63), "real": -0.0, "truth": False, "day": dt.date(9999, 12, 31),
        "at": dt.datetime(1969, 12, 31, 23, 59, 59, 1, UTC), "money": Decimal("-0.0001"), "T": 1 / 3, "select": None,
    },
    {
        "text": "old", "small": 0, "large": 0, "real": float("inf"), "truth": None, "day": dt.date(1582, 10, 10),
        "at": dt.datetime(1, 1, 1, tzinfo=UTC), "money": None, "T": None, "select": "x",
    },
    dict.fromkeys(EVERY_TYPE.column_names),
]  # fmt: skip


def table(rows: list[dict[str, object]] | None = None) -> pa.Table:
    return pa.Table.from_pylist(ROWS if rows is None else rows, schema=EVERY_TYPE.arrow)


def sorted_rows(found: pa.Table) -> list[dict[str, object]]:
    return sorted(found.to_pylist(), key=lambda row: str(row["text"]))


def data_files(path: str) -> list[str]:
    """Return the data files under a path that an engine wrote: a file, or a folder of them."""
    there = Path(path)
    if there.is_file():
        return [path]
    return sorted(str(file) for file in there.iterdir() if not file.name.startswith(("_", ".")))


def check_types_are_kept(engine: Engine) -> None:
    for rows in (ROWS, [], [ROWS[-1]]):
        given = table(rows)
        found = engine.collect(engine.from_arrow(given))
        assert found.schema.equals(given.schema)
        assert sorted_rows(found) == sorted_rows(given)


def check_written_files_are_read_back(engine: Engine, folder: Path) -> None:
    """Hold against pyarrow what was written, and against what was given what the engine reads."""
    # What folders above the table are called is neither a column nor a month of it.
    above = folder / "month=2010-01-01" / "text=above" / "a [b] {c} 100% #ä? *"
    month = above / "every_type" / "month=2011-03-01"
    month.mkdir(parents=True)
    path = str(month / "x-part-0.parquet")
    engine.write(engine.from_arrow(table()), EVERY_TYPE, path)
    files = data_files(path)
    assert len(files) == 1
    written = pq.ParquetFile(files[0])
    assert written.schema_arrow.remove_metadata().equals(EVERY_TYPE.arrow)
    assert sorted_rows(written.read()) == sorted_rows(table())
    assert written.metadata.row_group(0).column(0).compression == "ZSTD"
    plain = engine.collect(engine.read_files(EVERY_TYPE, files))
    assert plain.schema.equals(EVERY_TYPE.arrow)
    assert sorted_rows(plain) == sorted_rows(table())
    dated = engine.collect(engine.read_lake(EVERY_TYPE, files))
    assert dated.schema.equals(EVERY_TYPE.arrow_with_month)
    assert dated["month"].unique().to_pylist() == [dt.date(2011, 3, 1)]
    assert sorted_rows(dated.drop_columns("month")) == sorted_rows(table())


def check_an_empty_result_is_a_file_without_rows(engine: Engine, folder: Path) -> None:
    given = engine.from_arrow(table())
    for n, nothing in enumerate((given.filter(given.small > 2**31 - 1), engine.from_arrow(table([])))):
        path = str(folder / f"empty{n}.parquet")
        engine.write(nothing, EVERY_TYPE, path)
        files = data_files(path)
        assert len(files) == 1
        written = pq.ParquetFile(files[0])
        assert written.metadata.num_rows == 0
        assert written.schema_arrow.remove_metadata().equals(EVERY_TYPE.arrow)
