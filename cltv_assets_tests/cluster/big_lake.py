"""A lake with many customers, written straight into it; and a run over it that is watched."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import duckdb
import ibis.expr.types as ir
import pyarrow as pa

from cltv_assets.columns import TableSchema
from cltv_assets.lake import Lake
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.sources.delivered import RAW_TRANSACTIONS
from cltv_assets.tables.purchase_days import PURCHASE_DAYS

#: Draws of a customer's purchases in a month, thinned by the customer's own rate and life.
_DRAWS = 8


@dataclass(frozen=True)
class Size:
    """How much there is.

    Parameters
    ----------
    customers : int
    months : list of Month
        The history, oldest first; the last one stands as delivered lines, the others as purchase days.
    every : int
        Days between those on which anybody buys.
    prices : int
        How many there are, between 1 and 201. With few days and prices there are few patterns and sums, so that a small
        shop is enough to tell what grows with the customers from what does not.
    """

    customers: int
    months: list[Month]
    every: int = 1
    prices: int = 20_000


def make_lake(settings: Settings, size: Size) -> int:
    """Write the history and return how many transactions it has.

    A customer is born in the first four months, buys at a rate of her own and drops
    out at some time. Days and prices are hashes: the same on every machine.
    """
    lake = Lake(settings.lake_root)
    connection = duckdb.connect(config={"memory_limit": "3GB", "threads": 2, "preserve_insertion_order": False})
    first = size.months[0].first_day
    connection.execute(
        f"""create table people as select c, hash(c, 1) % 120 // {size.every} * {size.every} as birth,
        birth + (-150 * ln(((hash(c, 2) % 100000) + 1) / 100001.0))::bigint as death,
        least(1.0, -0.6 * ln(((hash(c, 3) % 100000) + 1) / 100001.0)) as rate from range({size.customers}) t(c)"""
    )
    total = 0
    for number, month in enumerate(size.months):
        days, offset = (month.last_day - month.first_day).days + 1, (month.first_day - first).days
        drawn = f"""select c, (hash(c, {number}, k) % {days} // {size.every} * {size.every})::int as d,
            hash(c, {number}, k, 7) as h
            from people, range({_DRAWS}) r(k)
            where {offset} + d between birth and death and (hash(c, {number}, k, 5) % 100000) < rate * 100000
            union all select c, (birth - {offset})::int, hash(c, 8) from people
            where birth between {offset} and {offset + days - 1}"""
        bought = f"""select c, d, min(h) as h from ({drawn}) group by c, d"""
        last = number == len(size.months) - 1
        schema = RAW_TRANSACTIONS if last else PURCHASE_DAYS
        price = f"(1 + (h % {size.prices}) * {200 / size.prices})"
        query = _lines(bought, month, price) if last else _days(bought, month, price)
        total += _publish(connection, lake, schema, month, query)
    return total


def _days(bought: str, month: Month, price: str) -> str:
    return f"""select 'C' || c as customer_id, date '{month.first_day}' + d as purchase_day,
        1::bigint as order_count, 1::bigint as line_count,
        {price}::decimal(18, 4) as spend, 0::decimal(18, 4) as refunds from ({bought})"""


def _lines(bought: str, month: Month, price: str) -> str:
    return f"""select 'T' || c || '-' || d as transaction_id, 'C' || c as customer_id,
        strftime(date '{month.first_day}' + d, '%Y-%m-%d') || ' 10:30:00' as transacted_at, '1' as quantity,
        {price}::decimal(9, 2)::varchar as unit_price, null::varchar as amount,
        null::varchar as currency, 'big.csv' as source_file, row_number() over () as source_line,
        null::varchar as source_text from ({bought})"""


#: What DuckDB calls types.
_TYPES = {"string": "varchar", "int64": "bigint", "float64": "double"}


def _publish(connection: Any, lake: Lake, schema: TableSchema, month: Month, query: str) -> int:
    table = lake.table(schema)
    with table.begin(month) as staging:
        # Later columns are empty, as in a lake that was migrated.
        given = set(connection.sql(query).columns)
        columns = ", ".join(
            column.name if column.name in given else f"null::{_TYPES.get(column.type, column.type)} as {column.name}"
            for column in schema.columns
        )
        target = staging.new_file()
        connection.execute(f"copy (select {columns} from ({query})) to '{target}' (format parquet, compression zstd)")
        return table.publish(staging.seal()).rows


@dataclass
class Watched:
    """What a run did.

    Parameters
    ----------
    errors : list of str
        By the run.
    collected : list of tuple
        The table being made when rows came to the driver (empty where none was being written), and how many.
    plans : list of tuple
        The table and the physical plan of each query.
    inputs : dict
        Months whose files a table's own query read, by table.
    """

    errors: list[str] = field(default_factory=list)
    collected: list[tuple[str, int]] = field(default_factory=list)
    plans: list[tuple[str, str]] = field(default_factory=list)
    inputs: dict[str, set[str]] = field(default_factory=dict)


def watched_run(settings: Settings, month: str, assets: list[str]) -> Watched:
    """Run a month and watch the engine; for a process of its own."""
    from cltv_assets_tests.e2e.running import run

    watched = Watched()
    with _watching(watched):
        (result,) = run(settings, [Month.parse(month)], assets)
    watched.errors = result.errors
    return watched


@contextmanager
def _watching(watched: Watched) -> Iterator[None]:
    from pyspark.sql import SparkSession

    from cltv_assets.engines.spark_engine import SparkEngine

    collect, write, sql = SparkEngine.collect, SparkEngine.write, SparkSession.sql
    now = [""]

    def watched_collect(self: SparkEngine, expression: ir.Table) -> pa.Table:
        found = collect(self, expression)
        watched.collected.append((now[0], found.num_rows))
        return found

    def watched_write(self: SparkEngine, expression: ir.Table, schema: TableSchema, path: str) -> None:
        now[0] = schema.name
        try:
            write(self, expression, schema, path)
        finally:
            now[0] = ""

    def watched_sql(self: Any, query: str, *rest: Any, **named: Any) -> Any:
        frame = sql(self, query, *rest, **named)
        watched.plans.append((now[0], frame._jdf.queryExecution().executedPlan().toString()))
        if now[0]:
            months = re.findall(r"/month=(\d{4}-\d\d)", "\n".join(frame.inputFiles()))
            watched.inputs.setdefault(now[0], set()).update(months)
        return frame

    SparkEngine.collect, SparkEngine.write, SparkSession.sql = watched_collect, watched_write, watched_sql  # type: ignore[method-assign]
    try:
        yield
    finally:
        SparkEngine.collect, SparkEngine.write, SparkSession.sql = collect, write, sql  # type: ignore[method-assign]
