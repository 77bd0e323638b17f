"""The Spark servers start, compute, lose a worker and come back."""

from __future__ import annotations

import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cltv_assets.dagster_defs.resources.s3 import object_store_for
from cltv_assets.engines.spark_config import s3a_conf
from cltv_assets.engines.spark_session import spark_session
from cltv_assets.settings import Settings
from cltv_assets_tests.cluster.apart import Apart
from cltv_assets_tests.cluster.radosgw import Radosgw
from cltv_assets_tests.cluster.server_process import ServerError, ServerProcess, wait_until
from cltv_assets_tests.cluster.spark_cluster import SparkCluster


def test_a_server_that_ends_at_once_says_why(tmp_path: Path) -> None:
    server = ServerProcess("broken", ["sh", "-c", "echo port is taken; exit 3"], tmp_path)
    with pytest.raises(ServerError, match=r"(?s)broken ended with 3; its log ends:.*port is taken"):
        server.wait_until(lambda: False, 10)


def test_what_a_server_started_ends_with_it(tmp_path: Path) -> None:
    server = ServerProcess("parent", ["sh", "-c", "sleep 600 & echo $!; wait"], tmp_path)
    server.wait_until(lambda: bool(server.log.read_text().strip()), 10)
    child = int(server.log.read_text())
    server.stop()
    # A zombie until somebody reaps it, if it is still listed at all.
    state = Path(f"/proc/{child}/stat")
    wait_until(lambda: not state.exists() or state.read_text().split()[2] == "Z", 10, "the child still runs")


def sum_of_hashes(settings: Settings, begun: Path) -> int:
    """Run a job of many tasks; ``begun`` appears with it."""
    with spark_session(settings) as lease:
        numbers = lease.session().range(0, 40_000_000, 1, 16)
        numbers.limit(1).collect()  # executors are there
        begun.touch()
        return int(numbers.selectExpr("sum(hash(id, id % 1001)) as s").collect()[0]["s"])


def test_a_worker_is_killed_in_a_job_and_the_job_ends_well(
    cluster_settings: Callable[..., Settings], spark_cluster: SparkCluster, tmp_path: Path
) -> None:
    settings = cluster_settings("cluster", "local")
    assert len(spark_cluster.workers) == 2
    with Apart(sum_of_hashes, settings, tmp_path / "begun") as job:
        wait_until((tmp_path / "begun").exists, 90, "no job")
        time.sleep(1)
        assert job.running
        spark_cluster.kill_worker()
        assert len(spark_cluster.workers) == 1
        killed = job.result(120)
    spark_cluster.restore()
    assert len(spark_cluster.workers) == 2
    with Apart(sum_of_hashes, settings, tmp_path / "begun") as job:
        assert job.result(120) == killed


def count_rows(settings: Settings) -> int:
    with spark_session(settings) as lease:
        return int(lease.session().range(10).count())


def test_connect(cluster_settings: Callable[..., Settings], tmp_path_factory: pytest.TempPathFactory) -> None:
    with Apart(count_rows, cluster_settings("connect", "local")) as job:
        assert job.result(60) == 10
    files = list(tmp_path_factory.getbasetemp().rglob("connect-*.properties"))
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}


def write_and_read(settings: Settings, path: str) -> int:
    """Write a table to S3 with Spark alone and count what is there."""
    with spark_session(settings) as lease:
        session = lease.session()
        if not settings.spark.remote:
            store = object_store_for(settings)
            assert store is not None
            for name, value in s3a_conf(store, path.split("/")[2]).items():
                session.conf.set(name, value)
        session.range(1000).write.parquet(path)
        return int(session.read.parquet(path).count())


@pytest.mark.parametrize("engine", ["spark", "cluster", "connect"])
def test_spark_writes_and_reads_s3(
    cluster_settings: Callable[..., Settings], bucket: str, s3_server: Radosgw, engine: str
) -> None:
    settings = cluster_settings(engine, "s3")
    with Apart(write_and_read, settings, f"s3a://{bucket}/numbers") as job:
        assert job.result(120) == 1000
    assert any(key.endswith(".parquet") for key in s3_server.keys(bucket))
