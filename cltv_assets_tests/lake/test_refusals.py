"""Lakes that cannot or must not be used, and what the user is told."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable, write_deltalake

from cltv_assets.columns import Column
from cltv_assets.errors import LakeError, LakeFormatError
from cltv_assets.lake import FORMAT_VERSION, Lake, LakeTable
from cltv_assets_tests.lake.conftest import parquet_files
from cltv_assets_tests.lake.place import Place
from cltv_assets_tests.lake.processes import CONTEXT, finish, publish_without_room, start
from cltv_assets_tests.lake.table_under_test import FEB, JAN, ORDERS, generation_of, orders_in, publish, read


def test_check_writable_makes_the_folder_and_leaves_it_empty(tmp_path: Path) -> None:
    Lake(str(tmp_path / "a" / "b")).check_writable()
    assert list((tmp_path / "a" / "b").iterdir()) == []


@pytest.mark.parametrize("below", ["", "lake"])
def test_a_file_where_the_folder_should_be(tmp_path: Path, below: str) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("mine")
    lake = Lake(str(in_the_way / below))
    with pytest.raises(LakeError) as caught:
        lake.check_writable()
    assert f"{in_the_way} is a file, not a folder" in caught.value.problem
    assert "CLTV_LAKE_URI" in caught.value.remedy
    with pytest.raises(LakeError):
        lake.table(ORDERS).begin(JAN)
    assert in_the_way.read_text() == "mine"


@pytest.mark.local
def test_a_file_where_the_table_should_be(lake: Lake, table: LakeTable) -> None:
    lake.check_writable()
    Path(table.uri).write_text("mine")
    with pytest.raises(LakeError, match="orders is a file"):
        table.ensure()


def test_a_folder_that_cannot_be_written() -> None:
    # Root passes permission bits; the kernel refuses folders in /proc to everyone.
    with pytest.raises(LakeError, match=r"/proc/lake cannot be written: .+ CLTV_LAKE_URI"):
        Lake("/proc/lake").check_writable()
    with pytest.raises(LakeError, match="Cannot create table orders at /proc/lake/orders"):
        Lake("/proc/lake").table(ORDERS).ensure()


def test_a_link_that_leads_nowhere(tmp_path: Path) -> None:
    (tmp_path / "lake").symlink_to(tmp_path / "unmounted")
    with pytest.raises(LakeError, match="is a link that leads nowhere"):
        Lake(str(tmp_path / "lake")).check_writable()


@pytest.mark.parametrize("name", ["a%20b", "a#b", "a?b", "a\\b", "a\tb"])
@pytest.mark.parametrize("above", ["", "s3://bucket/"])
def test_a_folder_name_that_delta_cannot_express(tmp_path: Path, above: str, name: str) -> None:
    # With '#' or '?' deltalake 1.6 commits but shows no history, and on S3 writes all tables to the key before it;
    # with %20 it cannot find what it wrote, and a backslash it takes for a slash.
    with pytest.raises(LakeError, match="percent sign"):
        Lake(f"{above or tmp_path}/{name}", Place("", "http://127.0.0.1:9").objects)


@pytest.mark.parametrize("name", ["a b", "a%b", "month=2024", "Größe", "a[b]&'c"])
def test_a_folder_name_that_is_merely_odd(tmp_path: Path, name: str) -> None:
    table = Lake(str(tmp_path / name)).table(ORDERS)
    publish(table, JAN, 1)
    publish(table, JAN, 2)
    assert table.vacuum(0) == 2
    rows = DeltaTable(str(tmp_path / name / "orders")).to_pyarrow_table()
    assert generation_of(rows) == 2
    assert set(rows["month"].to_pylist()) == {JAN.first_day}


@pytest.mark.local
def test_a_full_disk_leaves_the_month_and_says_so(place: Place, table: LakeTable) -> None:
    publish(table, JAN, 1)
    results = CONTEXT.Queue()
    process = start(publish_without_room, place, JAN, 2, results)
    answer = results.get(timeout=30)
    finish([process])
    assert "Cannot publish month 2024-01 of table orders" in answer
    assert "disk is full" in answer
    assert generation_of(read(table, JAN)) == 1
    assert parquet_files(place, table) == set(table.files([JAN]))
    publish(table, JAN, 3)
    assert generation_of(read(table, JAN)) == 3


def test_the_format_version_survives_overwrites(place: Place, table: LakeTable) -> None:
    for generation in range(25):
        publish(table, JAN, generation)
    kept = DeltaTable(table.uri, storage_options=place.options).metadata().configuration
    assert kept["cltv_assets.formatVersion"] == str(FORMAT_VERSION)


def test_a_lake_written_by_a_newer_version(place: Place, table: LakeTable) -> None:
    publish(table, JAN, 1)
    newer = DeltaTable(table.uri, storage_options=place.options)
    newer.alter.set_table_properties({"cltv_assets.formatVersion": str(FORMAT_VERSION + 1)}, raise_if_not_exists=False)
    for use in (table.ensure, table.version, lambda: table.begin(JAN), lambda: table.files([JAN])):
        with pytest.raises(LakeFormatError) as caught:
            use()
        assert f"Table orders ({table.uri}) has format version {FORMAT_VERSION + 1}" in caught.value.problem
        assert f"reads up to {FORMAT_VERSION}" in caught.value.problem
        assert "upgrade cltv_assets" in caught.value.remedy


def test_a_delta_table_of_someone_else_is_left_alone(place: Place, table: LakeTable) -> None:
    write_deltalake(table.uri, pa.table({"a": [1]}), storage_options=place.options)
    for use in (table.ensure, lambda: table.begin(JAN), lambda: table.vacuum(0)):
        with pytest.raises(LakeError, match="did not create"):
            use()
    assert DeltaTable(table.uri, storage_options=place.options).version() == 0


def test_a_folder_of_someone_else_is_left_alone(place: Place, table: LakeTable) -> None:
    place.write(f"{table.uri}/thesis.parquet", b"mine")
    with pytest.raises(LakeError, match=r"not a table of this lake: it holds thesis\.parquet"):
        table.begin(JAN)
    assert place.names(table.uri) == ["thesis.parquet"]


@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (ORDERS.columns[:-1], "not expected: score"),
        ((*ORDERS.columns, Column("visits", "float64", "m")), "missing: visits"),
        ((*ORDERS.columns[:-1], Column("score", "int64", "m", nullable=True)), "score is double instead of int64"),
        ((*ORDERS.columns[:-1], Column("score", "float64", "m")), "score is nullable"),
    ],
)
def test_a_table_with_other_columns(lake: Lake, table: LakeTable, columns: tuple[Column, ...], said: str) -> None:
    publish(table, JAN, 1)
    other = lake.table(dataclasses.replace(ORDERS, columns=columns))
    for use in (other.ensure, lambda: other.files([JAN])):
        with pytest.raises(LakeError) as caught:
            use()
        assert said in caught.value.problem
        assert "Restore the settings" in caught.value.remedy


def test_a_table_of_other_horizons_is_read_and_migrates_before_it_is_written(lake: Lake, table: LakeTable) -> None:
    publish(table, JAN, 1)
    other = lake.table(dataclasses.replace(ORDERS, columns=(*ORDERS.columns, Column("cltv_24m", "float64", "m"))))
    with pytest.raises(LakeError, match="missing: cltv_24m") as caught:
        other.ensure()
    assert "run `cltv migrate`, or set horizons_months back" in caught.value.remedy
    assert other.files([JAN]) == table.files([JAN])


def test_a_table_that_another_program_gave_features_we_do_not_read(place: Place, table: LakeTable) -> None:
    publish(table, JAN, 1)
    DeltaTable(table.uri, storage_options=place.options).alter.set_table_properties(
        {"delta.enableDeletionVectors": "true"}
    )
    with pytest.raises(LakeError, match="altered by another program"):
        table.files([JAN])


@pytest.mark.local
def test_a_table_whose_commits_would_need_more_than_ours_hold(place: Place, table: LakeTable) -> None:
    publish(table, JAN, 1)
    entry = b'{"protocol": {"minReaderVersion": 1, "minWriterVersion": 7, "writerFeatures": ["rowTracking"]}}\n'
    place.write(f"{table.uri}/_delta_log/{2:020}.json", entry)
    with pytest.raises(
        LakeError, match=r"altered by another program: .* writer version 7 \(rowTracking\), not 1 and 2"
    ):
        table.files([JAN])


def test_a_damaged_log_is_an_error_with_a_remedy(place: Place, table: LakeTable) -> None:
    publish(table, JAN, 1)
    place.write(f"{table.uri}/_delta_log/{1:020}.json", b"{ torn")
    # A process that read the log before the damage keeps its snapshot; a new one must say so.
    with pytest.raises(LakeError, match=r"orders/?\) is damaged: entry 0{19}1.json is no whole JSON. Run cltv repair"):
        orders_in(place).files([JAN])


def test_a_table_deleted_and_made_anew_is_noticed_through_an_open_lake(place: Place, table: LakeTable) -> None:
    publish(table, JAN, 1)
    publish(table, FEB, 2)
    place.storage.delete(table.uri)
    assert table.version() is None
    publish(orders_in(place), FEB, 3)
    assert table.published([JAN, FEB]) == {FEB}
