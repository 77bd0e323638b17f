"""What Spark is told, without a Spark: settings, S3, and what its errors mean."""

from __future__ import annotations

import re

import pytest

from cltv_assets.engines import spark_session
from cltv_assets.engines.spark_config import COMPILE_LONG_METHODS, PINNED, s3a_conf, spark_config, spark_path
from cltv_assets.engines.spark_faults import explain, spark_faults
from cltv_assets.errors import ConfigError, EngineError
from cltv_assets.files.object_store import Credentials, ObjectStore, bucket_of
from cltv_assets.settings import Settings


def settings(**spark: object) -> Settings:
    return Settings.model_validate({"engine": "spark", "spark": spark})


def test_own_settings_lie_on_top_of_the_defaults():
    config = spark_config(settings(conf={"spark.ui.enabled": True, "spark.executor.memory": "4g"}))
    assert config["spark.master"] == "local[*]"
    assert config["spark.app.name"] == "cltv_assets"
    assert config["spark.ui.enabled"] == "true"
    assert config["spark.executor.memory"] == "4g"
    assert config["spark.sql.session.timeZone"] == "UTC"
    # What suits one machine does not suit a cluster.
    assert "spark.sql.shuffle.partitions" in config
    assert "spark.sql.shuffle.partitions" not in spark_config(settings(master="spark://host:7077"))


def test_options_of_java_are_added_to_the_users_own_and_are_not_demanded_of_a_process_of_others():
    on_cluster = settings(master="spark://host:7077", conf={"spark.driver.extraJavaOptions": "-Dx=1"})
    config = spark_config(on_cluster)
    for part in ("driver", "executor"):
        assert config[f"spark.{part}.defaultJavaOptions"] == COMPILE_LONG_METHODS
    assert spark_session._jvm_part(config) == {"spark.driver.extraJavaOptions": "-Dx=1", "spark.master": ""}


def test_a_connect_session_gets_no_settings_of_a_process():
    config = spark_config(settings(remote="sc://host"))
    assert config["spark.remote"] == "sc://host"
    assert not {"spark.master", "spark.app.name", "spark.ui.enabled", "spark.driver.memory"} & set(config)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("spark.sql.session.timeZone", "Europe/London"),
        ("spark.sql.ansi.enabled", "false"),
        ("spark.sql.caseSensitive", "true"),
        ("spark.sql.parquet.outputTimestampType", "INT96"),
        ("spark.sql.parquet.writeLegacyFormat", True),
        ("spark.sql.files.ignoreCorruptFiles", "true"),
        ("spark.sql.legacy.timeParserPolicy", "LEGACY"),
        ("spark.master", "local[2]"),
    ],
)
def test_settings_that_would_change_the_numbers_are_refused(key, value):
    with pytest.raises(ConfigError, match=re.escape(key)) as told:
        spark_config(settings(conf={key: value}))
    assert "cltv.yaml" in told.value.remedy


def test_repeating_what_is_fixed_is_no_fault():
    assert spark_config(settings(conf=PINNED))["spark.sql.session.timeZone"] == "UTC"


@pytest.mark.parametrize(
    ("path", "seen", "bucket"),
    [
        ("/data/a b/ü.parquet", "file:///data/a b/ü.parquet", None),
        ("s3://shop/lake/x", "s3a://shop/lake/x", "shop"),
        ("file:///data/x", "file:///data/x", None),
    ],
)
def test_paths_become_sparks(path, seen, bucket):
    assert spark_path(path) == seen
    assert bucket_of(path) == bucket


def store(credentials: Credentials | None, endpoint: str | None) -> ObjectStore:
    return ObjectStore(lambda: credentials, lambda: None, endpoint, "eu-west-1")


def test_a_bucket_is_reached_as_everything_else_reaches_it():
    found = s3a_conf(store(Credentials("id", "key"), "http://127.0.0.1:9000"), "shop")
    own = {k.removeprefix("fs.s3a.bucket.shop."): v for k, v in found.items() if k.startswith("fs.s3a.bucket.shop.")}
    assert own["endpoint"] == "http://127.0.0.1:9000"
    assert (own["path.style.access"], own["connection.ssl.enabled"]) == ("true", "false")
    assert (own["access.key"], own["secret.key"], own["endpoint.region"]) == ("id", "key", "eu-west-1")
    assert own["aws.credentials.provider"].endswith(".SimpleAWSCredentialsProvider")
    assert found["fs.s3a.committer.name"] == "magic"


def test_temporary_credentials_bring_their_token():
    found = s3a_conf(store(Credentials("id", "key", "token"), None), "shop")
    assert found["fs.s3a.bucket.shop.session.token"] == "token"
    assert found["fs.s3a.bucket.shop.aws.credentials.provider"].endswith(".TemporaryAWSCredentialsProvider")
    assert "fs.s3a.bucket.shop.endpoint" not in found


@pytest.mark.parametrize(
    ("text", "said", "remedy"),
    [
        ("x\njava.io.IOException: No space left on device\n\tat y", "disk of Spark's is full", "Make room"),
        ("java.lang.OutOfMemoryError: Java heap space", "out of memory", "spark.driver.memory"),
        ("ExecutorLostFailure (executor 1 exited caused by one of the running tasks)", "lost executors", "cluster"),
        ("ExecutorLostFailure: exit code 137 (SIGKILL)", "out of memory", "executor"),
        ("AccessDeniedException: s3a://b/x: S3Exception: null (Status Code: 403)", "denies", "lake_uri"),
        ("The security token included in the request is expired", "expired", "Renew"),
        ("<_MultiThreadedRendezvous of RPC: StatusCode.UNAVAILABLE>", "gone or cannot be reached", "spark.remote"),
        ("java.lang.ClassNotFoundException: org.apache.hadoop.fs.s3a.S3AFileSystem not found", "jars", "cltv jars"),
    ],
)
def test_errors_that_a_user_can_mend_say_how(text, said, remedy):
    told = explain(RuntimeError(text))
    assert told is not None
    assert told.exit_code == 6
    assert said in told.problem
    assert remedy in told.remedy
    assert "\n" not in told.problem


def test_faults_of_the_program_keep_their_traceback():
    assert explain(RuntimeError("[DIVIDE_BY_ZERO] Division by zero.")) is None
    # Not Spark's: whatever its text, nobody should be sent to look at Spark.
    with pytest.raises(RuntimeError), spark_faults():
        raise RuntimeError("No space left on device")
    with pytest.raises(EngineError), spark_faults():
        raise ConnectionRefusedError(111, "Connection refused")
