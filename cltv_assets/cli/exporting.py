"""``cltv export``: a month's predictions as one file, local or on S3."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import typer

from cltv_assets.cli.reading import LakeReader, named_or_newest, open_reader
from cltv_assets.dagster_defs.resources import object_store_for
from cltv_assets.dagster_defs.templates import load_settings
from cltv_assets.errors import ConfigError
from cltv_assets.files.object_store import is_s3
from cltv_assets.files.storage import Storage
from cltv_assets.settings import Settings
from cltv_assets.tables.cltv_predictions.columns import predictions_schema


def export_predictions(config: Path | None, month: str, to: str) -> None:
    """Write ``cltv_predictions`` of ``month`` to ``to``, sorted by customer.

    The rows are streamed, so memory does not limit the number of customers.

    Raises
    ------
    ConfigError
        If the file's ending is unknown or it cannot be written.
    LakeError
        If the store refuses it.
    MissingMonthsError
        If the month is not published.
    """
    if not to.endswith((".csv", ".parquet")):
        raise ConfigError(f"--to {to} ends in neither .csv nor .parquet.", "Give it one of these endings.")
    settings = load_settings(config)
    schema = predictions_schema(settings.horizons_months)
    with open_reader(settings) as reader:
        wanted = named_or_newest(reader, schema, month)
        rows = reader.month(schema, wanted).order_by("customer_id")
        written = _write_whole(reader, rows, settings, to)
    typer.echo(f"{written:,} predictions of {wanted} written to {to}")


def _write_whole(reader: LakeReader, rows: ir.Table, settings: Settings, to: str) -> int:
    objects = object_store_for(settings.model_copy(update={"lake_uri": to})) if is_s3(to) else None
    if "://" in to and objects is None:
        raise ConfigError(f"--to {to} is neither a file nor s3://bucket/name.", "Give one of these.")
    target = Storage(to, objects, ConfigError)
    try:
        # Renamed when it is complete, so that nobody reads half a file.
        with target.replacing(target.root) as path:
            return _write(reader, rows, path, csv=to.endswith(".csv"))
    except OSError as error:
        raise ConfigError(
            f"{to} cannot be written: {os.strerror(error.errno) if error.errno else error}.", "Choose another file."
        ) from None


def _write(reader: LakeReader, rows: ir.Table, to: Path, *, csv: bool) -> int:
    batches: Iterator[pa.RecordBatch] = reader.engine.stream(rows)
    first = next(batches, None)
    schema = first.schema if first is not None else rows.schema().to_pyarrow()
    written = 0
    with pa_csv.CSVWriter(to, schema) if csv else pq.ParquetWriter(to, schema, compression="zstd") as out:
        while first is not None:
            out.write_batch(first)
            written += first.num_rows
            first = next(batches, None)
    return written
