"""Transactions in tables of Delta and Iceberg."""

from __future__ import annotations

import datetime as dt
import json
import struct
import uuid
import zlib
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

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

from cltv_assets.errors import SourceError
from cltv_assets.months import Month
from cltv_assets.sources import TransactionSource, new_source
from cltv_assets_tests.sources.conftest import TODAY, landed
from cltv_assets_tests.sources.test_tables import settings_for


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
