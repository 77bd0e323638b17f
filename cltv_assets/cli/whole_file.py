"""Rows written to one file, ``.csv`` or ``.parquet``, local or on S3, which nobody sees before it is whole."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from cltv_assets.dagster_defs.resources import object_store_for
from cltv_assets.errors import ConfigError
from cltv_assets.files.object_store import is_s3
from cltv_assets.files.storage import Storage
from cltv_assets.settings import Settings


def check_ending(to: str) -> None:
    """Raise a ``ConfigError`` for a name that ends in neither form."""
    if not to.endswith((".csv", ".parquet")):
        raise ConfigError(f"--to {to} ends in neither .csv nor .parquet.", "Give it one of these endings.")


def write_whole(batches: Iterable[pa.RecordBatch], schema: pa.Schema, settings: Settings, to: str) -> int:
    """Write batches of one schema to a file and return how many rows there were.

    Raises
    ------
    ConfigError
        If it cannot be written.
    LakeError
        If the store refuses it.
    """
    objects = object_store_for(settings.model_copy(update={"lake_uri": to})) if is_s3(to) else None
    if "://" in to and objects is None:
        raise ConfigError(f"--to {to} is neither a file nor s3://bucket/name.", "Give one of these.")
    with replacing_whole(Storage(to, objects, ConfigError), to) as path:
        written = 0
        csv = to.endswith(".csv")
        with pa_csv.CSVWriter(path, schema) if csv else pq.ParquetWriter(path, schema, compression="zstd") as out:
            for batch in batches:
                out.write_batch(batch)
                written += batch.num_rows
    return written


@contextmanager
def replacing_whole(target: Storage, to: str) -> Iterator[Path]:
    """Give a file to write that replaces the target once it is complete, so that nobody reads half of it.

    Raises
    ------
    ConfigError
        If it cannot be written.
    """
    try:
        with target.replacing(target.root) as path:
            yield path
    except OSError as error:
        raise ConfigError(
            f"{to} cannot be written: {os.strerror(error.errno) if error.errno else error}.", "Choose another file."
        ) from None
