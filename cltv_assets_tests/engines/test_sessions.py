"""One session in a process: started late, refused when it would be another, stopped by its owner only.

Each case has a process of its own, because a Java process keeps what it was started with.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest

from cltv_assets.errors import ConfigError
from cltv_assets.settings import Settings
from cltv_assets_tests.cluster.apart import Apart
from cltv_assets_tests.cluster.spark_programs import JAVA_OPTIONS

SECONDS = 180


def settings(**conf: str) -> Settings:
    values = {"spark.driver.memory": "1g", "spark.sql.shuffle.partitions": "2"}
    values |= {"spark.driver.extraJavaOptions": JAVA_OPTIONS} | conf
    return Settings.model_validate({"engine": "spark", "spark": {"master": "local[1]", "conf": values}})


def refused(action: Callable[[], Any]) -> str:
    try:
        action()
    except ConfigError as error:
        return error.problem
    return ""


def in_a_dagster_run() -> dict[str, Any]:
    from pyspark import SparkContext

    from cltv_assets.dagster_defs.resources.spark import SparkResource, spark_resource

    seen: dict[str, Any] = {}

    @dg.asset(required_resource_keys={"spark"})
    def idle(context) -> None:
        seen["java before first use"] = SparkContext._gateway is not None

    @dg.asset(required_resource_keys={"spark"})
    def busy(context) -> None:
        made = context.resources.spark
        seen["kind of the run's"] = isinstance(made, SparkResource)
        seen["rows of the run's"] = made.spark_session.range(7).count()
        seen["one in a run"] = made.spark_session is made.spark_session

    resource = spark_resource(
        settings(**{"spark.my.password": "hidden", "spark.my.url": "jdbc:postgresql://u:hidden@host/db"})
    )
    for asset in (idle, busy):
        dg.materialize([asset], resources={"spark": resource}, raise_on_error=True)
    seen["stopped after the run"] = SparkContext._active_spark_context is None
    seen["shown"] = str(resource.spark_config)
    return seen


def one_after_the_other() -> dict[str, Any]:
    from pyspark import SparkContext

    from cltv_assets.engines import open_engine
    from cltv_assets.engines.spark_session import SparkLease, spark_session
    from cltv_assets.files.scratch import process_folder

    seen: dict[str, Any] = {}
    first, second = SparkLease(settings()), SparkLease(settings())
    # No lease has started Java yet, nor does a run whose asset needs no session.
    seen |= in_a_dagster_run()
    one = first.session()
    seen["shared"] = second.session() is one
    other = settings(**{"spark.sql.shuffle.partitions": "3"})
    seen["other while active"] = refused(SparkLease(other).session)
    first.stop()
    first.stop()
    seen["alive for the second"] = one.range(3).count()
    second.stop()
    seen["stopped"] = SparkContext._active_spark_context is None
    with spark_session(settings()) as lease:
        seen["same again"] = lease.session().range(4).count()
        seen["spills into ours"] = any(process_folder().glob("blockmgr-*"))
    marked = settings(**{"spark.cltv.mark": "1"})
    with spark_session(marked) as lease:
        seen["mark"] = lease.session().conf.get("spark.cltv.mark", None)
    with spark_session(other) as lease:
        session = lease.session()
        seen["other after stop"] = session.conf.get("spark.sql.shuffle.partitions")
        seen["mark is forgotten"] = session.conf.get("spark.cltv.mark", None)
    seen["memory after stop"] = refused(SparkLease(settings(**{"spark.driver.memory": "2g"})).session)
    engine = open_engine(settings())
    seen["own session"] = engine.collect(engine.from_arrow(pa.table({"a": [1]}))).num_rows
    engine.close()
    seen["closed with the engine"] = SparkContext._active_spark_context is None
    return seen


def beside_a_foreign_one() -> dict[str, Any]:
    from pyspark.sql import SparkSession

    from cltv_assets.engines.spark_session import SparkLease

    builder = SparkSession.builder.master("local[1]").config("spark.driver.extraJavaOptions", JAVA_OPTIONS)
    foreign = builder.config("spark.ui.enabled", "false").getOrCreate()
    foreign.conf.set("spark.sql.session.timeZone", "Asia/Tokyo")
    seen: dict[str, Any] = {}
    lease = SparkLease(Settings.model_validate({"engine": "spark"}))
    seen["zone"] = lease.session().conf.get("spark.sql.session.timeZone")
    lease.stop()
    seen["foreign lives"] = foreign.range(5).count()
    seen["foreign zone"] = foreign.conf.get("spark.sql.session.timeZone")
    seen["refused"] = refused(SparkLease(settings()).session)
    seen["foreign lives on"] = foreign.range(6).count()
    foreign.stop()
    return seen


def test_one_session_at_a_time_and_in_a_dagster_run_only_if_it_needs_one():
    with Apart(one_after_the_other) as process:
        seen = process.result(SECONDS)
    assert "hidden" not in seen.pop("shown")
    assert "spark.sql.shuffle.partitions" in seen.pop("other while active")
    assert "spark.driver.memory" in seen.pop("memory after stop")
    assert seen == {
        "java before first use": False,
        "kind of the run's": True,
        "rows of the run's": 7,
        "one in a run": True,
        "stopped after the run": True,
        "shared": True,
        "alive for the second": 3,
        "stopped": True,
        "same again": 4,
        "spills into ours": True,
        "mark": "1",
        "other after stop": "3",
        "mark is forgotten": None,
        "own session": 1,
        "closed with the engine": True,
    }


def test_a_session_of_others_is_used_or_refused_and_never_stopped_or_changed():
    with Apart(beside_a_foreign_one) as process:
        seen = process.result(SECONDS)
    assert "spark.driver.memory" in seen.pop("refused")
    assert seen == {
        "zone": "UTC", "foreign lives": 5, "foreign zone": "Asia/Tokyo", "foreign lives on": 6,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("spark", "said"),
    [
        ({"master": "spark://127.0.0.1:1"}, "spark.master spark://127.0.0.1:1 cannot be reached"),
        ({"remote": "sc://127.0.0.1:1/;token=abc"}, "spark.remote sc://127.0.0.1:1/ cannot be reached"),
    ],
)
def test_a_server_that_is_not_there_is_said_at_once(spark, said, spark_lease, monkeypatch):
    from cltv_assets.engines import spark_session

    # As in a process that has no session yet.
    monkeypatch.setattr(spark_session, "_active", None)
    monkeypatch.setattr("pyspark.SparkContext._active_spark_context", None)
    lease = spark_session.SparkLease(Settings.model_validate({"engine": "spark", "spark": spark}))
    with pytest.raises(ConfigError, match=said) as told:
        lease.session()
    assert "abc" not in str(told.value)


def test_no_java_is_said_before_spark_starts(monkeypatch, tmp_path: Path):
    from cltv_assets.engines import spark_session

    monkeypatch.setattr(spark_session, "_active", None)
    monkeypatch.setattr("pyspark.SparkContext._active_spark_context", None)
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    with pytest.raises(ConfigError, match="JAVA_HOME"):
        spark_session.SparkLease(settings()).session()
