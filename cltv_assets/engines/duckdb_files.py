"""The lake's files as DuckDB reads them: by a query over parquet files, or through Arrow."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
from ibis.backends.sql.datatypes import DuckDBType
from pyarrow import fs

from cltv_assets.columns import MONTH, TableSchema
from cltv_assets.files.object_store import S3

if TYPE_CHECKING:
    import pyarrow.dataset as ds

#: Up to so many months are a query each, with the month as a constant. DuckDB then knows how many rows a month has, and
#: builds hash tables of the smaller side of a join. With more months, planning would take longer than that saves.
_APART = 6
#: Inside a table a month's folder has no other one in it; above the table there may be folders of any name.
_MONTH_FOLDER = re.compile(rf".*/{MONTH}=(\d{{4}}-\d{{2}}-\d{{2}})/")


def query_over(table: TableSchema, files: Sequence[str], *, hive: bool, filesystem: fs.FileSystem | None = None) -> str:
    """Return the query of a table's files by DuckDB itself, with ``month`` from their folders' names if ``hive``.

    Columns that later releases brought are null in files that lack them. ``filesystem`` reads the
    files' columns where they do not lie on this machine. Without files there are the columns and no row.
    """
    schema = table.ibis_with_month if hive else table.ibis
    types = {name: DuckDBType.to_string(kind) for name, kind in schema.items()}
    forms: dict[tuple[frozenset[str], str], list[str]] = {}
    for file, month in zip(files, _months(files) if hive else [""] * len(files), strict=True):
        forms.setdefault((_lacking(table, file, filesystem), month), []).append(file)
    queries = []
    for (lacking, month), alike in forms.items():
        computed = dict.fromkeys(lacking, "NULL") | ({MONTH: month} if hive else {})
        columns = ", ".join(
            f'CAST({computed[name]} AS {kind}) AS "{name}"' if name in computed else f'"{name}"'
            for name, kind in types.items()
        )
        paths = ", ".join("'" + path.replace("'", "''") + "'" for path in alike)
        how = "hive_partitioning = false" + (", filename = true" if hive else "")
        queries.append(f"SELECT {columns} FROM read_parquet([{paths}], {how})")  # noqa: S608 - our own files
    if not queries:
        columns = ", ".join(f'NULL::{kind} AS "{name}"' for name, kind in types.items())
        return f"SELECT {columns} WHERE false"
    return " UNION ALL ".join(queries)


def _months(files: Sequence[str]) -> list[str]:
    """Return in SQL the first day of each file's month.

    DuckDB's hive_partitioning would take columns from all folders of the path, also from those above the lake.
    """
    begins = [len(file.rpartition(f"/{MONTH}=")[0]) + len(f"/{MONTH}=") for file in files]
    days = [file[begin : begin + 10] for file, begin in zip(files, begins, strict=True)]
    if len(set(days)) <= _APART:
        return [f"'{day}'" for day in days]
    # DuckDB skips files by this expression as well.
    return [f"substr(filename, {begin + 1}, 10)" for begin in begins]


def _lacking(table: TableSchema, file: str, filesystem: fs.FileSystem | None) -> frozenset[str]:
    """Return the columns of later releases that a file does not have."""
    if not table.added:
        return frozenset()
    return table.added.difference(pq.read_schema(file.removeprefix(S3), filesystem=filesystem).names)


def dataset_over(files: Sequence[str], filesystem: fs.FileSystem, schema: pa.Schema, *, hive: bool) -> ds.Dataset:
    """Return files as one lazy data set, with ``month`` from their folders' names if ``hive``.

    Arrow opens them, so DuckDB needs neither a right to read files nor the extension for S3 that it
    downloads at first use, and pushes projections and filters down to Arrow. Columns that a file lacks are null.
    """
    # Where it is needed: it brings pandas, for which every command would wait.
    import pyarrow.dataset as ds

    form = ds.ParquetFileFormat()
    fragments = []
    for file in files:
        month = _MONTH_FOLDER.match(file) if hive else None
        known = None
        if month is not None:
            known = ds.field(MONTH) == pa.scalar(dt.date.fromisoformat(month[1]), pa.date32())
        fragments.append(form.make_fragment(file.removeprefix(S3), filesystem, partition_expression=known))
    return ds.FileSystemDataset(fragments, schema, form, filesystem)
