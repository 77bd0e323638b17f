"""Transactions in a database: SQLite and DuckDB here, servers in the production lane."""

from __future__ import annotations

import datetime as dt
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest

from cltv_assets.errors import ConfigError, SourceError
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.settings.file import load_settings
from cltv_assets.sources import TransactionSource, new_source
from cltv_assets.sources.tables import MonthsOfTable
from cltv_assets_tests.sources.conftest import COLUMNS, TODAY, landed

#: Of each row the transaction and the time; 2024-05 is the last closed month.
TIMES = {
    "before": "2023-12-31 23:59:59",
    "first": "2024-01-01 00:00:00",
    "end": "2024-01-31 23:59:59.999999",
    "march": "2024-03-05 10:00:00",
    "leap": "2024-02-29 12:00:00",
    "after": "2024-06-01 00:00:00",
    "none": None,
}

Made = Callable[..., TransactionSource]


def settings_for(home: Path, **source: Any) -> Settings:
    columns = source.pop("columns", COLUMNS)
    given = {"kind": "sql", "table": "orders", "columns": columns, **source}
    return Settings.model_validate({"source": given, "start_month": "2024-01", "home": home, "time_zone": "UTC"})


def sqlite_file(path: Path, type_: str = "text", times: dict[str, Any] | None = None) -> Path:
    with sqlite3.connect(path) as connection:
        connection.execute(f'create table orders (id text, customer integer, "when" {type_}, value real, note text)')
        rows = [(name, 7, time, 2.5) for name, time in (times or TIMES).items()]
        connection.executemany("insert into orders values (?, ?, ?, ?, 'x')", rows)
    connection.close()
    return path


def duckdb_file(path: Path, type_: str = "timestamptz") -> Path:
    with duckdb.connect(str(path)) as connection:
        connection.execute("set timezone = 'UTC'")
        connection.execute(f'create table orders (id text, customer bigint, "when" {type_}, value decimal(12, 4))')
        connection.executemany("insert into orders values (?, 7, ?, 2.5)", [list(row) for row in TIMES.items()])
    return path


def by_month(source: TransactionSource, into: Path) -> dict[str, list[Any]]:
    months = [f"2024-{at:02d}" for at in range(1, 6)]
    return {month: [row["transaction_id"] for row in landed(source, month, into)] for month in months}


@pytest.mark.parametrize("kind", ["sqlite", "duckdb", "query"])
def test_every_row_is_in_its_month_or_counted(tmp_path: Path, kind: str) -> None:
    if kind == "duckdb":
        given: dict[str, Any] = {"path": str(duckdb_file(tmp_path / "shop.db"))}
    else:
        given = {"path": str(sqlite_file(tmp_path / "shop.db"))}
    if kind == "query":
        given |= {"table": None, "query": "select * from orders -- all\n;"}
    source = new_source(settings_for(tmp_path, **given), TODAY)
    found = by_month(source, tmp_path / "out")
    assert sorted(found.pop("2024-01")) == ["end", "first", "none"]
    assert found == {"2024-02": ["leap"], "2024-03": ["march"], "2024-04": [], "2024-05": []}
    landing = source.land(Month.parse("2024-01"), tmp_path / "again")
    counts = (landing.undatable, landing.before_first, landing.after_last, landing.out_of_reach)
    assert counts == (1, 1, 1, 0)
    assert sum(source.line_counts().values()) + landing.before_first + landing.after_last == len(TIMES)
    row = landed(source, "2024-03", tmp_path / "row")[0]
    name = "query" if kind == "query" else "orders"
    assert (row["source_file"], row["source_line"]) == (f"{name}/2024-03", 1)
    assert row["customer_id"] == "7"
    assert row["amount"] == ("2.5000" if kind == "duckdb" else "2.5")
    assert row["transacted_at"] == "2024-03-05 10:00:00" + ("+00:00" if kind == "duckdb" else "")
    assert source.inspect().first_month == Month.parse("2024-01")
    source.close()


def test_months_begin_in_the_shops_zone(tmp_path: Path) -> None:
    path = duckdb_file(tmp_path / "shop.db")
    settings = settings_for(tmp_path, path=str(path)).model_copy(update={"time_zone": "Europe/Amsterdam"})
    source = new_source(settings, TODAY)
    # 23:00 in UTC is midnight there: the last second of December and of January are in the next months.
    assert [row["transaction_id"] for row in landed(source, "2024-02", tmp_path)] == ["end", "leap"]
    assert sorted(row["transaction_id"] for row in landed(source, "2024-01", tmp_path)) == ["before", "first", "none"]


def test_numbers_are_compared_as_numbers(tmp_path: Path) -> None:
    march = int(dt.datetime(2024, 3, 1, tzinfo=dt.UTC).timestamp())
    path = sqlite_file(tmp_path / "a.db", "integer", {"last": march - 1, "march": march})
    source = new_source(settings_for(tmp_path, path=str(path), timestamp_format="epoch_s"), TODAY)
    assert by_month(source, tmp_path / "out")["2024-02"] == ["last"]
    assert by_month(source, tmp_path / "out2")["2024-03"] == ["march"]


def test_a_changed_month_has_another_fingerprint(tmp_path: Path) -> None:
    path = sqlite_file(tmp_path / "shop.db")
    source = new_source(settings_for(tmp_path, path=str(path), changed_at="note"), TODAY)
    before = {file.name: file for file in source.list_files()}
    assert before == {file.name: file for file in source.list_files()}
    # No unit may look as if it had changed just now: the sensor would wait for it to rest.
    assert all(0 <= file.mtime_ns < 2**60 for file in before.values())
    assert {name: file.size for name, file in before.items()} == {
        "orders/2024-01": 2, "orders/2024-02": 1, "orders/2024-03": 1, "orders/2024-04": 0, "orders/2024-05": 0,
        "orders/undated": 1,
    }  # fmt: skip
    with sqlite3.connect(path) as connection:
        connection.execute("update orders set value = 3 where id = 'march'")
        connection.execute("update orders set note = 'y' where id = 'leap'")
    now = {file.name: file for file in source.list_files()}
    assert {name for name, file in now.items() if file != before[name]} == {"orders/2024-02", "orders/2024-03"}
    assert landed(source, "2024-03", tmp_path)[0]["amount"] == "3.0"


def test_a_changed_cost_changes_its_month(tmp_path: Path) -> None:
    path = duckdb_file(tmp_path / "shop.db")
    with duckdb.connect(str(path)) as connection:
        connection.execute("alter table orders add column cost double default 1")
    source = new_source(settings_for(tmp_path, path=str(path), columns=COLUMNS | {"cost": "cost"}), TODAY)
    before = {file.name: file.mtime_ns for file in source.list_files()}
    with duckdb.connect(str(path)) as connection:
        connection.execute("update orders set cost = 2 where id = 'march'")
    now = {file.name: file.mtime_ns for file in source.list_files()}
    assert {name for name in now if now[name] != before[name]} == {"orders/2024-03"}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"table": "ordres"}, "no such table.*source.table"),
        ({"columns": COLUMNS | {"amount": "valeu"}}, "did you mean 'value'"),
        ({"table": None, "query": "selec 1"}, "not valid SQL"),
        ({"key": ["nr"]}, r"'nr' \(source.key\)"),
        ({"timestamp_format": "%d/%m/%Y"}, "Cast it to a timestamp in source.query"),
        ({"path": "nothing.db"}, "nothing.db cannot be read"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, change: dict[str, Any], says: str) -> None:
    path = sqlite_file(tmp_path / "shop.db")
    with pytest.raises(SourceError, match=says):
        new_source(settings_for(tmp_path, **{"path": str(path), **change}), TODAY).list_files()


@pytest.mark.parametrize("odd", ["2024-03-01T00:30:00Z", "20240301", "1.3.2024", "2024-03-01 00:30+02:00"])
def test_text_that_does_not_sort_by_time_is_refused(tmp_path: Path, odd: str) -> None:
    path = sqlite_file(tmp_path / "shop.db", times={**TIMES, "odd": odd})
    with pytest.raises(SourceError, match="1 rows hold no ISO day") as error:
        new_source(settings_for(tmp_path, path=str(path)), TODAY).list_files()
    assert odd in str(error.value)


@pytest.mark.parametrize("place", ["url_variable", "path"])
def test_a_url_in_the_file_is_refused_unseen(tmp_path: Path, place: str) -> None:
    columns = "{customer_id: customer, transacted_at: when, amount: value}"
    source = f"{{kind: sql, table: orders, columns: {columns}, {place}: 'postgresql://shop:s3cret@db/shop'}}"
    (tmp_path / "cltv.yaml").write_text(f"start_month: 2024-01\nsource: {source}\n")
    with pytest.raises(ConfigError, match="environment variable") as error:
        load_settings(tmp_path / "cltv.yaml")
    assert "s3cret" not in str(error.value)


@pytest.mark.parametrize("kind", ["sqlite", "duckdb"])
def test_columns_without_plain_values_that_nobody_asks_for_stop_nothing(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "shop.db"
    change = (
        "alter table orders add photo blob; alter table orders add refund_value real default 0.5; update orders set "
    )
    if kind == "sqlite":
        with sqlite3.connect(sqlite_file(path)) as connection:
            connection.executescript(f"{change} photo = x'ff'")
        connection.close()
    else:
        with duckdb.connect(str(duckdb_file(path))) as connection:
            connection.execute(f"{change} photo = unhex('ff'); alter table orders add tags int[] default [1]")
    source = new_source(settings_for(tmp_path, path=str(path)), TODAY)
    (said,) = source.unused_columns()
    assert "refund_value" in said
    assert isinstance(source.reader, MonthsOfTable)
    assert {"refund_value", "photo"} == source.reader.some(2)[0].columns.keys() - {"note", *COLUMNS.values()}
    assert len(landed(source, "2024-03", tmp_path)) == 1


@pytest.mark.parametrize("key", [(), ("note",)])
def test_rows_keep_their_numbers_however_the_database_holds_them(tmp_path: Path, key: tuple[str, ...]) -> None:
    rows = [("b", 1, "2024-03-05", 1.0, "1"), ("a", 2, "2024-03-05", 2.0, "2"), ("c", 3, "2024-03-04", 3.0, "0")]
    found = []
    for name, held in (("one.db", rows), ("other.db", rows[::-1])):
        path = sqlite_file(tmp_path / name, times={"later": "2024-06-05"})
        with sqlite3.connect(path) as connection:
            connection.executemany("insert into orders values (?, ?, ?, ?, ?)", held)
        source = new_source(settings_for(tmp_path, path=str(path), key=key), TODAY)
        (file,) = (file for file in source.list_files() if file.size)
        found.append(
            (source.contents([file])[file], [r["transaction_id"] for r in landed(source, "2024-03", tmp_path)])
        )
    assert found[0] == found[1]
    if key:
        assert found[0][1] == ["c", "b", "a"]
