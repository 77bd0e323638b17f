"""Rows as a table, as CSV or as JSON on standard output.

What stands in the tables came from others. A terminal obeys control characters, and
the console that other commands print with reads markup in square brackets. So nothing
here goes through that console, and what a terminal would obey is spelled out.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import math
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.csv as pa_csv
from rich.cells import cell_len, set_cell_size

from cltv_assets.errors import QueryError
from cltv_assets.foreign import visible

#: The widest that a column of the printed table may become.
_WIDEST = 60


@dataclass(frozen=True)
class Rows:
    """What a query gives.

    Parameters
    ----------
    schema : pyarrow.Schema
        The columns.
    batches : iterator of pyarrow.RecordBatch
        The rows, computed as they are asked for; an error of the query may come with any of them.
    """

    schema: pa.Schema
    batches: Iterator[pa.RecordBatch]


def print_table(rows: Rows, limit: int) -> None:
    """Print the first rows in columns, and how many there are of all."""
    shown: list[tuple[Any, ...]] = []
    total = 0
    for batch in rows.batches:
        head = batch.slice(0, max(0, limit - total))
        # By position: two columns may have one name.
        shown += zip(*(column.to_pylist() for column in head.columns), strict=True) if head.num_rows else ()
        total += batch.num_rows
    headers = [visible(name) for name in rows.schema.names]
    right = [_is_number(kind) for kind in rows.schema.types]
    cells = [[_cell(value) for value in row] for row in shown]
    widths = [
        min(_WIDEST, max(map(cell_len, [header, *(row[i] for row in cells)]))) for i, header in enumerate(headers)
    ]
    out = [_line(headers, widths, right), "  ".join("─" * width for width in widths)]
    out += [_line(row, widths, right) for row in cells]
    note = f"{total:,} row{'' if total == 1 else 's'}"
    if total > len(shown):
        note += f", of which the first {len(shown):,} are shown (--limit, or --to FILE for all)"
    sys.stdout.write("\n".join([*out, note]) + "\n")


def _is_number(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.4f}" if value == 0 or 1e-3 <= abs(value) < 1e15 else f"{value:.4g}"
    if isinstance(value, int):
        # Without marks between thousands: it may be a year.
        return str(value)
    if isinstance(value, Decimal):
        # Money has four decimals in the tables, of which the last two are rarely used.
        text = f"{value:f}"
        return text.removesuffix("00") if text[-5:-4] == "." else text
    if isinstance(value, pa.MonthDayNano):
        return _interval(value)
    if isinstance(value, str | dt.date | dt.time | dt.timedelta):
        return visible(str(value))
    return visible(_json(value))


def _interval(value: Any) -> str:
    months, days, nanoseconds = value
    return f"P{months}M{days}DT{nanoseconds / 1e9:g}S"


def _line(cells: list[str], widths: list[int], right: list[bool]) -> str:
    fitted = []
    for cell, width, at_right in zip(cells, widths, right, strict=True):
        if cell_len(cell) > width:
            cell = set_cell_size(cell, width - 1).rstrip() + "…"
        padding = " " * (width - cell_len(cell))
        fitted.append(padding + cell if at_right else cell + padding)
    return "  ".join(fitted).rstrip()


def print_json(rows: Rows) -> None:
    """Print one JSON array, an object to a line; numbers keep all their digits."""
    names = [json.dumps(name, ensure_ascii=True) for name in rows.schema.names]
    first = True
    sys.stdout.write("[")
    for row in _tuples(rows):
        members = ", ".join(f"{name}: {_json(value)}" for name, value in zip(names, row, strict=True))
        sys.stdout.write(f"{'' if first else ','}\n{{{members}}}")
        first = False
    sys.stdout.write("\n]\n")


def _tuples(rows: Rows) -> Iterator[tuple[Any, ...]]:
    for batch in rows.batches:
        yield from zip(*(column.to_pylist() for column in batch.columns), strict=True)


def _json(value: Any) -> str:
    if value is None or (isinstance(value, float) and not math.isfinite(value)):
        return "null"
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    if isinstance(value, pa.MonthDayNano):
        return json.dumps(_interval(value))
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_json, value))}]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(str(key))}: {_json(one)}" for key, one in value.items()) + "}"
    if isinstance(value, bytes):
        return json.dumps(value.hex())
    # In ASCII: a terminal would obey some characters above it, too.
    return json.dumps(value.isoformat() if isinstance(value, dt.date | dt.time) else str(value))


def print_csv(rows: Rows) -> None:
    """Print CSV, as ``--to`` writes it; where a person looks at it, with `visible` texts."""
    person = sys.stdout.isatty()
    sys.stdout.flush()
    write_csv(_visible_batches(rows) if person else rows.batches, rows.schema, sys.stdout.buffer)
    sys.stdout.flush()


def _visible_batches(rows: Rows) -> Iterator[pa.RecordBatch]:
    for batch in rows.batches:
        yield pa.RecordBatch.from_arrays(
            [
                pa.array([None if text is None else visible(text) for text in column.to_pylist()], column.type)
                if pa.types.is_string(column.type)
                else column
                for column in batch.columns
            ],
            schema=rows.schema,
        )


def write_csv(batches: Iterable[pa.RecordBatch], schema: pa.Schema, to: BinaryIO) -> None:
    """Write batches as CSV.

    Raises
    ------
    QueryError
        If a column's type has no form in CSV.
    """
    refuse_for_csv(schema)
    with contextlib.closing(pa_csv.CSVWriter(to, schema)) as out:
        for batch in batches:
            out.write_batch(batch)


def refuse_for_csv(schema: pa.Schema) -> None:
    """Raise a ``QueryError`` for columns that CSV has no form for."""
    odd = [
        field.name
        for field in schema
        if pa.types.is_nested(field.type) or pa.types.is_interval(field.type) or pa.types.is_null(field.type)
    ]
    if odd:
        raise QueryError(
            f"Columns without a form in CSV: {visible(', '.join(odd))}.",
            "Cast them to text, as in CAST(x AS VARCHAR), or take another format.",
        )
