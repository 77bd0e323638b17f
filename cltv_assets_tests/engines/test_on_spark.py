"""What only the Spark engine promises: files read, files written, nothing left behind, no Python workers."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cltv_assets.engines import spark_engine
from cltv_assets.engines.spark_engine import SparkEngine
from cltv_assets.errors import EngineError
from cltv_assets.months import Month
from cltv_assets.sources.delivered import RAW_TRANSACTIONS
from cltv_assets.tables import rfm_summary
from cltv_assets.tables.cleaned_and_rejected import parsing, split, verdict
from cltv_assets.tables.purchase_days import PURCHASE_DAYS
from cltv_assets_tests.engines import contract
from cltv_assets_tests.engines.contract import EVERY_TYPE

SIZE = "spark.sql.adaptive.advisoryPartitionSizeInBytes"


@pytest.fixture
def spark(spark_lease):
    opened = SparkEngine(spark_lease.session)
    yield opened
    opened.close()


def test_the_plan_names_only_the_files_of_the_window(spark, spark_lease, tmp_path):
    files = []
    for month in range(1, 6):
        folder = tmp_path / "lake 1" / "every_type" / f"month=2011-0{month}-01"
        folder.mkdir(parents=True)
        pq.write_table(contract.table(), folder / "a.parquet")
        files.append(str(folder / "a.parquet"))
    read = spark.read_lake(EVERY_TYPE, files[1:3])
    named = spark_lease.session().table(read.op().name).inputFiles()
    assert sorted(path.rsplit("/", 2)[1] for path in named) == ["month=2011-02-01", "month=2011-03-01"]


def wide(rows: int) -> pa.Table:
    rng = np.random.default_rng(1)
    columns = {name: pa.nulls(rows, EVERY_TYPE.column(name).arrow_type) for name in EVERY_TYPE.column_names}
    # Random, so that parquet cannot make it much smaller than Spark's own rows.
    return pa.table(columns | {"large": rng.integers(0, 2**62, rows), "real": rng.random(rows), "T": rng.random(rows)})


def test_many_tasks_with_little_data_make_one_file(spark, spark_lease, tmp_path):
    spark_lease.session().conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", "100")
    try:
        scattered = spark.from_arrow(wide(5000))
    finally:
        spark_lease.session().conf.unset("spark.sql.execution.arrow.maxRecordsPerBatch")
    spark.write(scattered, EVERY_TYPE, str(tmp_path / "a.parquet"))
    assert len(contract.data_files(str(tmp_path / "a.parquet"))) == 1


def test_much_data_makes_files_of_the_size_asked_for(spark, spark_lease, tmp_path, monkeypatch):
    monkeypatch.setattr(spark_engine, "_ROWS_TO_A_FILE", "2m")
    spark.write(spark.from_arrow(wide(400_000)), EVERY_TYPE, str(tmp_path / "a.parquet"))
    rows = [pq.ParquetFile(file).metadata.num_rows for file in contract.data_files(str(tmp_path / "a.parquet"))]
    # Some 15 MB of rows: neither one file nor one for each of the many tasks.
    assert 3 <= len(rows) <= 20
    assert sum(rows) == 400_000
    assert max(rows) < 5 * min(rows)


def test_a_large_scan_is_written_without_a_shuffle(spark, spark_lease, tmp_path):
    pq.write_table(wide(1_000_000), tmp_path / "a.parquet", row_group_size=100_000)
    session = spark_lease.session()
    given = spark.read_files(EVERY_TYPE, [str(tmp_path / "a.parquet")])
    session.sparkContext.setJobGroup("a write", "")
    try:
        spark.write(given.filter(given.small.isnull()), EVERY_TYPE, str(tmp_path / "b.parquet"))
    finally:
        session.sparkContext.setLocalProperty("spark.jobGroup.id", None)
    tracker = session.sparkContext.statusTracker()
    stages = [tracker.getJobInfo(job).stageIds for job in tracker.getJobIdsForGroup("a write")]
    assert [len(of_job) for of_job in stages] == [1]
    files = contract.data_files(str(tmp_path / "b.parquet"))
    assert 2 <= len(files) <= 8
    assert sum(pq.ParquetFile(file).metadata.num_rows for file in files) == 1_000_000


def test_a_write_leaves_the_session_as_it_was(spark, spark_lease, tmp_path):
    session = spark_lease.session()
    before = session.conf.get(SIZE)
    path = str(tmp_path / "a.parquet")
    given = spark.from_arrow(contract.table())
    spark.write(given, EVERY_TYPE, path)
    assert session.conf.get(SIZE) == before
    # A folder that exists is not written over: two writers never mix.
    with pytest.raises(Exception, match="PATH_ALREADY_EXISTS"):
        spark.write(given, EVERY_TYPE, path)
    assert session.conf.get(SIZE) == before


def test_a_release_leaves_no_views_and_no_cached_rows(spark, spark_lease):
    session = spark_lease.session()
    before = {table.name for table in session.catalog.listTables()}
    kept = spark.cache(spark.from_arrow(contract.table()))
    spark.collect(kept)
    assert session.sparkContext._jsc.getPersistentRDDs().size() > 0
    spark.release()
    assert {table.name for table in session.catalog.listTables()} == before
    assert session.sparkContext._jsc.getPersistentRDDs().size() == 0


def test_two_engines_on_one_session_do_not_meet(spark, spark_lease):
    other = SparkEngine(spark_lease.session)
    mine, theirs = spark.from_arrow(contract.table()), other.from_arrow(contract.table([]))
    other.close()
    assert spark.collect(mine).num_rows == len(contract.ROWS)
    assert theirs.op().name != mine.op().name


def test_no_plan_needs_a_python_worker(spark, spark_lease, shop_settings):
    session = spark_lease.session()
    month = Month.parse("2011-03")
    raw = spark.from_arrow(RAW_TRANSACTIONS.arrow.empty_table())
    settings = shop_settings(source={"duplicates": "drop_exact"})
    parsed = [way(raw, month, settings) for way in (parsing.plain_lines, parsing.odd_lines)]
    cleaned = [
        split.kept_lines(
            split.treat_outliers(verdict.classify(lines, month, settings), split.OutlierBound(Decimal(1), "cap"))
        )
        for lines in parsed
    ]
    days = spark.from_arrow(PURCHASE_DAYS.arrow.empty_table())
    for expression in (*cleaned, rfm_summary.observed_customers(days, month, settings)):
        plan = session.sql(spark._backend.compile(expression))._jdf.queryExecution().toString()
        assert "Physical Plan" in plan
        assert "Python" not in plan
        assert "Pandas" not in plan


def test_a_file_that_vanished_stops_the_step(spark, tmp_path):
    paths = [str(tmp_path / name) for name in ("a.parquet", "b.parquet")]
    for path in paths:
        pq.write_table(contract.table(), path)
    read = spark.read_files(EVERY_TYPE, paths)
    (tmp_path / "b.parquet").unlink()
    with pytest.raises(Exception, match=r"FILE_NOT_EXIST|does not exist"):
        spark.collect(read)


def test_a_full_disk_is_told_with_its_remedy(spark, monkeypatch):
    from pyspark.errors import PySparkException

    def full(_self: object) -> None:
        raise PySparkException(
            "Job aborted due to stage failure:\n java.io.IOException: No space left on device\n at x"
        )

    t = spark.from_arrow(contract.table())
    monkeypatch.setattr("pyspark.sql.classic.dataframe.DataFrame.toArrow", full)
    with pytest.raises(EngineError, match=r"disk of Spark's is full \(java\.io\.IOException: No space.*Make room"):
        spark.collect(t)
