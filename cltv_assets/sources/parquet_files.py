"""Reading Parquet files: typed columns become text, rows are numbered from 1."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from cltv_assets.errors import SourceError
from cltv_assets.files.source_storage import Storage
from cltv_assets.settings import CanonicalName, Source
from cltv_assets.sources.files import SourceFile
from cltv_assets.sources.headers import find_columns
from cltv_assets.sources.parquet_text import as_text, can_be_text, is_time
from cltv_assets.sources.rows import split_batch

#: Rows to a batch: bounds the memory that wide text takes.
_BATCH_ROWS = 65_536


class ParquetReader:
    """Parquet files as ``source`` describes them.

    Parameters
    ----------
    storage : Storage
    source : Source
        Columns and time format.
    """

    suffixes: tuple[str, ...] = (".parquet",)

    def __init__(self, storage: Storage, source: Source) -> None:
        self._storage = storage
        self._source = source

    def columns(self, file: SourceFile) -> tuple[str, ...]:
        """Return the names of the file's columns."""
        with self._open(file) as parquet:
            self._places(file, parquet.schema_arrow)
            return tuple(parquet.schema_arrow.names)

    def read(self, file: SourceFile) -> Iterator[pa.RecordBatch]:
        """Yield all rows, each value as text."""
        with self._open(file) as parquet:
            places = self._places(file, parquet.schema_arrow)
            names = {canonical: parquet.schema_arrow.names[at] for canonical, at in places.items()}
            row = 1
            for batch in parquet.iter_batches(_BATCH_ROWS, columns=list(names.values())):
                delivered = {
                    canonical: self._text(file, canonical, name, batch.column(name))
                    for canonical, name in names.items()
                }
                lines = pa.array(range(row, row + batch.num_rows), pa.int64())
                yield split_batch(file.name, lines, delivered)
                row += batch.num_rows

    @contextmanager
    def _open(self, file: SourceFile) -> Iterator[Any]:
        with self._storage.reading(file.path):
            if file.size == 0:
                raise SourceError(f"{file.path} is empty (0 bytes).", "Deliver it again, or remove it.")
            try:
                with self._storage.open_random(file.path) as stream, pq.ParquetFile(stream) as parquet:
                    yield parquet
            except pa.ArrowException as error:
                raise SourceError(
                    f"{file.path} is not a readable Parquet file: {' '.join(str(error).split())}.",
                    "Deliver it again; if it is text, set source.kind: csv.",
                ) from None

    def _places(self, file: SourceFile, schema: pa.Schema) -> dict[CanonicalName, int]:
        """Return where the configured columns stand, their types checked."""
        places = find_columns(schema.names, self._source.columns, file.path)
        for canonical, at in places.items():
            field = schema.field(at)
            if not can_be_text(field.type):
                raise SourceError(
                    f"{file.path}, column '{field.name}' (source.columns.{canonical}): its type {field.type} "
                    "holds no plain values.",
                    "Write one text, number, date or timestamp to a row of that column, or name another one.",
                )
            if canonical == "transacted_at" and is_time(field.type) and self._source.timestamp_format != "iso":
                raise SourceError(
                    f"{file.path}, column '{field.name}': it is a {field.type}, which source.timestamp_format "
                    f"'{self._source.timestamp_format}' cannot read.",
                    "Set source.timestamp_format: iso.",
                )
        return places

    def _text(self, file: SourceFile, canonical: str, name: str, values: pa.Array) -> pa.Array:
        try:
            return as_text(values)
        except pa.ArrowException as error:
            raise SourceError(
                f"{file.path}, column '{name}' (source.columns.{canonical}): values that are no text: "
                f"{' '.join(str(error).split())}.",
                "Write that column as text, number, date or timestamp.",
            ) from None
