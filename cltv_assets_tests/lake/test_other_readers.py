"""Any Delta reader opens the tables, whichever engine wrote the files.

The Delta schema declares columns not nullable; parquet files of DuckDB and
Spark declare every column nullable.
"""

from __future__ import annotations

import duckdb
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from pyarrow import fs

from cltv_assets.lake import LakeTable
from cltv_assets_tests.lake.table_under_test import FEB, JAN, MAR, ORDERS, ROWS, publish, rows_of

#: They read paths; what reads S3 is tested with the engines.
pytestmark = pytest.mark.local


@pytest.fixture
def written_by_duckdb(table: LakeTable) -> LakeTable:
    connection = duckdb.connect()
    for generation, month in enumerate((JAN, FEB), start=1):
        connection.register("rows", rows_of(month, generation))
        with table.begin(month) as staging:
            connection.execute(f"copy (select * from rows) to '{staging.new_file()}' (format parquet)")
            table.publish(staging.seal())
    assert pq.read_schema(table.files([JAN])[0]).field("customer_id").nullable
    publish(table, MAR, 3, count=0)
    return table


def expected() -> pa.Table:
    months = [rows_of(m, g).append_column("month", pa.array([m.first_day] * ROWS)) for g, m in ((1, JAN), (2, FEB))]
    return pa.concat_tables(months)


def in_order(rows: pa.Table) -> pa.Table:
    plain = rows.select(ORDERS.delta.names).cast(expected().schema)
    return plain.sort_by([("month", "ascending"), ("customer_id", "ascending")]).combine_chunks()


def test_deltalake_s_own_arrow_table(written_by_duckdb: LakeTable) -> None:
    root = fs.SubTreeFileSystem(written_by_duckdb.uri, fs.LocalFileSystem())
    rows = DeltaTable(written_by_duckdb.uri).to_pyarrow_dataset(filesystem=root).to_table()
    assert rows.schema.equals(ORDERS.delta)
    assert in_order(rows) == in_order(expected())


def test_deltalake_s_query_engine(written_by_duckdb: LakeTable) -> None:
    rows = pa.table(DeltaTable(written_by_duckdb.uri).scan(predicate="month = '2024-02-01' and generation = 2"))
    assert rows.num_rows == ROWS
    assert DeltaTable(written_by_duckdb.uri).count() == 2 * ROWS


def test_duckdb_over_files(written_by_duckdb: LakeTable) -> None:
    connection = duckdb.connect()
    connection.execute("set TimeZone = 'UTC'")
    rows = connection.sql(
        "select * from read_parquet($files, hive_partitioning = true)",
        params={"files": written_by_duckdb.files([JAN, FEB, MAR])},
    ).to_arrow_table()
    assert in_order(rows) == in_order(expected())


def test_duckdb_over_deltalake_s_data_set(written_by_duckdb: LakeTable) -> None:
    root = fs.SubTreeFileSystem(written_by_duckdb.uri, fs.LocalFileSystem())
    connection = duckdb.connect()
    connection.register("orders", DeltaTable(written_by_duckdb.uri).to_pyarrow_dataset(filesystem=root))
    counted = connection.execute("select count(*), max(month) from orders where month >= '2024-02-01'").fetchone()
    assert counted == (ROWS, FEB.first_day)


def test_arrow_over_files(written_by_duckdb: LakeTable) -> None:
    partitioning = ds.partitioning(pa.schema([("month", pa.date32())]), flavor="hive")
    files = written_by_duckdb.files([JAN, FEB])
    rows = ds.dataset(files, partitioning=partitioning, partition_base_dir=written_by_duckdb.uri).to_table()
    assert in_order(rows) == in_order(expected())


@pytest.mark.parametrize("column", ["generation", "bought_on", "score", "amount", "bought_at", "customer_id"])
def test_no_filter_loses_a_row_by_the_log_s_statistics(table: LakeTable, column: str) -> None:
    rows = rows_of(JAN, 1)
    tricky = rows.set_column(5, "score", pa.array([float("nan"), None, *([1.0] * (ROWS - 2))]))
    with table.begin(JAN) as staging:
        pq.write_table(tricky.slice(0, 10), staging.new_file(), row_group_size=3)
        pq.write_table(tricky.slice(10), staging.new_file(), row_group_size=7)
        table.publish(staging.seal())
    root = fs.SubTreeFileSystem(table.uri, fs.LocalFileSystem())
    data = DeltaTable(table.uri).to_pyarrow_dataset(filesystem=root)
    for value in tricky[column].unique():
        condition = ds.field(column) == value if value.is_valid else ds.field(column).is_null()
        assert data.to_table(filter=condition).num_rows == tricky.filter(condition).num_rows
