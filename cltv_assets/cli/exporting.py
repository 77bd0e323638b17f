"""``cltv export``: a month's predictions as one file."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq
import typer

from cltv_assets.cli.reading import named_or_newest, open_reader
from cltv_assets.errors import ConfigError
from cltv_assets.schemas import cltv_predictions
from cltv_assets.settings_file import load_settings


def export_predictions(config: Path | None, month: str, to: Path) -> None:
    """Write ``cltv_predictions`` of ``month`` to ``to``, sorted by customer.

    Raises
    ------
    ConfigError
        If the file's ending is unknown or it cannot be written.
    MissingMonthsError
        If the month is not published.
    """
    if to.suffix not in (".csv", ".parquet"):
        raise ConfigError(f"--to {to} ends in neither .csv nor .parquet.", "Give it one of these endings.")
    settings = load_settings(config)
    schema = cltv_predictions(settings.horizons_months)
    with open_reader(settings) as reader:
        wanted = named_or_newest(reader, schema, month)
        rows: pa.Table = reader.engine.collect(reader.month(schema, wanted).order_by("customer_id"))
    # Beside the target and renamed, so that nobody picks up half a file.
    partial = to.with_name(f".{to.name}.partial")
    try:
        to.parent.mkdir(parents=True, exist_ok=True)
        if to.suffix == ".csv":
            pa_csv.write_csv(rows, partial)
        else:
            pq.write_table(rows, partial, compression="zstd")
        partial.replace(to)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise ConfigError(
            f"{to} cannot be written: {os.strerror(error.errno) if error.errno else error}.", "Choose another file."
        ) from None
    typer.echo(f"{rows.num_rows:,} predictions of {wanted} written to {to}")
