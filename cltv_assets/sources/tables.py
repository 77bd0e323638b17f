"""Reads a table that a query engine holds: its units are months, not files.

One grouped query lists the months with a fingerprint of each. A month's rows are then
asked for by a range of the time column, so that an index or a partition is used. Bounds of
months are computed here and compared by the engine as they are: no engine converts a time.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.types as pt

from cltv_assets.errors import SourceError
from cltv_assets.months import Month
from cltv_assets.settings import Settings, Source
from cltv_assets.settings.source import LOOKED_AT
from cltv_assets.settings.timestamp_format import compile_format
from cltv_assets.sources.files import SourceFile
from cltv_assets.sources.header import find_columns, other_places
from cltv_assets.sources.parquet_files import as_text, can_be_text, is_time
from cltv_assets.sources.reading import Lines, TableMonths

#: Names the unit of the rows that have no time.
UNDATED = "undated"
#: Bits of a fingerprint. As nanoseconds since 1970 it is long ago, so that no month looks as if it changed just now.
_BITS = 60
_MONEY = ("amount", "quantity", "unit_price", "cost", "unit_cost", "margin", "refund_amount")


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Parameters
    ----------
    type : pyarrow.DataType
        The type of its values.
    sql : str
        The expression that selects it in a form which has this type.
    """

    type: pa.DataType
    sql: str


class Session(Protocol):
    """A session of an engine that only reads. Its methods raise a ``SourceError``."""

    def columns(self) -> Mapping[str, Column]:
        """Return the table's columns by name."""
        ...

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the few rows of a query; ``{rows}`` in it stands for the table."""
        ...

    def read(self, sql: str) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a query as they come from the engine; ``{rows}`` in it stands for the table."""
        ...


class Holder(Protocol):
    """What holds the table."""

    #: Names the table in messages; it has no credentials.
    name: str
    #: Whether times are compared as ISO text.
    text_times: bool

    def refresh(self) -> None:
        """Take the table's newest state; until the next call all sessions may read the same one."""
        # A database's sessions always see its newest state.
        return


class Engine(Holder, Protocol):
    """What holds the table and is asked in SQL."""

    #: The quote around the name of a column.
    quote: str
    #: Sums a number without an error for any value.
    total: str
    #: Spells an instant, from its text in UTC.
    instant: str

    def session(self) -> AbstractContextManager[Session]:
        """Open a session."""
        ...


class MonthsOfTable(ABC):
    """Reads a table month by month.

    Parameters
    ----------
    holder : Holder
        Has the table.
    settings : Settings
        They name the zones.
    source : Source
        Names the columns.
    """

    suffixes: tuple[str, ...] = ()

    def __init__(self, holder: Holder, settings: Settings, source: Source) -> None:
        self._name, self._holder = holder.name, holder
        self._settings = settings
        self._source = source
        self._there: Mapping[str, Column] = {}

    def list_months(self, first: Month, last: Month) -> TableMonths:
        """List the months from first to last, each with the number of its rows and a fingerprint.

        Rows without a time are a unit of their own, which is delivered with the first month. Rows
        before the first month and after the last one are counted only.
        """
        months = list(first.until(last))
        self._holder.refresh()
        found = self._counted([*months, last.shift(1)] if months else [])
        files = [self._unit(month.key, month, found.get(at)) for at, month in enumerate(months, 1)]
        if -1 in found:
            files.append(self._unit(UNDATED, first, found[-1]))
        after = sum(int(row[0]) for at, row in found.items() if months and at > len(months))
        before = int(found[0][0]) if 0 in found else 0
        return TableMonths(files, before, after)

    def columns(self, file: SourceFile) -> tuple[str, ...]:  # noqa: ARG002
        """Return the names of the table's columns that hold plain values."""
        if not self._there:
            self._look()
        return tuple(name for name, one in self._there.items() if can_be_text(one.type))

    @abstractmethod
    def some(self, limit: int) -> list[Lines]:
        """Return some rows, whichever come first, of all columns of plain values; the settings need name none."""

    @abstractmethod
    def ends(self, name: str) -> list[str]:
        """Return the least and the greatest value of a column as texts; the settings need not name it."""

    @abstractmethod
    def read(self, file: SourceFile) -> Iterator[Lines]:
        """Yield a month's rows in a stable order, each value as text.

        They are ordered by ``source.key``, and by all wanted columns where that leaves a choice:
        rows that are still equal may change places unseen.
        """

    @abstractmethod
    def _look(self) -> None:
        """Look at the table's columns once."""

    @abstractmethod
    def _counted(self, months: Sequence[Month]) -> dict[int, Sequence[Any]]:
        """Return the rows and the measures of each unit, by the number of ``months`` that have begun; -1 is undated."""

    def _texts(self, batches: Iterable[pa.RecordBatch]) -> list[str]:
        """Return all values that are not null as texts."""
        columns = (values for lines in self._lines(batches, ("least", "greatest")) for values in lines.columns.values())
        return [text for values in columns for text in values.to_pylist() if text is not None]

    def _lines(self, batches: Iterable[pa.RecordBatch], names: Sequence[str]) -> Iterator[Lines]:
        """Yield rows as lines; the first columns are those of ``names``."""
        row = 1
        for batch in batches:
            first, row = row, row + batch.num_rows
            texts = {name: self._text(name, batch.column(at)) for at, name in enumerate(names)}
            yield Lines(pa.array(np.arange(first, row), pa.int64()), texts)

    def _unit(self, name: str, month: Month, row: Sequence[Any] | None) -> SourceFile:
        count = int(row[0]) if row else 0
        spelled = repr([None if value is None else str(value) for value in row or ()])
        mark = int.from_bytes(hashlib.sha256(spelled.encode()).digest()[:8], "big") >> (64 - _BITS)
        table = self._source.table or ("query" if self._source.query else "table")
        return SourceFile(f"{self._name}, {name}", f"{table}/{name}", month, count, mark)

    def _time(self, there: Mapping[str, Column]) -> Column:
        """Look at the table's columns, refuse what cannot be read, and return the column of the time."""
        wanted = dict(self._source.wanted)
        wanted |= {name: "source.key" for name in self._source.key if name not in wanted}
        if self._source.changed_at:
            wanted.setdefault(self._source.changed_at, "source.changed_at")
        names = list(there)
        places = find_columns(names, wanted, self._name)
        self._there = {name: there[names[at]] for name, at in places.items()} | dict(there)
        for name in self._source.wanted:
            if not can_be_text(self._there[name].type):
                raise SourceError(
                    f"{self._name}, column '{name}' ({wanted[name]}): its type {self._there[name].type} holds "
                    "no plain values.",
                    "Cast it to text, a number or a timestamp in source.query, or name another column.",
                )
        (name,) = self._source.columns["transacted_at"]
        time, formats = self._there[name], self._source.timestamp_format
        if is_time(time.type):
            if "iso" not in formats:
                raise SourceError(
                    f"{self._where(time)}: source.timestamp_format '{' or '.join(formats)}' cannot read it.",
                    "Set source.timestamp_format: iso.",
                )
        elif is_text(time):
            if not self._holder.text_times or formats != ("iso",):
                raise SourceError(
                    f"{self._where(time)}: months cannot be told apart exactly in a column of text.",
                    "Cast it to a timestamp in source.query, with source.timestamp_format: iso.",
                )
        elif len(formats) != 1 or compile_format(formats[0]).origin is None:
            raise SourceError(
                f"{self._where(time)}: source.timestamp_format '{' or '.join(formats)}' does not say what its numbers "
                "count.",
                "Set source.timestamp_format to epoch_s, epoch_ms, epoch_us, excel_serial or days_since YYYY-MM-DD.",
            )
        return time

    def _read_names(self) -> list[str]:
        """Return the columns that are read, those that are kept beside the wanted ones last."""
        plain = [name for name, one in self._there.items() if can_be_text(one.type)]
        others = [name for name in other_places(plain, self._source) if name in self._there]
        return [*self._source.wanted, *others]

    def _where(self, time: Column) -> str:
        (name,) = self._source.columns["transacted_at"]
        return f"{self._name}, column '{name}' ({time.type})"

    def _edge(self, month: Month, time: Column) -> dt.datetime | Fraction:
        """Return the beginning of a month as an instant, as wall-clock time, or as the number that the column counts.

        They are what a column with a zone, one without, and one of numbers hold.
        """
        instant = dt.datetime.combine(month.first_day, dt.time(), self._settings.zone).astimezone(dt.UTC)
        wall = instant.astimezone(self._settings.source_zone).replace(tzinfo=None)
        if is_time(time.type) or is_text(time):
            return instant if pt.is_timestamp(time.type) and time.type.tz is not None else wall
        pattern = compile_format(self._source.timestamp_format[0])
        assert pattern.origin is not None
        since = (instant.replace(tzinfo=None) if pattern.instant else wall) - pattern.origin
        return Fraction(since // dt.timedelta(microseconds=1), 1_000_000) / Fraction(*pattern.seconds)

    def _money(self) -> list[Column]:
        """Return the columns of numbers whose sums change when rows of a month change."""
        there = [self._there[self._source.columns[name][0]] for name in _MONEY if name in self._source.columns]
        return [column for column in there if _is_number(column)]

    def _text(self, name: str, values: pa.Array) -> pa.Array:
        try:
            return as_text(values.storage if isinstance(values, pa.ExtensionArray) else values)
        except pa.ArrowException as error:
            if self._source.wanted.get(name, LOOKED_AT) == LOOKED_AT:
                return pa.nulls(len(values), pa.string())
            raise SourceError(
                f"{self._name}, column '{name}': values that are no text.",
                "Cast it to text in source.query.",
                quoted=f"It says: {' '.join(str(error).split())}.",
            ) from None


class TableReader(MonthsOfTable):
    """Reads a table by queries in SQL; its parameters are those of `MonthsOfTable`."""

    def __init__(self, engine: Engine, settings: Settings, source: Source) -> None:
        super().__init__(engine, settings, source)
        self._engine = engine

    def some(self, limit: int) -> list[Lines]:
        """Return some rows."""
        self._engine.refresh()
        with self._engine.session() as session:
            plain = {name: one.sql for name, one in session.columns().items() if can_be_text(one.type)}
            sql = f"SELECT {', '.join(plain.values())} FROM {{rows}} LIMIT {limit}"  # noqa: S608
            return list(self._lines(session.read(sql), list(plain)))

    def ends(self, name: str) -> list[str]:
        """Return the least and the greatest value of a column."""
        with self._engine.session() as session:
            column = session.columns()[name].sql
            return self._texts(session.read(f"SELECT MIN({column}), MAX({column}) FROM {{rows}}"))  # noqa: S608

    def read(self, file: SourceFile) -> Iterator[Lines]:
        """Yield a month's rows."""
        assert file.delivery is not None
        with self._engine.session() as session:
            time = self._time_of(session)
            if file.name.endswith(UNDATED):
                condition = self._undated(time)
            else:
                begin, end = (self._bound(month, time) for month in (file.delivery, file.delivery.shift(1)))
                condition = f"{time.sql} >= {begin} AND {time.sql} < {end}"
            names = self._read_names()
            selected = [f"{self._there[name].sql} AS c{at}" for at, name in enumerate(names)]
            keys = [self._quoted(name) for name in self._source.key]
            order = ", ".join([*keys, *(self._there[name].sql for name in names)])
            # Ordered below and selected above, because a key need not be selected.
            sql = f"SELECT {', '.join(selected)} FROM {{rows}} WHERE {condition} ORDER BY {order}"  # noqa: S608
            yield from self._lines(session.read(sql), names)

    def _look(self) -> None:
        with self._engine.session() as session:
            self._time_of(session)

    def _counted(self, months: Sequence[Month]) -> dict[int, Sequence[Any]]:
        with self._engine.session() as session:
            time = self._time_of(session)
            edges = [self._bound(month, time) for month in months]
            bucket = f"CASE WHEN {self._undated(time)} THEN -1 ELSE {_tree(time.sql, edges, 0, len(edges))} END"
            measures = ["COUNT(*)", *(self._engine.total.format(column.sql) for column in self._money())]
            if self._source.changed_at:
                measures.append(f"MAX({self._quoted(self._source.changed_at)})")
            sql = f"SELECT {bucket} AS month_number, {', '.join(measures)} FROM {{rows}} GROUP BY 1"  # noqa: S608
            return {int(row[0]): row[1:] for row in session.ask(sql)}

    def _quoted(self, name: str) -> str:
        quote = self._engine.quote
        return quote + name.replace(quote, quote * 2) + quote

    def _time_of(self, session: Session) -> Column:
        time = self._time(session.columns())
        if is_text(time):
            self._require_iso(session, time)
        return time

    def _require_iso(self, session: Session, time: Column) -> None:
        digits = "[0-9]"
        day = f"{digits * 4}-{digits * 2}-{digits * 2}"
        rest = f"substr({time.sql}, 12)"
        plain = (
            f"{time.sql} GLOB '{day}' OR "
            f"({time.sql} GLOB '{day}[ T]{digits * 2}:{digits * 2}*' AND {rest} NOT GLOB '*[^0-9:.]*')"
        )
        odd = f"NOT ({self._undated(time)}) AND NOT ({plain})"
        found = session.ask(f"SELECT COUNT(*), MIN({time.sql}) FROM {{rows}} WHERE {odd}")  # noqa: S608
        if found[0][0]:
            raise SourceError(
                f"{self._where(time)}: {found[0][0]:,} rows hold no ISO day or time without an offset, so months "
                "cannot be told apart exactly.",
                "Make it ISO text such as 2024-03-01 12:30:00 in source.query (SQLite's datetime() does).",
                quoted=f"One of them is {found[0][1]!r}.",
            )

    def _undated(self, time: Column) -> str:
        return f"{time.sql} IS NULL OR trim({time.sql}) = ''" if is_text(time) else f"{time.sql} IS NULL"

    def _bound(self, month: Month, time: Column) -> str:
        """Spell the beginning of a month as a value of the time column."""
        edge = self._edge(month, time)
        if isinstance(edge, Fraction):
            return str(edge.numerator) if edge.denominator == 1 else f"{float(edge):.9f}"
        if edge.tzinfo is not None:
            return self._engine.instant.format(f"{edge:%Y-%m-%d %H:%M:%S}")
        if is_text(time):
            # Text with fewer parts comes first: 2024-03-01 before 2024-03-01 00:00.
            return f"'{edge:%Y-%m-%d}'" if edge.time() == dt.time() else f"'{edge:%Y-%m-%d %H:%M}'"
        return f"TIMESTAMP '{edge:%Y-%m-%d %H:%M:%S}'"


def is_text(column: Column) -> bool:
    """Return whether a column holds text."""
    return bool(pt.is_string(column.type) or pt.is_large_string(column.type))


def _is_number(column: Column) -> bool:
    return bool(pt.is_integer(column.type) or pt.is_floating(column.type) or pt.is_decimal(column.type))


def _tree(time: str, edges: Sequence[str], low: int, high: int) -> str:
    """Return an expression for the number of edges that a time has reached, by halving: few comparisons a row."""
    if low == high:
        return str(low)
    middle = (low + high + 1) // 2
    less, more = _tree(time, edges, low, middle - 1), _tree(time, edges, middle, high)
    return f"CASE WHEN {time} < {edges[middle - 1]} THEN {less} ELSE {more} END"
