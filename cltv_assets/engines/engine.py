"""What a transformation engine must offer, and what is the same on each of them."""

from __future__ import annotations

import datetime as dt
import functools
import itertools
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir
import pyarrow as pa

from cltv_assets.columns import TableSchema

#: See `Engine.workers`.
RunTasks: TypeAlias = Callable[[Callable[[int], bytes], int], list[bytes]]
#: A table of text: its columns, what yields the rows of a part of it, and how many parts there are.
Rows: TypeAlias = tuple[Sequence[str], Callable[[int], Iterator[pa.RecordBatch]], int]
#: See `Engine.querier`.
RunQuery: TypeAlias = Callable[[str, Mapping[str, Rows], Sequence[pa.DataType], str], None]


class Engine(ABC):
    """Runs Ibis expressions over parquet files.

    Tables stay in the engine. Only small results leave it: sufficient
    statistics, measures of a check, previews.
    """

    name: str
    #: Quotes a name in the engine's SQL.
    _quote: str
    #: The Ibis backend.
    _backend: Any

    def __init__(self, prefix: str = "cltv") -> None:
        self._prefix = prefix
        self._names = self._fresh_names()

    def _fresh_names(self) -> Iterator[str]:
        return (f"{self._prefix}_{i}" for i in itertools.count())

    def read_lake(self, schema: TableSchema, files: Sequence[str]) -> ir.Table:
        """Return published files of a table, lazily, with its ``month`` column."""
        return self._read(schema, files, hive=True)

    def read_files(self, schema: TableSchema, files: Sequence[str]) -> ir.Table:
        """Return files of one month, lazily, without a ``month`` column."""
        return self._read(schema, files, hive=False)

    def measure(self, table: ir.Table, measures: dict[str, ir.Scalar]) -> dict[str, Any]:
        """Compute ``measures``, aggregates of ``table`` by name, in one pass, and equal ones only once."""
        if not measures:
            return {}
        # Ibis gives equal scalar subqueries one name; each distinct measure is computed once.
        names: dict[Any, str] = {}
        for scalar in measures.values():
            names.setdefault(scalar.op(), f"m{len(names)}")
        distinct = {name: op.to_expr() for op, name in names.items()}
        row = dict(zip(distinct, self._row(table.aggregate(**distinct)), strict=True))
        return {name: row[names[scalar.op()]] for name, scalar in measures.items()}

    @abstractmethod
    def from_arrow(self, table: pa.Table) -> ir.Table:
        """Hand a small table to the engine."""

    @abstractmethod
    def cache(self, expression: ir.Table) -> ir.Table:
        """Compute once what a step reads several times; kept until ``release``."""

    @abstractmethod
    def release(self) -> None:
        """Drop what ``cache`` and ``from_arrow`` hold: the step is over."""

    @abstractmethod
    def write(self, expression: ir.Table, schema: TableSchema, path: str) -> None:
        """Compute ``expression`` into one parquet file or a folder of them, cast to ``schema``."""

    @abstractmethod
    def collect(self, expression: ir.Table) -> pa.Table:
        """Compute a small result and bring it here."""

    def workers(self) -> RunTasks | None:
        """Return what runs Python on the engine's own machines; None if it has none.

        It runs a task with each number below a count and returns the answers in order, or raises a
        ``NoWorkersError`` if those machines lack this package or have another Python.
        """
        return None

    def querier(self) -> RunQuery | None:
        """Return what runs a user's query on the engine's own machines; None if it has none.

        It takes a SELECT in the engine's SQL, the tables that it may name, the types that its columns are cast to, and
        a folder. There it writes the rows, in the order of their values, into Parquet files whose names have that
        order and whose columns are ``c0``, ``c1`` and so on. It raises a ``StatementError`` if the engine cannot run
        the query, and a ``NoWorkersError`` as `workers` does.
        """
        return None

    def _row(self, expression: ir.Table) -> tuple[Any, ...]:
        """Compute a result of one row and bring it here."""
        return tuple(self.collect(expression).to_pylist()[0].values())

    @abstractmethod
    def close(self) -> None:
        """Release what the engine holds."""

    @abstractmethod
    def _read(self, table: TableSchema, files: Sequence[str], *, hive: bool) -> ir.Table: ...

    def _table(self, name: str, schema: ibis.Schema) -> ir.Table:
        # Ibis would ask the engine to describe the table, but the schema is known here.
        return ops.DatabaseTable(name=name, schema=schema, source=self._backend, namespace=ops.Namespace()).to_expr()

    def _quoted(self, name: str) -> str:
        return self._quote + name.replace(self._quote, self._quote * 2) + self._quote

    def _typed(self, expression: ir.Table, schema: ibis.Schema) -> str:
        """Return the query with an explicit cast of every column.

        Ibis omits a cast to the type that it believes a column already has. But DuckDB widens
        sums, so parquet would hold doubles; Spark widens sums and narrows products.
        """
        types = self._backend.compiler.type_mapper
        columns = (f"CAST({self._quoted(n)} AS {types.to_string(t)}) AS {self._quoted(n)}" for n, t in schema.items())
        query = self._sql(expression)
        return f"SELECT {', '.join(columns)} FROM ({query})"  # noqa: S608 - generated, no user text

    def _sql(self, expression: ir.Table) -> str:
        return _compiled(self._backend, expression.op())


# Room for the expressions of a month, some hundred. Those of past months would hold memory and do not come back.
@functools.lru_cache(maxsize=128)
def _compiled(backend: Any, operation: Any) -> str:
    """Return the query of an expression.

    In a backfill most of a month's expressions equal those of the month before, or differ in dates
    and in a model's parameters only: they are compiled once, because Ibis takes some 15 milliseconds
    for each.
    """
    literals = operation.find(ops.Literal)
    given = [one for one in literals if _has_place(one)]
    # Texts that look like a place, and more values than there are places, are left to Ibis.
    if len(given) > _PLACES or any(_PLACE.search(str(one.value)) for one in literals if one.dtype.is_string()):
        return _compiled_shape(backend, operation)
    places = {one: ops.Literal(_place(i, one.dtype), one.dtype) for i, one in enumerate(given)}

    def spelled(place: re.Match[str]) -> str:
        value = given[int(place[1] or place[2]) - _FIRST_PLACE].value
        return f"MAKE_DATE({value.year}, {value.month}, {value.day})" if isinstance(value, dt.date) else str(value)

    return _PLACE.sub(spelled, _compiled_shape(backend, operation.replace(places)))


def _has_place(literal: Any) -> bool:
    dtype, value = literal.dtype, literal.value
    return value is not None and bool(dtype.is_date() or (dtype.is_float64() and math.isfinite(value)))


#: Values that stand for an expression's own, numbered from 100, and how both engines spell them.
_FIRST_PLACE, _PLACES = 100, 200
_PLACE = re.compile(r"MAKE_DATE\(9(\d{3}), 1, 1\)|\b1e\+(\d{3})\b")


def _place(i: int, dtype: Any) -> dt.date | float:
    number = _FIRST_PLACE + i
    return dt.date(9000 + number, 1, 1) if dtype.is_date() else float(f"1e{number}")


@functools.lru_cache(maxsize=128)
def _compiled_shape(backend: Any, operation: Any) -> str:
    query: str = backend.compile(operation.to_expr())
    return query
