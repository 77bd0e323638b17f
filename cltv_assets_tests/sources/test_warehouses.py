"""Tables that Ibis asks: on its backend for DuckDB, and what it writes for warehouses that are not at hand."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import duckdb
import ibis
import pyarrow as pa
import pytest
import sqlglot

from cltv_assets.errors import SourceError
from cltv_assets.files.storage import Storage
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.sources import TransactionSource, new_source
from cltv_assets.sources.place import Place
from cltv_assets.sources.tables import MonthsOfTable
from cltv_assets.sources.warehouses import WAREHOUSES, Warehouse, WarehouseReader
from cltv_assets_tests.sources.conftest import TODAY, landed
from cltv_assets_tests.sources.test_tables import TIMES, by_month, duckdb_file, settings_for


class OnDuckDB:
    """What a backend of Ibis does, on a file of DuckDB. The one that Ibis has needs an older DuckDB."""

    def __init__(self, path: Path) -> None:
        self._connection = duckdb.connect(str(path), read_only=True)
        self._connection.execute("set timezone = 'UTC'")

    def table(self, name: str, database: tuple[str, ...] | None) -> Any:
        columns = self._connection.sql(f'select * from "{name}" limit 0').to_arrow_table().schema
        return ibis.table(ibis.Schema.from_pyarrow(columns), name=name, database=database)

    def sql(self, query: str) -> Any:
        self._connection.execute(f"create temp view rows_of_query as {query}")
        return self.table("rows_of_query", None)

    def to_pyarrow_batches(self, expression: Any, chunk_size: int) -> Iterator[pa.RecordBatch]:
        return iter(self._connection.sql(ibis.to_sql(expression, dialect="duckdb")).to_arrow_reader(chunk_size))

    def disconnect(self) -> None:
        self._connection.close()


class Written:
    """A backend that writes down what it would ask."""

    def __init__(self, dialect: str) -> None:
        self._dialect = dialect
        self.asked: list[str] = []

    def table(self, name: str, database: tuple[str, ...] | None) -> Any:
        # The last one nobody asks for.
        schema = {
            "id": "string",
            "customer": "int64",
            "when": "timestamp('UTC')",
            "value": "float64",
            "at": "geography",
        }
        return ibis.table(schema, name=name, database=database)

    def to_pyarrow_batches(self, expression: Any, chunk_size: int) -> Iterator[pa.RecordBatch]:
        self.asked.append(str(ibis.to_sql(expression, dialect=self._dialect)))
        return iter(())

    def disconnect(self) -> None:
        """There is nothing to end."""


GIVEN = {"url_variable": "SHOP_URL", "key": ["value"], "changed_at": "when"}


def source_of(settings: Settings, connect: Callable[[], Any]) -> TransactionSource:
    warehouse = Warehouse(Place("the shop", "", "SHOP_URL"), connect)
    return TransactionSource(settings, Storage("/"), "the shop", partial(WarehouseReader, warehouse, settings), TODAY)


@pytest.mark.parametrize("given", [{}, {"table": None, "query": "select * from orders;"}], ids=["table", "query"])
@pytest.mark.parametrize("type_", ["timestamptz", "timestamp", "date", "epoch"])
def test_every_row_is_in_its_month_or_counted(tmp_path: Path, type_: str, given: dict[str, Any]) -> None:
    path = duckdb_file(tmp_path / "shop.db", "timestamptz" if type_ == "epoch" else type_)
    if type_ == "epoch":
        with duckdb.connect(str(path)) as connection:
            connection.execute("set timezone = 'UTC'")
            connection.execute('alter table orders alter "when" type bigint using floor(epoch("when"))')
        given = given | {"timestamp_format": "epoch_s"}
    source = source_of(settings_for(tmp_path, **GIVEN, **given), partial(OnDuckDB, path))
    found = by_month(source, tmp_path / "out")
    assert sorted(found.pop("2024-01")) == ["end", "first", "none"]
    assert found == {"2024-02": ["leap"], "2024-03": ["march"], "2024-04": [], "2024-05": []}
    landing = source.land(Month.parse("2024-01"), tmp_path / "again")
    assert (landing.undatable, landing.before_first, landing.after_last, landing.out_of_reach) == (1, 1, 1, 0)
    assert sum(source.line_counts().values()) + landing.before_first + landing.after_last == len(TIMES)
    assert landed(source, "2024-03", tmp_path / "row")[0]["amount"] == "2.5000"
    source.close()


def test_some_rows_come_with_all_columns_of_plain_values(tmp_path: Path) -> None:
    path = duckdb_file(tmp_path / "shop.db")
    with duckdb.connect(str(path)) as connection:
        connection.execute("alter table orders add tags int[] default [1]; alter table orders add photo blob")
        connection.execute("update orders set photo = unhex('ff')")
    source = source_of(settings_for(tmp_path, **GIVEN), partial(OnDuckDB, path))
    assert isinstance(source.reader, MonthsOfTable)
    (lines,) = source.reader.some(3)
    assert list(lines.columns) == ["id", "customer", "when", "value", "photo"]
    assert lines.columns["id"].to_pylist() == ["before", "first", "end"]
    assert lines.columns["photo"].to_pylist() == [None] * 3
    assert source.unused_columns() == []
    assert source.reader.ends("when") == ["2023-12-31 23:59:59+00:00", "2024-06-01 00:00:00+00:00"]


def test_a_changed_month_has_another_fingerprint_and_rows_keep_their_order(tmp_path: Path) -> None:
    path = duckdb_file(tmp_path / "shop.db")
    source = source_of(settings_for(tmp_path, **GIVEN), partial(OnDuckDB, path))
    with duckdb.connect(str(path)) as connection:
        connection.execute("update orders set value = 3 where id = 'end'")
    before = {file.name: file.mtime_ns for file in source.list_files()}
    with duckdb.connect(str(path)) as connection:
        connection.execute("update orders set value = 4 where id = 'march'")
    now = {file.name: file.mtime_ns for file in source.list_files()}
    assert {name for name in now if now[name] != before[name]} == {"orders/2024-03"}
    # By source.key, value.
    rows = [row["transaction_id"] for row in landed(source, "2024-01", tmp_path / "out")]
    assert rows.index("first") < rows.index("end")


@pytest.mark.parametrize("name", WAREHOUSES)
def test_ibis_can_write_what_is_asked_for_each_warehouse(tmp_path: Path, name: str) -> None:
    backend = Written(name)
    source = source_of(settings_for(tmp_path, **GIVEN), lambda: backend)
    assert landed(source, "2024-02", tmp_path) == []
    counted, *_, read = backend.asked
    dialect = "tsql" if name == "mssql" else name
    for sql in (counted, read):
        assert sqlglot.parse_one(sql, dialect=dialect).find(sqlglot.exp.Select)
    for year, month in ((2024, 2), (2024, 3)):
        assert re.search(rf"{year}\W+0?{month}\W+0?1(?!\d)", read)
    assert counted.count("SUM") == 1


def test_what_is_wrong_is_said_without_credentials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_URL", "snowflake://me:hush@account/shop/public?warehouse=w")
    source = new_source(settings_for(tmp_path, **GIVEN), TODAY)
    with pytest.raises(SourceError, match=r"snowflake is missing.*ibis-framework\[snowflake\]") as raised:
        source.list_files()
    assert "hush" not in str(raised.value)
    path = duckdb_file(tmp_path / "shop.db")
    missing = source_of(settings_for(tmp_path, **GIVEN | {"table": "ordres"}), partial(OnDuckDB, path))
    with pytest.raises(SourceError, match=r"the shop.*ordres"):
        missing.list_files()


class Breaking(OnDuckDB):
    """Loses its connection after the first rows."""

    def to_pyarrow_batches(self, expression: Any, chunk_size: int) -> Iterator[pa.RecordBatch]:
        batches = super().to_pyarrow_batches(expression, chunk_size)
        if "month_number" in ibis.to_sql(expression, dialect="duckdb"):
            return batches
        return self._broken(batches)

    def _broken(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        yield next(batches)
        raise ConnectionError("timeout at token hush")

    def disconnect(self) -> None:
        super().disconnect()
        raise ConnectionError("already closed")


def test_a_connection_that_breaks_while_rows_come_is_told(tmp_path: Path) -> None:
    path = duckdb_file(tmp_path / "shop.db")
    warehouse = Warehouse(Place("the shop", "", "SHOP_URL", ("hush",)), lambda: Breaking(path))
    settings = settings_for(tmp_path, **GIVEN)
    reader = partial(WarehouseReader, warehouse, settings)
    source = TransactionSource(settings, Storage("/"), "the shop", reader, TODAY)
    with pytest.raises(SourceError, match=r"the shop: The database does not answer \(timeout at token \*\*\*\)"):
        landed(source, "2024-01", tmp_path / "out")
