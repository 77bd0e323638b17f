"""Reads a lake on any storage with nothing of the product's: deltalake's log and Arrow's files."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import DeltaTable
from pyarrow import fs

from cltv_assets.columns import TableSchema
from cltv_assets.settings import Settings
from cltv_assets.tables import all_schemas

#: Floats are computed in another order on another engine.
RELATIVE = 1e-9


def month_of_table(settings: Settings, schema: TableSchema, month: str) -> pa.Table:
    """Return a published month of a table, sorted by its grain; types as the files have them.

    Parameters
    ----------
    settings : Settings
        Keys of an S3 lake come from the environment.
    schema : TableSchema
    month : str
        ``YYYY-MM``.
    """
    uri = f"{settings.lake_root}/{schema.name}"
    if "://" in uri:
        table = DeltaTable(uri, storage_options=_options(settings))
        filesystem: fs.FileSystem = fs.S3FileSystem(endpoint_override=settings.s3.endpoint_url, region="us-east-1")
    else:
        table, filesystem = DeltaTable(uri), fs.LocalFileSystem()
    day = dt.date.fromisoformat(f"{month}-01")
    added = pa.table(table.get_add_actions(flatten=True)).to_pylist()
    paths = [f"{uri}/{a['path']}".removeprefix("s3://") for a in added if a["partition.month"] == day]
    if not paths:
        return schema.arrow.empty_table()
    found = pa.concat_tables(
        ds.dataset(path, filesystem=filesystem, format="parquet").to_table() for path in sorted(paths)
    )
    return found.sort_by([(name, "ascending") for name in schema.grain])


def _options(settings: Settings) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": settings.s3.endpoint_url or "",
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "us-east-1",
        **{name: os.environ[name] for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")},
    }


def differences(left: Settings, right: Settings, months: Sequence[str]) -> list[str]:
    """Say where two lakes differ: rows, types and every value; floats beyond ``RELATIVE``."""
    found = []
    for schema in all_schemas(left.horizons_months):
        for month in months:
            one, other = (month_of_table(settings, schema, month) for settings in (left, right))
            found += [f"{schema.name} {month}: {said}" for said in _differences(one, other)]
    return found


def _differences(one: pa.Table, other: pa.Table) -> list[str]:
    if one.num_rows != other.num_rows:
        return [f"{one.num_rows} rows against {other.num_rows}"]
    types = [(f.name, f.type) for f in one.schema], [(f.name, f.type) for f in other.schema]
    if types[0] != types[1] and one.num_rows:
        return [f"columns {types[0]} against {types[1]}"]
    return [said for name in one.column_names for said in _column_differences(name, one[name], other[name])]


def _column_differences(name: str, one: pa.ChunkedArray, other: pa.ChunkedArray) -> list[str]:
    if pa.types.is_floating(one.type):
        left, right = (np.asarray(column.to_pandas(), float) for column in (one, other))
        unequal = ~np.isclose(left, right, rtol=RELATIVE, atol=0, equal_nan=True)
    else:
        unequal = np.array([a != b for a, b in zip(one.to_pylist(), other.to_pylist(), strict=True)], bool)
    if not unequal.any():
        return []
    first = int(np.argmax(unequal))
    return [f"{name}: {int(unequal.sum())} values differ, first {one[first].as_py()!r} and {other[first].as_py()!r}"]


def rows(settings: Settings, schema: TableSchema, months: Sequence[str]) -> list[dict[str, Any]]:
    """Return a table's rows of some months as dictionaries."""
    return [row for month in months for row in month_of_table(settings, schema, month).to_pylist()]
