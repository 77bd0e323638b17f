"""Tables of SQL Server, Snowflake, BigQuery and Databricks, asked in the SQL that Ibis writes for each.

None of these could be reached where this was written. Tests try the same expressions on DuckDB, and that Ibis
can write them for all four.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from fractions import Fraction
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import ibis
import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.types as pt

from cltv_assets.errors import SourceError
from cltv_assets.months import Month
from cltv_assets.settings import Settings, Source
from cltv_assets.sources.files import SourceFile
from cltv_assets.sources.parquet_files import can_be_text
from cltv_assets.sources.place import Place
from cltv_assets.sources.reading import Lines
from cltv_assets.sources.tables import UNDATED, Column, Holder, MonthsOfTable

#: Schemes of their URLs, which are also the names of Ibis' extras.
WAREHOUSES = ("mssql", "snowflake", "bigquery", "databricks")
#: Sums are exact, so that they do not depend on the order of rows. Nine decimals are what all four have.
_TOTAL = "decimal(38, 9)"
_ROWS = 100_000


class Warehouse(Holder):
    """What holds the table.

    Parameters
    ----------
    place : Place
        For messages.
    connect : callable
        Returns a connected backend of Ibis.
    """

    text_times = False

    def __init__(self, place: Place, connect: Callable[[], Any]) -> None:
        self.place, self._connect, self.name = place, connect, place.name

    @contextmanager
    def session(self) -> Iterator[Any]:
        """Open a session: a backend of Ibis."""
        with self.place.guarded(Exception):
            backend = self._connect()
        try:
            yield backend
        finally:
            # A connection that broke while rows came may fail to close, which would hide what is wrong.
            with suppress(Exception):
                backend.disconnect()


def connected(url: str) -> Any:
    """Return the backend of Ibis that a URL of `WAREHOUSES` names, connected.

    Raises
    ------
    SourceError
        If its driver is not installed.
    """
    kind = url.partition("://")[0]
    try:
        if kind == "snowflake":
            # Ibis' functions for objects are not needed, and would be written into a database.
            return ibis.connect(url, create_object_udfs=False)
        if kind == "databricks":
            parts = urlsplit(url)
            given = {"server_hostname": parts.hostname, "access_token": unquote(parts.password or "")}
            return ibis.databricks.connect(**given, **dict(parse_qsl(parts.query)))
        return ibis.connect(url)
    except ImportError as error:
        raise SourceError(
            f"The package {error.name} is missing, which reads {kind}.",
            f"Install it: pip install 'ibis-framework[{kind}]'.",
        ) from None


class WarehouseReader(MonthsOfTable):
    """Reads a table by expressions of Ibis; its parameters are those of `MonthsOfTable`."""

    def __init__(self, warehouse: Warehouse, settings: Settings, source: Source) -> None:
        super().__init__(warehouse, settings, source)
        self._warehouse, self._place = warehouse, warehouse.place

    def some(self, limit: int) -> list[Lines]:
        """Return some rows."""
        with self._warehouse.session() as backend:
            rows = self._table(backend)
            names = [name for name in rows.columns if can_be_text(_arrow(rows[name]))]
            return list(self._lines(self._batches(backend, rows.select(names).limit(limit)), names))

    def ends(self, name: str) -> list[str]:
        """Return the least and the greatest value of a column."""
        with self._warehouse.session() as backend:
            rows = self._table(backend)
            found = rows.aggregate(least=rows[name].min(), greatest=rows[name].max())
            return self._texts(self._batches(backend, found))

    def read(self, file: SourceFile) -> Iterator[Lines]:
        """Yield a month's rows."""
        assert file.delivery is not None
        with self._warehouse.session() as backend:
            rows, time, column = self._rows(backend)
            if file.name.endswith(UNDATED):
                rows = rows.filter(column.isnull())
            else:
                begin, end = (_literal(self._edge(at, time), time) for at in (file.delivery, file.delivery.shift(1)))
                rows = rows.filter(column >= begin, column < end)
            names = self._read_names()
            selected = {f"c{at}": rows[self._spelled[name]] for at, name in enumerate(names)}
            # They put the rows in order and are not looked at.
            keys = {f"k{at}": rows[name] for at, name in enumerate(self._source.key)}
            ordered = rows.select(**selected, **keys).order_by([*keys, *selected])
            yield from self._lines(self._batches(backend, ordered), names)

    def _look(self) -> None:
        with self._warehouse.session() as backend:
            self._rows(backend)

    def _counted(self, months: Sequence[Month]) -> dict[int, Sequence[Any]]:
        with self._warehouse.session() as backend:
            rows, time, column = self._rows(backend)
            edges = [_literal(self._edge(month, time), time) for month in months]
            begun = [(column < edge, number) for number, edge in enumerate(edges)]
            counted = rows.mutate(month_number=ibis.cases((column.isnull(), -1), *begun, else_=len(edges)))
            money = {f"m{at}": counted[one.sql].cast(_TOTAL).sum() for at, one in enumerate(self._money())}
            changed = {"changed": counted[self._source.changed_at].max()} if self._source.changed_at else {}
            found = counted.group_by("month_number").aggregate(n=counted.count(), **money, **changed)
            batches = self._batches(backend, found)
            return {
                int(number): measures
                for batch in batches
                for number, *measures in zip(*(values.to_pylist() for values in batch.columns), strict=True)
            }

    def _rows(self, backend: Any) -> tuple[ir.Table, Column, ir.Column]:
        """Return the table, the column of the time, and that column of the table."""
        rows = self._table(backend)
        time = self._time({name: Column(_arrow(rows[name]), name) for name in rows.columns})
        return rows, time, rows[time.sql]

    def _table(self, backend: Any) -> ir.Table:
        with self._place.guarded(Exception):
            if self._source.table:
                *database, table = self._source.table.split(".")
                return backend.table(table, database=tuple(database) or None)
            return backend.sql((self._source.query or "").strip().rstrip(";"))

    @property
    def _spelled(self) -> Mapping[str, str]:
        return {name: column.sql for name, column in self._there.items()}

    def _batches(self, backend: Any, rows: ir.Table) -> Iterator[pa.RecordBatch]:
        with self._place.guarded(Exception):
            batches = iter(backend.to_pyarrow_batches(rows, chunk_size=_ROWS))
        while True:
            with self._place.guarded(Exception):
                batch = next(batches, None)
            if batch is None:
                return
            yield batch


def _arrow(column: ir.Column) -> pa.DataType:
    type_ = column.type()
    # A place on earth is no plain value, and a package of its own would make it Arrow's.
    return pa.binary() if type_.is_geospatial() else type_.to_pyarrow()


def _literal(edge: dt.datetime | Fraction, time: Column) -> ir.Value:
    """Return the beginning of a month as a value of the time column."""
    if isinstance(edge, Fraction):
        return ibis.literal(edge.numerator if edge.denominator == 1 else float(edge))
    if pt.is_date(time.type):
        # A day belongs to the month in which its midnight is.
        return ibis.literal(edge.date() + dt.timedelta(days=edge.time() > dt.time()))
    return ibis.literal(edge, "timestamp" if edge.tzinfo is None else "timestamp('UTC')")
