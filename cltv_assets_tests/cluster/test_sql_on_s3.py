"""A question, and the file of views, over a lake on S3."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
from fsspec.implementations.arrow import ArrowFSWrapper

from cltv_assets.cli.analysis import views_file
from cltv_assets.cli.analysis.asking import asked
from cltv_assets.cli.analysis.published import published_tables
from cltv_assets.dagster_defs.resources.s3 import object_store_for
from cltv_assets.engines import open_engine
from cltv_assets.lake import Lake
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.tables.purchase_days import PURCHASE_DAYS
from cltv_assets_tests.cluster.radosgw import Radosgw


class Reading(ArrowFSWrapper):
    """Stands in for DuckDB's extension for S3, which it would download."""

    protocol = "s3"


def test_a_question_and_views(cluster_settings: Callable[..., Settings], s3_server: Radosgw, tmp_path: Path) -> None:
    settings = cluster_settings("duckdb", "s3")
    # Not through the proxy: it runs in this process, which delta-rs keeps waiting while it reads a log.
    direct = settings.s3.model_copy(update={"endpoint_url": f"http://127.0.0.1:{s3_server.port}"})
    settings = settings.model_copy(update={"s3": direct})
    objects = object_store_for(settings)
    assert objects is not None
    lake = Lake(settings.lake_root, objects)
    engine = open_engine(settings, objects)
    first = settings.first_month
    for month, count in ((first, 3), (first.shift(1), 2)):
        _publish(lake, engine, month, count)
    tables = published_tables(settings, lake)
    question = "SELECT (SELECT count(*) FROM purchase_days), count(*), max(month) FROM current_purchase_days"
    with asked(question, tables, lake.storage, "1GB") as rows:
        answer = [tuple(row.values()) for batch in rows.batches for row in batch.to_pylist()]
    assert answer == [(5, 2, first.shift(1).first_day)]
    views_file._write(tmp_path / "analysis.duckdb", tables, lake.storage)
    with duckdb.connect(str(tmp_path / "analysis.duckdb"), read_only=True) as connection:
        connection.register_filesystem(Reading(objects.filesystem()))
        assert connection.sql(question).fetchall() == answer
    engine.close()


def _publish(lake: Lake, engine: object, month: Month, count: int) -> None:
    rows = [
        {"customer_id": f"C{i}", "purchase_day": month.first_day, "order_count": 1, "line_count": 1}
        for i in range(count)
    ]
    table = lake.table(PURCHASE_DAYS)
    with table.begin(month) as staging:
        made = engine.from_arrow(pa.Table.from_pylist(rows, schema=PURCHASE_DAYS.arrow))  # type: ignore[attr-defined]
        engine.write(made, PURCHASE_DAYS, staging.new_file())  # type: ignore[attr-defined]
        staged = staging.seal()
    table.publish(staged)
