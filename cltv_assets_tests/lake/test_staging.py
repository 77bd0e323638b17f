"""What a staged month may hold, and what becomes of it when the writing fails."""

from __future__ import annotations

import gc

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cltv_assets.errors import LakeError
from cltv_assets.lake import LakeTable
from cltv_assets_tests.lake.conftest import parquet_files
from cltv_assets_tests.lake.place import Place
from cltv_assets_tests.lake.table_under_test import JAN, ORDERS, ROWS, generation_of, publish, read, rows_of

ROWS_1 = rows_of(JAN, 1)


def test_rows_and_bytes_are_counted(place: Place, table: LakeTable) -> None:
    staging = table.begin(JAN)
    place.write_rows(staging.new_file(), ROWS_1.slice(0, 10))
    place.write_rows(staging.new_file(), ROWS_1.slice(10))
    staging.new_file()  # handed out, not used
    staged = staging.seal()
    assert [file.rows for file in staged.files] == [10, ROWS - 10]
    assert staged.rows == ROWS
    assert staged.bytes == sum(len(place.read(path)) for path in staged.paths)
    assert {path.rpartition("/")[0] for path in staged.paths} == {staging.directory}


def test_files_without_rows_are_removed(place: Place, table: LakeTable) -> None:
    staging = table.begin(JAN)
    place.write_rows(staging.new_file(), ROWS_1.slice(0, 0))
    place.write_rows(staging.new_file(), ROWS_1)
    assert len(staging.seal().files) == 1
    assert len(parquet_files(place, table)) == 1


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (ROWS_1.append_column("month", pa.array([JAN.first_day] * ROWS)), "holds a column 'month'"),
        (ROWS_1.drop(["score"]), "missing: score"),
        (ROWS_1.append_column("extra", pa.array([1] * ROWS)), "not expected: extra"),
        (ROWS_1.rename_columns(["customer", *ROWS_1.column_names[1:]]), "missing: customer_id; not expected: customer"),
        (ROWS_1.select(ROWS_1.column_names[::-1]), "order is score, bought_at"),
        (
            ROWS_1.set_column(1, "generation", pa.array([1] * ROWS, pa.int32())),
            "generation is int32 instead of int64",
        ),
        (
            ROWS_1.set_column(2, "amount", ROWS_1["amount"].cast(pa.decimal128(38, 4))),
            r"amount is decimal128\(38, 4\) instead of decimal128\(18, 4\)",
        ),
        (
            ROWS_1.set_column(4, "bought_at", ROWS_1["bought_at"].cast(pa.timestamp("us"))),
            r"bought_at is timestamp\[us\] instead of timestamp\[us, tz=UTC\]",
        ),
    ],
    ids=["month column", "missing", "unknown", "renamed", "order", "integer width", "decimal width", "no time zone"],
)
def test_other_columns_are_refused(place: Place, table: LakeTable, rows: pa.Table, said: str) -> None:
    staging = table.begin(JAN)
    place.write_rows(staging.new_file(), rows)
    with pytest.raises(LakeError, match=said) as caught, staging:
        staging.seal()
    assert "table orders, month 2024-01" in caught.value.problem
    assert parquet_files(place, table) == set()


def test_a_torn_file_is_refused(place: Place, table: LakeTable) -> None:
    staging = table.begin(JAN)
    path = staging.new_file()
    place.write_rows(path, ROWS_1)
    place.write(path, place.read(path)[:-100])
    with pytest.raises(LakeError, match="not a whole parquet file"):
        staging.seal()


def test_a_step_that_wrote_nothing_at_all_does_not_clear_the_month(place: Place, table: LakeTable) -> None:
    publish(table, JAN, 1)
    staging = table.begin(JAN)
    staging.new_file()
    with pytest.raises(LakeError, match="wrote no file"):
        staging.seal()


def test_a_folder_of_files_as_spark_writes_it(place: Place, table: LakeTable) -> None:
    with table.begin(JAN) as staging:
        folder = staging.new_file()
        place.write(f"{folder}/_SUCCESS", b"")
        place.write(f"{folder}/.part-00000-c000.snappy.parquet.crc", b"crc")
        place.write_rows(f"{folder}/part-00000-c000.snappy.parquet", ROWS_1.slice(0, 10))
        place.write_rows(f"{folder}/part-00001-c000.snappy.parquet", ROWS_1.slice(10))
        table.publish(staging.seal())
    assert generation_of(read(table, JAN)) == 1
    assert len([name for name in place.names(folder) if name]) == 2
    assert table.vacuum(0) == 0
    assert generation_of(read(table, JAN)) == 1, "the published folder's files are gone"
    publish(table, JAN, 2)
    assert table.vacuum(0) == 2


def test_an_exception_in_the_middle_of_a_write_leaves_nothing(place: Place, table: LakeTable) -> None:
    publish(table, JAN, 1)

    def write_and_fail() -> None:
        with table.begin(JAN) as staging:
            place.write_rows(staging.new_file(), rows_of(JAN, 2))
            path = place.storage.path(staging.new_file())
            writer = pq.ParquetWriter(path, ORDERS.arrow, filesystem=place.storage.filesystem)
            writer.write_table(rows_of(JAN, 2))  # not closed: a file without a footer
            raise RuntimeError("the engine failed")

    with pytest.raises(RuntimeError, match="engine failed"):
        write_and_fail()
    if not place.local:
        # Arrow uploads what was written when the forgotten writer is collected, after the clean-up.
        gc.collect()
        table.vacuum(0)
    assert parquet_files(place, table) == set(table.files([JAN]))
    assert generation_of(read(table, JAN)) == 1


def test_a_failed_audit_leaves_nothing(place: Place, table: LakeTable) -> None:
    publish(table, JAN, 1)
    staging = table.begin(JAN)
    place.write_rows(staging.new_file(), rows_of(JAN, 2))
    staged = staging.seal()
    staged.discard()
    staged.discard()
    assert parquet_files(place, table) == set(table.files([JAN]))
    assert generation_of(read(table, JAN)) == 1
