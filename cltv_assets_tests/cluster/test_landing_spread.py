"""A delivery in a bucket, parsed by the executors of a cluster in Python processes of their own."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ibis.expr.types as ir
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import cltv_assets.sources.landing as landing_module
from cltv_assets.dagster_defs.resources.platform import Platform
from cltv_assets.dagster_defs.resources.s3 import object_store_for
from cltv_assets.files.storage import LANDING_FOLDER
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.sources import new_source, query_machines, spreading
from cltv_assets.sources.delivered import RAW_TRANSACTIONS
from cltv_assets.tables import raw_transactions
from cltv_assets_tests.cluster.apart import Apart
from cltv_assets_tests.cluster.radosgw import Radosgw
from cltv_assets_tests.sources.conftest import COLUMNS, HEADER
from cltv_assets_tests.sources.test_spreading import delivered

SECONDS = 240
MARCH = Month.parse("2024-03")


def land(settings: Settings, into: Path) -> dict[str, Any]:
    """Land a month as the step does, with everything large."""
    landing_module.SPREAD_BYTES, landing_module.BLOCK, spreading.RANGE_BYTES = 0, 300, 9000  # type: ignore[misc]
    objects = object_store_for(settings)
    assert objects is not None
    platform = Platform(settings, lambda: objects)
    run = platform.month_run(MARCH, {})
    made = raw_transactions.make(run)
    on_executors, waiting = isinstance(made, ir.Table), []
    if on_executors:
        waiting = [
            entry.uri for entry in run.lake.storage.entries(run.lake.storage.uri(LANDING_FOLDER), recursive=True)
        ]
        platform.engine.write(made, RAW_TRANSACTIONS, str(into))
    secret = objects.credentials().secret_access_key
    shown = str(run.engine._session.sparkContext.getConf().getAll())
    platform.close()
    run.source.close()
    left = run.lake.storage.entries(run.lake.storage.uri(LANDING_FOLDER), recursive=True)
    return {
        "on executors": on_executors,
        "records": run.notes["source_files"],
        "secret shown": secret in shown,
        "parts in the bucket": bool(waiting),
        "left": [entry.uri for entry in left if entry.kind == "file"],
    }


def in_order(table: pa.Table) -> pa.Table:
    return table.cast(RAW_TRANSACTIONS.arrow).sort_by([("source_file", "ascending"), ("source_line", "ascending")])


def test_executors_read_a_bucket_and_land_what_one_process_lands(
    cluster_settings: Callable[..., Settings],
    bucket: str,
    s3_server: Radosgw,
    s3_environment: Radosgw,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_text("\n".join([HEADER, *delivered()]), encoding="utf-8")
    s3_server.upload(tmp_path / "in", f"s3://{bucket}/in")
    source = {"kind": "csv", "path": f"s3://{bucket}/in", "columns": COLUMNS}
    given = {"source": source, "start_month": "2024-01", "end_month": "2024-05"}
    settings = cluster_settings("cluster", "s3", **given)
    with Apart(land, settings, tmp_path / "made") as process:
        seen = process.result(SECONDS)
    monkeypatch.setattr(landing_module, "BLOCK", 300)
    alone = new_source(settings, objects=object_store_for(settings))
    landing = alone.land(MARCH, tmp_path / "alone")
    records = {name: record.as_json() for name, record in landing.records.items()}
    assert seen == {
        "on executors": True,
        "records": records,
        "secret shown": False,
        "parts in the bucket": True,
        "left": [],
    }
    assert in_order(pq.read_table(tmp_path / "made")).equals(in_order(pq.read_table(landing.files[0])))
    alone.close()


QUERY = """SELECT o.order_id AS transaction_id, c.person AS customer_id, o.time AS transacted_at,
    sum(i.price::DECIMAL(18, 2)) AS amount
FROM orders o JOIN items i USING (order_id) JOIN customers c USING (customer)
GROUP BY ALL
"""


def ask(settings: Settings) -> dict[str, Any]:
    """Run the query as a month's step does, and return its lines."""
    objects = object_store_for(settings)
    assert objects is not None
    platform = Platform(settings, lambda: objects)
    source, warned = platform.source(), []
    query_machines.log.warning = lambda *said: warned.append(str(said))  # type: ignore[method-assign]
    (file,) = source.list_files()
    found = list(source.transactions(file))
    platform.close()
    return {"lines": pa.Table.from_batches(found).to_pylist(), "warned": warned}


def test_executors_run_a_query_over_a_bucket(
    cluster_settings: Callable[..., Settings],
    bucket: str,
    s3_server: Radosgw,
    s3_environment: Radosgw,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("PYSPARK_PYTHON", sys.executable)
    folder = tmp_path / "in"
    folder.mkdir()
    rows = range(500)
    for name, header, line in (
        ("orders", "order_id,customer,time", "{0},{1},2024-03-{2:02}"),
        ("items", "order_id,price", "{1},{0}.25"),
        ("customers", "customer,person", "{0},p{0}"),
    ):
        lines = [line.format(at, at % 100, at % 28 + 1) for at in rows]
        (folder / f"{name}.csv").write_text("\n".join([header, *lines]), encoding="utf-8")
    s3_server.upload(folder, f"s3://{bucket}/in")
    paths = {name: f"s3://{bucket}/in/{name}.csv" for name in ("orders", "items", "customers")}
    source = {"kind": "csv", "paths": paths, "query": QUERY}
    settings = cluster_settings("cluster", "s3", source=source, start_month="2024-01", end_month="2024-05")
    with Apart(ask, settings) as process:
        seen = process.result(SECONDS)
    alone = new_source(settings, objects=object_store_for(settings))
    (file,) = alone.list_files()
    assert seen["warned"] == []
    assert len(seen["lines"]) == 100
    assert seen["lines"] == pa.Table.from_batches(list(alone.transactions(file))).to_pylist()
    alone.close()
