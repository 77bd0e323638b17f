"""``cltv export``: a month's predictions as one file, local or on S3."""

from __future__ import annotations

import itertools
from pathlib import Path

import typer

from cltv_assets.cli.reading import named_or_newest, open_reader
from cltv_assets.cli.whole_file import check_ending, write_whole
from cltv_assets.dagster_defs.templates import load_settings
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
    check_ending(to)
    settings = load_settings(config)
    schema = predictions_schema(settings.horizons_months)
    with open_reader(settings) as reader:
        wanted = named_or_newest(reader, schema, month)
        rows = reader.month(schema, wanted).order_by("customer_id")
        batches = reader.engine.stream(rows)
        first = next(batches, None)
        if first is None:
            written = write_whole((), rows.schema().to_pyarrow(), settings, to)
        else:
            written = write_whole(itertools.chain([first], batches), first.schema, settings, to)
    typer.echo(f"{written:,} predictions of {wanted} written to {to}")
