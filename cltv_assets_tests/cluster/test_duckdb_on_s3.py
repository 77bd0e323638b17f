"""DuckDB reads small files on S3 from a copy that it fetches once, and large ones where they are."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cltv_assets.dagster_defs.resources.s3 import object_store_for
from cltv_assets.engines import duckdb_engine, open_engine
from cltv_assets.settings import Settings
from cltv_assets_tests.cluster.fault_proxy import FaultProxy
from cltv_assets_tests.engines import contract


@pytest.mark.parametrize("largest_copied", [8 << 20, 0])
def test_a_file_is_read_twice(
    cluster_settings: Callable[..., Settings],
    s3_proxy: FaultProxy,
    monkeypatch: pytest.MonkeyPatch,
    largest_copied: int,
) -> None:
    monkeypatch.setattr(duckdb_engine, "_COPIED", largest_copied)
    settings = cluster_settings("duckdb", "s3")
    objects = object_store_for(settings)
    file = f"{settings.lake_uri}/t/month=2024-05-01/part.parquet"
    writer, reader = (open_engine(settings, objects) for _ in range(2))
    writer.write(writer.from_arrow(contract.table()), contract.EVERY_TYPE, file)
    s3_proxy.forget_requests()
    for _ in range(2):
        read = reader.collect(reader.read_lake(contract.EVERY_TYPE, [file]))
        assert {str(month) for month in read["month"].to_pylist()} == {"2024-05-01"}
        assert contract.sorted_rows(read.drop_columns("month")) == contract.sorted_rows(contract.table())
    requests = s3_proxy.count("GET", "part.parquet", 206) + s3_proxy.count("GET", "part.parquet", 200)
    assert (requests == 1) == (largest_copied > 0)
    for engine in (writer, reader):
        engine.close()


def test_what_the_engine_wrote_is_not_fetched(cluster_settings: Callable[..., Settings], s3_proxy: FaultProxy) -> None:
    settings = cluster_settings("duckdb", "s3")
    engine = open_engine(settings, object_store_for(settings))
    file = f"{settings.lake_uri}/t/part.parquet"
    engine.write(engine.from_arrow(contract.table()), contract.EVERY_TYPE, file)
    read = engine.collect(engine.read_files(contract.EVERY_TYPE, [file]))
    assert contract.sorted_rows(read) == contract.sorted_rows(contract.table())
    assert [s3_proxy.count(method, "part.parquet", 200) for method in ("PUT", "GET")] == [1, 0]
    engine.close()
