"""Transactions in a database: SQLite and DuckDB here, servers in the production lane."""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
import struct
import uuid
import zlib
from collections.abc import Callable, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable, write_deltalake
from pyiceberg.catalog import load_catalog
from pyiceberg.manifest import (
    DataFile,
    DataFileContent,
    FileFormat,
    ManifestContent,
    ManifestEntry,
    ManifestEntryStatus,
    ManifestFile,
    ManifestWriterV2,
)
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation, Summary
from pyiceberg.typedef import Record

from cltv_assets.errors import ConfigError, SourceError
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.settings.file import load_settings
from cltv_assets.sources import TransactionSource, new_source
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


def rows(**times: dt.datetime | None) -> pa.Table:
    count = len(times)
    return pa.table(
        {
            "id": list(times),
            "customer": pa.array([7] * count, pa.int32()),
            "when": pa.array(list(times.values()), pa.timestamp("us", "UTC")),
            "value": pa.array([Decimal("2.50")] * count, pa.decimal128(9, 2)),
        }
    )


def test_an_iceberg_table_is_read_at_one_snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_CATALOG", f"sqlite:///{tmp_path}/catalog.db")
    properties = {"name": "shop", "type": "sql", "warehouse": f"file://{tmp_path}/warehouse"}
    catalog = load_catalog(**properties, uri=f"sqlite:///{tmp_path}/catalog.db")
    catalog.create_namespace("shop")
    march = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
    first = rows(last=march - dt.timedelta(microseconds=1), march=march, none=None)
    orders = catalog.create_table("shop.orders", schema=first.schema)
    orders.append(first)

    def opened(**changes: Any) -> TransactionSource:
        given = {"kind": "iceberg", "table": "shop.orders", "catalog": {**properties, "uri": "env:SHOP_CATALOG"}}
        return new_source(settings_for(tmp_path, **given, **changes), TODAY)

    source = opened()
    listed = source.list_files()
    then = orders.current_snapshot().snapshot_id
    orders.append(rows(more=march, early=march - dt.timedelta(days=90)))
    orders.delete("id == 'march'")
    # What was listed is what is read, until it is listed anew.
    (file,) = (file for file in listed if file.name == "shop.orders/2024-03")
    assert [row["transaction_id"] for batch in source.transactions(file) for row in batch.to_pylist()] == ["march"]
    (now,) = landed(source, "2024-03", tmp_path)
    assert (now["transaction_id"], now["customer_id"], now["amount"]) == ("more", "7", "2.50")
    landing = source.land(Month.parse("2024-01"), tmp_path / "x")
    assert (landing.lines, landing.undatable, landing.before_first) == (1, 1, 1)
    assert [row["transaction_id"] for row in landed(opened(snapshot=then), "2024-03", tmp_path / "pinned")] == ["march"]
    for change, says in (({"snapshot": 5}, "Snapshot not found: 5"), ({"table": "shop.no"}, "has no table shop.no")):
        given = {"table": "shop.orders", **change}
        settings = settings_for(tmp_path, kind="iceberg", catalog={**properties, "uri": "env:SHOP_CATALOG"}, **given)
        with pytest.raises(SourceError, match=says):
            new_source(settings, TODAY).list_files()
    monkeypatch.delenv("SHOP_CATALOG")
    with pytest.raises(SourceError, match=r"SHOP_CATALOG is not set; source\.catalog\.uri names it"):
        opened().list_files()


def delete_rows(table: Table, file: pa.Table, **what: Any) -> None:
    """Commit a file of deletes, which PyIceberg reads and never writes."""
    path = f"{table.location()}/{uuid.uuid4()}.parquet"
    pq.write_table(file, path.removeprefix("file://"))
    size = Path(path.removeprefix("file://")).stat().st_size
    given = {
        "file_path": path,
        "file_format": FileFormat.PARQUET,
        "partition": Record(),
        "spec_id": 0,
        **what,
    }
    deletes = DataFile.from_args(record_count=file.num_rows, file_size_in_bytes=size, **given)

    class Deletes(ManifestWriterV2):
        def content(self) -> ManifestContent:
            return ManifestContent.DELETES

    with table.transaction() as transaction:
        adding = transaction.update_snapshot().fast_append()
        metadata, number = transaction.table_metadata, adding._snapshot_id

        def manifests() -> list[ManifestFile]:
            with Deletes(metadata.spec(), metadata.schema(), adding.new_manifest_output(), number, "null") as writer:
                added = ManifestEntry.from_args(status=ManifestEntryStatus.ADDED, snapshot_id=number, data_file=deletes)
                writer.add(added)
            return [writer.to_manifest_file(), *adding._existing_manifests()]

        adding._manifests = manifests
        adding._summary = lambda *_: Summary(Operation.DELETE)
        adding.commit()


def test_deletes_and_renamed_columns_of_an_iceberg_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_CATALOG", f"sqlite:///{tmp_path}/catalog.db")
    properties = {"name": "shop", "type": "sql", "warehouse": f"file://{tmp_path}/warehouse"}
    catalog = load_catalog(**properties, uri=f"sqlite:///{tmp_path}/catalog.db")
    catalog.create_namespace("shop")
    march = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
    first = rows(kept=march, deleted=march)
    orders = catalog.create_table("shop.orders", schema=first.rename_columns({"value": "gross"}).schema)
    orders.append(first.rename_columns({"value": "gross"}))
    with orders.update_schema() as schema:
        schema.rename_column("gross", "value")
    (task,) = orders.scan().plan_files()
    numbers = {"file_path": b"2147483546", "pos": b"2147483545"}
    fields = [
        pa.field(name, type_, nullable=False, metadata={"PARQUET:field_id": numbers[name]})
        for name, type_ in (("file_path", pa.string()), ("pos", pa.int64()))
    ]
    positions = pa.table([[task.file.file_path], [1]], schema=pa.schema(fields))
    delete_rows(orders, positions, content=DataFileContent.POSITION_DELETES)
    given = {"kind": "iceberg", "table": "shop.orders", "catalog": {**properties, "uri": "env:SHOP_CATALOG"}}
    source = new_source(settings_for(tmp_path, **given), TODAY)
    assert [(row["transaction_id"], row["amount"]) for row in landed(source, "2024-03", tmp_path)] == [("kept", "2.50")]
    ids = pa.table([["kept"]], schema=pa.schema([pa.field("id", pa.string(), metadata={"PARQUET:field_id": b"1"})]))
    delete_rows(catalog.load_table("shop.orders"), ids, content=DataFileContent.EQUALITY_DELETES, equality_ids=[1])
    with pytest.raises(SourceError, match=r"has equality deletes.*rewrite_data_files"):
        source.list_files()


def test_a_secret_of_a_catalogue_is_refused_in_a_file(tmp_path: Path) -> None:
    for catalog in ({"uri": "postgresql://me:s3cret@db/x"}, {"s3.secret-access-key": "s3cret"}):
        with pytest.raises(ValueError, match="write env:NAME"):
            settings_for(tmp_path, kind="iceberg", table="shop.orders", catalog=catalog)


def test_a_delta_table_is_read_at_one_version(tmp_path: Path) -> None:
    path = tmp_path / "orders"
    march = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
    write_deltalake(path, rows(last=march - dt.timedelta(microseconds=1), march=march, none=None))
    settings = settings_for(tmp_path, kind="delta", table=None, path=str(path))
    source = new_source(settings, TODAY)
    assert [row["transaction_id"] for row in landed(source, "2024-02", tmp_path)] == ["last"]
    listed = source.list_files()
    write_deltalake(path, rows(more=march, early=march - dt.timedelta(days=90)), mode="append")
    # What was listed is what is read, until it is listed anew.
    (file,) = (file for file in listed if file.name == "table/2024-03")
    assert [row["transaction_id"] for batch in source.transactions(file) for row in batch.to_pylist()] == ["march"]
    (now, more) = landed(source, "2024-03", tmp_path)
    assert (now["transaction_id"], more["transaction_id"], more["source_line"]) == ("march", "more", 2)
    assert (now["transacted_at"], now["amount"]) == ("2024-03-01 00:00:00+00:00", "2.50")
    landing = source.land(Month.parse("2024-01"), tmp_path / "x")
    assert (landing.lines, landing.undatable, landing.before_first) == (1, 1, 1)
    pinned = new_source(settings_for(tmp_path, kind="delta", table=None, path=str(path), version=0), TODAY)
    assert len(landed(pinned, "2024-03", tmp_path / "pinned")) == 1
    with pytest.raises(SourceError, match=r"source\.version is still there"):
        new_source(settings_for(tmp_path, kind="delta", table=None, path=str(path), version=9), TODAY).list_files()
    with pytest.raises(SourceError, match="is no Delta table"):
        new_source(settings_for(tmp_path, kind="delta", table=None, path=str(tmp_path / "no")), TODAY).list_files()


def changed_log(path: Path, features: Sequence[str], **changes: Any) -> None:
    """Rewrite the first entry of a table's log: its reader's features, and values of its schema, settings and file."""
    log = path / "_delta_log/00000000000000000000.json"
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    for entry in entries:
        if "protocol" in entry:
            versions = {"minReaderVersion": 3, "minWriterVersion": 7} if features else changes["protocol"]
            named = {"readerFeatures": features, "writerFeatures": features} if features else {}
            entry["protocol"] = {**versions, **named}
        if "metaData" in entry:
            schema = json.loads(entry["metaData"]["schemaString"])
            for at, field in enumerate(schema["fields"] if "physical" in changes else (), 1):
                physical = changes["physical"].get(field["name"], field["name"])
                known = {"delta.columnMapping.id": at, "delta.columnMapping.physicalName": physical}
                field["metadata"] = known
            entry["metaData"]["schemaString"] = json.dumps(schema)
            entry["metaData"]["configuration"] |= changes.get("configuration", {})
        if "add" in entry:
            entry["add"] |= changes.get("file", {})
    log.write_text("".join(json.dumps(entry) + "\n" for entry in entries))


def deletion_vector(rows: Sequence[int]) -> bytes:
    """Return the positions of deleted rows as Delta's protocol writes them (a RoaringBitmapArray of one bitmap)."""
    bitmap = struct.pack("<IIHHI", 12346, 1, 0, len(rows) - 1, 16) + struct.pack(f"<{len(rows)}H", *rows)
    return struct.pack("<IQI", 1681511377, 1, 0) + bitmap


def with_a_row_deleted(path: Path) -> None:
    """Delete a table's second row by a deletion vector."""
    data = deletion_vector([1])
    # The name of a file of vectors says in Z85 which; this one is of zeros.
    (path / f"deletion_vector_{uuid.UUID(int=0)}.bin").write_bytes(
        b"\1" + struct.pack(">I", len(data)) + data + struct.pack(">I", zlib.crc32(data))
    )
    vector = {"storageType": "u", "pathOrInlineDv": "0" * 20, "offset": 1, "sizeInBytes": len(data), "cardinality": 1}
    on = {"delta.enableDeletionVectors": "true"}
    changed_log(path, ["deletionVectors"], configuration=on, file={"deletionVector": vector})


def test_deletion_vectors_of_a_delta_table_are_applied(tmp_path: Path) -> None:
    path, march = tmp_path / "orders", dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
    write_deltalake(path, rows(kept=march, deleted=march, more=march))
    with_a_row_deleted(path)
    source = new_source(settings_for(tmp_path, kind="delta", table=None, path=str(path)), TODAY)
    assert [row["transaction_id"] for row in landed(source, "2024-03", tmp_path)] == ["kept", "more"]
    # What is copied is the version that was listed.
    write_deltalake(path, rows(later=march), mode="append")
    assert [row["transaction_id"] for row in landed(source, "2024-03", tmp_path)] == ["kept", "later", "more"]


@pytest.mark.parametrize("features", [["columnMapping"], []])
def test_columns_of_a_delta_table_have_the_names_that_it_gives_them(tmp_path: Path, features: list[str]) -> None:
    path = tmp_path / "orders"
    write_deltalake(path, rows(march=dt.datetime(2024, 3, 1, tzinfo=dt.UTC)))
    (file,) = path.glob("*.parquet")
    written = pq.read_table(file)
    # A column that was renamed keeps its old name in the files.
    physical = {"id": "col-1", "value": "col-2"}
    pq.write_table(written.rename_columns([physical.get(name, name) for name in written.column_names]), file)
    mode, size = {"delta.columnMapping.mode": "name"}, {"size": file.stat().st_size}
    old = {"minReaderVersion": 2, "minWriterVersion": 5}
    changed_log(path, features, physical=physical, configuration=mode, file=size, protocol=old)
    source = new_source(settings_for(tmp_path, kind="delta", table=None, path=str(path)), TODAY)
    (row,) = landed(source, "2024-03", tmp_path)
    assert (row["transaction_id"], row["amount"]) == ("march", "2.50")


def test_what_is_gone_of_a_delta_table_or_not_known_is_said(tmp_path: Path) -> None:
    path, march = tmp_path / "orders", dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
    for _ in range(3):
        write_deltalake(path, rows(march=march), mode="overwrite")
    table = DeltaTable(path)
    table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)

    def opened(**given: Any) -> TransactionSource:
        return new_source(settings_for(tmp_path, kind="delta", table=None, path=str(path), **given), TODAY)

    with pytest.raises(SourceError, match=r"A file of that version is gone .*It was vacuumed: name a newer"):
        opened(version=1).list_files()
    table.create_checkpoint()
    for version in (0, 1):
        (path / f"_delta_log/{version:020}.json").unlink()
    with pytest.raises(SourceError, match=r"its log no longer holds version 1\. Name a newer"):
        opened(version=1).list_files()
    assert len(landed(opened(), "2024-03", tmp_path)) == 1
    odd = tmp_path / "odd"
    write_deltalake(odd, rows(march=march))
    changed_log(odd, ["oddFeature"])
    with pytest.raises(SourceError, match=r"oddFeature.*Turn that feature off"):
        new_source(settings_for(tmp_path, kind="delta", table=None, path=str(odd)), TODAY).list_files()


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
