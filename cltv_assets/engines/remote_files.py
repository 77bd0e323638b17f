"""Parquet files on S3 for the embedded engine, by Arrow.

DuckDB's own way to S3 is an extension that it downloads when first used; Arrow's
comes with the package, and DuckDB hands projections and filters down to it.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.dataset as ds

from cltv_assets.columns import MONTH
from cltv_assets.files.object_store import ObjectStore

_SCHEME = "s3://"
_MONTH_FOLDER = re.compile(rf"/{MONTH}=(\d{{4}}-\d{{2}}-\d{{2}})/")


def is_remote(path: str) -> bool:
    """Return whether a path is on S3."""
    return path.startswith(_SCHEME)


def remote_dataset(objects: ObjectStore, files: Sequence[str], schema: pa.Schema, hive: bool) -> ds.Dataset:
    """Return files on S3 as one lazy data set.

    Parameters
    ----------
    objects : ObjectStore
    files : sequence of str
        ``s3://`` addresses.
    schema : pyarrow.Schema
        What to read, with ``month`` if it comes from the folders' names.
    hive : bool
        Whether it does.
    """
    filesystem, form = objects.filesystem(), ds.ParquetFileFormat()
    fragments = []
    for file in files:
        month = _MONTH_FOLDER.search(file) if hive else None
        known = None
        if month is not None:
            day = pa.scalar(dt.date.fromisoformat(month[1]), pa.date32())
            known = ds.field(MONTH) == day
        fragments.append(form.make_fragment(file.removeprefix(_SCHEME), filesystem, partition_expression=known))
    return ds.FileSystemDataset(fragments, schema, form, filesystem)
