"""The table that the lake's tests write, and how they write and judge it.

Every write of a month carries one ``generation`` in all its rows and lays them
into two files, so that a mixed, half or doubled month shows.
"""

from __future__ import annotations

from decimal import Decimal

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from cltv_assets.columns import MONEY, Column, TableSchema
from cltv_assets.lake import LakeTable, PublishedMonth, StagedMonth
from cltv_assets.months import Month
from cltv_assets_tests.lake.place import Place

ORDERS = TableSchema(
    "orders",
    "A small table with the kinds of columns that the real ones have.",
    ("customer_id",),
    (
        Column("customer_id", "string", "Customer."),
        Column("generation", "int64", "Which write the row is from."),
        Column("amount", MONEY, "Money."),
        Column("bought_on", "date", "Day."),
        Column("bought_at", "timestamp('UTC')", "Instant."),
        Column("score", "float64", "Score.", nullable=True),
    ),
)

ROWS = 60
JAN, FEB, MAR, APR = Month.parse("2024-01").until(Month.parse("2024-04"))


def rows_of(month: Month, generation: int, count: int = ROWS) -> pa.Table:
    """Return a month's rows, all of one generation."""
    return pa.table(
        {
            "customer_id": [f"c{i}" for i in range(count)],
            "generation": [generation] * count,
            "amount": [Decimal(i) / 4 for i in range(count)],
            "bought_on": [month.first_day] * count,
            "bought_at": [1_700_000_000_000_000 + i for i in range(count)],
            "score": [None if i % 7 == 0 else i / 3 for i in range(count)],
        },
        schema=ORDERS.arrow,
    )


def stage(table: LakeTable, month: Month, generation: int, count: int = ROWS) -> StagedMonth:
    """Write a month into two files and seal it."""
    staging = table.begin(month)
    rows = rows_of(month, generation, count)
    for part in (rows.slice(0, count // 2), rows.slice(count // 2)):
        pq.write_table(part, table._storage.path(staging.new_file()), filesystem=table._storage.filesystem)
    return staging.seal()


def publish(table: LakeTable, month: Month, generation: int, count: int = ROWS) -> PublishedMonth:
    """Write and publish a month."""
    return table.publish(stage(table, month, generation, count))


def orders_in(place: Place) -> LakeTable:
    """Return the table in a lake, opened anew."""
    return place.lake().table(ORDERS)


def read(table: LakeTable, month: Month) -> pa.Table:
    """Read a month the way engines do: by its files."""
    storage = table._storage
    paths = [storage.path(file) for file in table.files([month])]
    return ds.dataset(paths, schema=ORDERS.arrow, format="parquet", filesystem=storage.filesystem).to_table()


def generation_of(rows: pa.Table) -> int:
    """Return the one generation of a whole month; fail on a mixed, half or doubled one."""
    generations = set(rows["generation"].to_pylist())
    assert len(generations) == 1, f"rows of writes {sorted(generations)} at once, {rows.num_rows} in all"
    assert rows.num_rows == ROWS, f"{rows.num_rows} rows of write {generations} instead of {ROWS}"
    assert len(set(rows["customer_id"].to_pylist())) == ROWS
    return int(generations.pop())
