"""What every reader yields: batches of lines in the schema of ``raw_transactions``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from cltv_assets.sources.delivered import RAW_TRANSACTIONS
from cltv_assets.sources.files import SourceFile

#: Lines that a text reader collects before it yields them: few, so that Python's
#: objects stay in the processor's cache (50,000 took twice as long a line).
BATCH_LINES = 5_000


class Reader(Protocol):
    """One format of source files."""

    #: Endings of the files that a folder is searched for.
    suffixes: tuple[str, ...]

    def columns(self, file: SourceFile) -> tuple[str, ...]:
        """Return the names of a file's columns.

        Raises
        ------
        SourceError
            If the file cannot be read or lacks a configured column.
        """
        ...

    def read(self, file: SourceFile) -> Iterator[pa.RecordBatch]:
        """Yield all lines of a file, in the schema of ``raw_transactions``.

        Raises
        ------
        SourceError
            If the file cannot be read, or not as configured.
        """
        ...


@dataclass(frozen=True)
class Unsplit:
    """A record with too few or too many fields.

    Parameters
    ----------
    line : int
        Number of its first line.
    text : str
        The whole record, without the final line ending.
    """

    line: int
    text: str


def split_batch(name: str, lines: pa.Array, delivered: Mapping[Any, pa.Array]) -> pa.RecordBatch:
    """Return lines that could be split; an empty field becomes null.

    Parameters
    ----------
    name : str
        The file's name relative to the source.
    lines : pyarrow.Array
        Line numbers, int64.
    delivered : mapping
        Canonical name to the delivered text.
    """
    return _batch(name, lines, {field: _empty_to_null(values) for field, values in delivered.items()})


def unsplit_batch(name: str, records: Sequence[Unsplit]) -> pa.RecordBatch:
    """Return lines that could not be split: their text and nothing else."""
    lines = pa.array([record.line for record in records], pa.int64())
    return _batch(name, lines, {"source_text": pa.array([record.text for record in records], pa.string())})


def text_batch(name: str, fields: Sequence[str], rows: Sequence[Sequence[str]], lines: Sequence[int]) -> pa.RecordBatch:
    """Return rows of text as a batch.

    Parameters
    ----------
    name : str
    fields : sequence of str
        Canonical names of a row's values.
    rows, lines : sequence
        The rows, and the line number of each.
    """
    columns = zip(*rows, strict=True)
    delivered = {field: pa.array(values, pa.string()) for field, values in zip(fields, columns, strict=True)}
    return split_batch(name, pa.array(lines, pa.int64()), delivered)


def _batch(name: str, lines: pa.Array, given: Mapping[Any, pa.Array]) -> pa.RecordBatch:
    count = len(lines)
    columns = {"source_file": pa.repeat(pa.scalar(name, pa.string()), count), "source_line": lines, **given}
    schema = RAW_TRANSACTIONS.arrow
    arrays = [columns[f.name] if f.name in columns else pa.nulls(count, f.type) for f in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _empty_to_null(values: pa.Array) -> pa.Array:
    return pc.if_else(pc.equal(values, ""), pa.scalar(None, pa.string()), values)
