"""The cluster loses machines and memory in the middle of a month."""

from __future__ import annotations

import csv
from collections.abc import Callable

import pytest

from cltv_assets_tests.cluster.failing_run import (
    MONTH,
    SELECT,
    Run,
    data_of,
    other_than,
    secrets_found,
    write_config,
)
from cltv_assets_tests.cluster.failure_fixtures import Case
from cltv_assets_tests.cluster.fault_proxy import FaultProxy
from cltv_assets_tests.cluster.radosgw import Radosgw
from cltv_assets_tests.cluster.server_process import ServerProcess
from cltv_assets_tests.cluster.spark_cluster import SparkCluster

REACH_SECONDS = 300.0
#: Lines of a hundred thousand characters: few to a driver, more than a small executor holds at once.
WIDE_LINES, WIDTH = 2_000, 100_000


def launches(cluster: SparkCluster) -> dict[str, int]:
    """Return how many executors each worker was asked for so far."""
    return {worker.name: worker.log.read_text().count("Asked to launch executor") for worker in cluster.workers}


def test_a_worker_killed_in_the_middle_of_a_stage(
    case_on: Callable[..., Case], spark_cluster: SparkCluster, s3_proxy: FaultProxy, s3_server: Radosgw
) -> None:
    case = case_on("cluster")
    # One core: the whole job is on one machine, and all that it has done is lost with it.
    spark = case.settings.spark.model_copy(update={"conf": case.settings.spark.conf | {"spark.cores.max": "1"}})
    write_config(case.settings.model_copy(update={"spark": spark}), case.home)
    before = launches(spark_cluster)
    # An executor's upload: its task has read, joined and written all rows and is not done.
    hold = s3_proxy.hold("PUT", data_of("cleaned_transactions") + r".*\.parquet", count=1)
    with Run(case.home, "run", "--select", SELECT) as disturbed:
        hold.wait_reached(REACH_SECONDS)
        hosts = [
            worker for worker in spark_cluster.workers if launches(spark_cluster)[worker.name] > before[worker.name]
        ]
        assert len(hosts) == 1
        kill(hosts[0])
        hold.abandon()
        assert case.seen()["cleaned_transactions"] == case.old["cleaned_transactions"]
        assert disturbed.ended() == 0, disturbed.said[-3000:]
    (survivor,) = spark_cluster.workers
    assert launches(spark_cluster)[survivor.name] > before[survivor.name], "the other worker took over"
    assert case.seen() == case.new
    assert secrets_found(case.home, [s3_server.owner]) == []


def kill(worker: ServerProcess) -> None:
    """Kill -9 a worker and its executors, which run in its group."""
    worker.kill()
    assert not worker.running


def deliver_wide_lines(case: Case) -> None:
    """Add lines whose invoice number is a book."""
    with (case.home / "shop" / f"{MONTH}.csv").open("a", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        for number in range(WIDE_LINES):
            writer.writerow((f"{number:06d}" + "x" * WIDTH, "C001", f"{MONTH}-20 11:00:00", "1", "7.00"))


@pytest.mark.soak
def test_an_executor_out_of_memory(
    case_on: Callable[..., Case], spark_cluster: SparkCluster, s3_server: Radosgw
) -> None:
    case = case_on("cluster")
    deliver_wide_lines(case)
    small = {"spark.executor.memory": "512m", "spark.task.maxFailures": "2", "spark.cores.max": "1"}
    spark = case.settings.spark.model_copy(update={"conf": case.settings.spark.conf | small})
    write_config(case.settings.model_copy(update={"spark": spark}), case.home)
    with Run(case.home, "run", "--select", SELECT, name="small") as disturbed:
        assert disturbed.ended() == 1, disturbed.said[-3000:]
        assert "Spark ran out of memory" in disturbed.said, disturbed.said[-3000:]
        assert "Raise spark.driver.memory or spark.executor.memory in spark.conf" in disturbed.said
        assert "Traceback" not in disturbed.said
    # Raw lines pass no engine; whether they were published or not, the month is whole.
    seen = case.seen()
    wide = len(case.new["raw_transactions"]) + WIDE_LINES
    assert seen["raw_transactions"] == case.old["raw_transactions"] or len(seen["raw_transactions"]) == wide
    assert other_than(seen | {"raw_transactions": case.old["raw_transactions"]}, case.old) == []
    # Retried where there is room: Spark itself would want several GiB for lines of this width.
    write_config(case.settings.model_copy(update={"engine": "duckdb"}), case.home)
    with Run(case.home, "run", "--select", SELECT, name="larger") as again:
        assert again.ended() == 0, again.said[-3000:]
    assert len(case.seen()["cleaned_transactions"]) == len(case.new["cleaned_transactions"]) + WIDE_LINES
    assert secrets_found(case.home, [s3_server.owner]) == []
