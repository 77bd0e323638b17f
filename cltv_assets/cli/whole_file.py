"""Rows written to one file, ``.csv`` or ``.parquet``, local or on S3, which nobody sees before it is whole."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from cltv_assets.dagster_defs.resources import object_store_for
from cltv_assets.errors import ConfigError
from cltv_assets.files.object_store import is_s3
from cltv_assets.files.storage import Storage
from cltv_assets.settings import Settings

#: Endings of the files that can be written.
ENDINGS = (".csv", ".parquet")

#: Texts that a spreadsheet takes for a formula, and those that look like one made harmless: each gets one apostrophe
#: more, so that taking one away gives every text back.
_FORMULA = r"^'*[=+\-@\t\r]"


class Harmless:
    """Makes texts harmless to spreadsheets, and counts them."""

    def __init__(self) -> None:
        self.changed = 0

    def __call__(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the rows with an apostrophe before each text that a spreadsheet would compute."""
        columns = []
        for column in batch.columns:
            found = column
            if pa.types.is_string(column.type):
                formula = pc.fill_null(pc.match_substring_regex(column, _FORMULA), False)
                if count := pc.sum(formula).as_py():
                    self.changed += count
                    found = pc.if_else(formula, pc.binary_join_element_wise("'", column, ""), column)
            columns.append(found)
        return pa.RecordBatch.from_arrays(columns, schema=batch.schema)


def check_ending(to: str) -> None:
    """Raise a ``ConfigError`` for a name that ends in neither form."""
    if not to.endswith(ENDINGS):
        raise ConfigError(f"--to {to} ends in neither .csv nor .parquet.", "Give it one of these endings.")


def write_whole(
    batches: Iterable[pa.RecordBatch], schema: pa.Schema, settings: Settings, to: str, *, raw_text: bool = False
) -> tuple[int, int]:
    """Write batches of one schema to a file.

    Parameters
    ----------
    batches : iterable of pyarrow.RecordBatch
        Streamed, so that memory does not limit the rows.
    schema : pyarrow.Schema
        Of the rows.
    settings : Settings
        Say how S3 is reached.
    to : str
        A file or ``s3://bucket/name`` with one of the `ENDINGS`.
    raw_text : bool
        Whether texts in CSV stay as they are, although spreadsheets take some of them for formulas.

    Returns
    -------
    tuple of int
        The rows, and the texts that got an apostrophe.

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
    csv, harmless = to.endswith(".csv"), Harmless()
    with replacing_whole(Storage(to, objects, ConfigError), to) as path:
        written = 0
        with pa_csv.CSVWriter(path, schema) if csv else pq.ParquetWriter(path, schema, compression="zstd") as out:
            for batch in batches if raw_text or not csv else map(harmless, batches):
                out.write_batch(batch)
                written += batch.num_rows
    return written, harmless.changed


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
