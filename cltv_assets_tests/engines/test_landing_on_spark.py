"""Deliveries that Spark's executors parse: the same month as the driver lands, as a table of the engine's."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest

import cltv_assets.sources.landing as landing_module
from cltv_assets.engines.spark_engine import SparkEngine
from cltv_assets.errors import NoWorkersError, SourceError
from cltv_assets.files.storage import Storage
from cltv_assets.months import Month
from cltv_assets.sources import Workers, new_source, spreading
from cltv_assets.sources.delivered import RAW_TRANSACTIONS
from cltv_assets.tables import raw_transactions
from cltv_assets_tests.sources.conftest import HEADER, TODAY
from cltv_assets_tests.sources.test_spreading import delivered, parquet, settings_of


@pytest.fixture
def spark(spark_lease, monkeypatch):
    monkeypatch.setattr(landing_module, "SPREAD_BYTES", 0)
    monkeypatch.setattr(landing_module, "BLOCK", 300)
    monkeypatch.setattr(spreading, "RANGE_BYTES", 9000)
    opened = SparkEngine(spark_lease.session)
    yield opened
    opened.close()


def made(spark, settings, month):
    """Return what the step makes of a month, and what it tells."""
    source = new_source(settings, TODAY)
    source.workers = Workers(spark.workers(), Storage(str(settings.home / "lake")))
    run = SimpleNamespace(
        month=Month.parse(month),
        settings=settings,
        engine=spark,
        source=source,
        notes={},
        scratch=lambda: settings.home,
    )
    table = raw_transactions.make(run)
    assert not isinstance(table, list)
    into = settings.home / "made"
    spark.write(table, RAW_TRANSACTIONS, str(into))
    rows = pq.read_table(into)
    source.close()
    return rows.sort_by([("source_file", "ascending"), ("source_line", "ascending")]), run.notes


def test_executors_land_what_the_driver_lands(spark, tmp_path):
    # The last column is one that no setting names.
    lines = [f"{row},note {at}" if row.count(",") == 3 else row for at, row in enumerate(delivered())]
    (tmp_path / "a.csv").write_text("\n".join([f"{HEADER},note", *lines]))
    settings = settings_of(tmp_path, "a.csv")
    rows, notes = made(spark, settings, "2024-03")
    alone = new_source(settings, TODAY)
    landing = alone.land(Month.parse("2024-03"), tmp_path / "alone")
    whole = pq.read_table(landing.files[0], schema=RAW_TRANSACTIONS.arrow)
    assert rows.cast(whole.schema).equals(whole.sort_by([("source_file", "ascending"), ("source_line", "ascending")]))
    assert rows["other_columns"].null_count < 5 < len(rows)
    assert notes["source_files"] == {name: record.as_json() for name, record in landing.records.items()}
    alone.close()


def test_late_lines_and_lines_without_a_month_of_two_formats_of_parts(spark, tmp_path):
    for at, month in enumerate(("2024-01", "2024-02", "2024-03")):
        parquet(tmp_path / "in" / f"{month}.parquet", delivered()[at * 100 : at * 100 + 400], 150)
    settings = settings_of(tmp_path, "in/{month}.parquet", "parquet", late_months=2)
    rows, _ = made(spark, settings, "2024-02")
    alone = new_source(settings, TODAY)
    landing = alone.land(Month.parse("2024-02"), tmp_path / "alone")
    assert landing.undatable
    assert landing.late
    whole = pq.read_table(landing.files[0], schema=RAW_TRANSACTIONS.arrow)
    assert rows.cast(whole.schema).equals(whole.sort_by([("source_file", "ascending"), ("source_line", "ascending")]))
    alone.close()


def test_an_error_of_a_later_stretch_names_file_and_line(spark, tmp_path):
    lines = [row.encode() for row in delivered()]
    lines[450] = b"i,\xff,2024-03-01,1"
    (tmp_path / "a.csv").write_bytes(b"\n".join([HEADER.encode(), *lines]))
    with pytest.raises(SourceError, match=r"a\.csv, line 452: bytes that are no utf-8 text"):
        made(spark, settings_of(tmp_path, "a.csv"), "2024-03")


def lacking(number: int) -> bytes:
    raise ModuleNotFoundError(f"No module named 'cltv_assets_{number}'")


def failing(at: int, number: int) -> bytes:
    return bytes([1 // abs(number - at)])


def test_executors_without_the_package_are_told_from_faults(spark):
    with pytest.raises(NoWorkersError, match=r"No module named 'cltv_assets_0'.*Install"):
        spark.workers()(lacking, 1)
    with pytest.raises(Exception, match="ZeroDivisionError"):
        spark.workers()(partial(failing, 1), 2)


def test_answers_come_in_order(spark):
    assert spark.workers()(bytes, 5) == [bytes(at) for at in range(5)]
