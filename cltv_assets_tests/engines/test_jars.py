"""Which S3 jars Spark is given, and how ``cltv jars`` fetches them; no Spark and no network needed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cltv_assets.cli.jars import fetch_jars
from cltv_assets.engines.spark_jars import coordinates, jar_conf
from cltv_assets.errors import CltvError, ConfigError
from cltv_assets.settings import Settings

CLOUD = "spark-hadoop-cloud_2.13-4.0.2.jar"
FITTING = ("hadoop-aws-3.4.1.jar", CLOUD, "bundle-2.25.53.jar", "wildfly-openssl-2.2.5.Final.jar")


@pytest.fixture
def installation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the names that Spark 4.0.5 gives its jars."""
    home = tmp_path / "spark"
    (home / "jars").mkdir(parents=True)
    for name in ("spark-core_2.13-4.0.5.jar", "hadoop-client-api-3.4.1.jar", "scala-library-2.13.16.jar"):
        (home / "jars" / name).touch()
    monkeypatch.setenv("SPARK_HOME", str(home))
    return home


def settings(tmp_path: Path, **changes: Any) -> Settings:
    return Settings.model_validate({"home": tmp_path, "engine": "spark", "lake_uri": "s3://bucket/lake"} | changes)


def folder_of(path: Path, *names: str) -> Path:
    path.mkdir()
    for name in names:
        (path / name).touch()
    return path


def test_coordinates_are_of_the_installed_releases(installation: Path) -> None:
    assert coordinates() == [
        "org.apache.hadoop:hadoop-aws:3.4.1",
        "org.apache.spark:spark-hadoop-cloud_2.13:4.0.2",
    ]


def test_nothing_on_s3_needs_no_jars(tmp_path: Path) -> None:
    assert jar_conf(settings(tmp_path, lake_uri="./lake", spark={"jars": "nowhere"})) == {}


def test_a_connect_server_brings_its_own(tmp_path: Path) -> None:
    assert jar_conf(settings(tmp_path, spark={"remote": "sc://host:15002"})) == {}


def test_a_source_on_s3_needs_jars(installation: Path, tmp_path: Path) -> None:
    source = {
        "kind": "csv",
        "path": "s3://bucket/in",
        "columns": {"customer_id": "c", "transacted_at": "t", "amount": "a"},
    }
    found = jar_conf(settings(tmp_path, lake_uri="./lake", source=source, start_month="2020-01"))
    assert found["spark.jars.packages"].startswith("org.apache.hadoop:hadoop-aws:3.4.1,")
    assert "org.apache.hadoop:hadoop-cloud-storage" in found["spark.jars.excludes"].split(",")


def test_packages_of_the_user_stay_and_win(installation: Path, tmp_path: Path) -> None:
    own = "com.google.cloud.bigdataoss:gcs-connector:9,org.apache.hadoop:hadoop-aws:3.4.1-mine"
    conf = {"spark.jars.packages": own, "spark.jars.excludes": "a:b"}
    found = jar_conf(settings(tmp_path, spark={"conf": conf}))
    assert found["spark.jars.packages"] == f"{own},org.apache.spark:spark-hadoop-cloud_2.13:4.0.2"
    left_out = found["spark.jars.excludes"].split(",")
    assert left_out[0] == "a:b"
    assert "com.google.cloud.bigdataoss:gcs-connector" not in left_out


def test_jars_of_the_user_that_hold_hadoop_aws_suffice(installation: Path, tmp_path: Path) -> None:
    conf = {"spark.jars": "/x/other.jar,/x/hadoop-aws-3.4.1.jar"}
    assert jar_conf(settings(tmp_path, spark={"conf": conf})) == {}


def test_a_distribution_with_its_own_hadoop_aws_suffices(installation: Path, tmp_path: Path) -> None:
    (installation / "jars" / "hadoop-aws-3.4.1.jar").touch()
    assert jar_conf(settings(tmp_path)) == {}


def test_a_cluster_is_given_the_folders_jars_beside_the_users(installation: Path, tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "jars", *FITTING)
    spark = {"jars": "jars", "master": "spark://host:7077", "conf": {"spark.jars": "/x/own.jar"}}
    found = jar_conf(settings(tmp_path, spark=spark))
    assert found == {"spark.jars": ",".join(["/x/own.jar", *sorted(str(folder / name) for name in FITTING)])}


@pytest.mark.parametrize("master", [None, "local", "local[2]"])
def test_one_process_is_given_a_class_path(installation: Path, tmp_path: Path, master: str | None) -> None:
    folder = folder_of(tmp_path / "jars", *FITTING)
    spark = {"jars": "jars", "master": master, "conf": {"spark.driver.extraClassPath": "/x"}}
    assert jar_conf(settings(tmp_path, spark=spark)) == {
        "spark.driver.extraClassPath": f"/x{os.pathsep}{folder}{os.sep}*"
    }


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (("hadoop-aws-3.3.6.jar", CLOUD, "bundle-2.25.53.jar"), "hadoop-aws-3.3.6.jar where hadoop-aws-3.4.1.jar is"),
        (("hadoop-aws-3.4.1.jar", "hadoop-aws-3.4.2.jar", CLOUD, "bundle-2.25.53.jar"), "hadoop-aws-3.4.2.jar where"),
        (("hadoop-aws-3.4.1.jar", "bundle-2.25.53.jar"), f"{CLOUD} is missing"),
        (("hadoop-aws-3.4.1.jar", CLOUD), "the AWS SDK (bundle-2.*.jar) is missing"),
        (("hadoop-aws-3.4.1.jar", CLOUD, "bundle-2.1.jar", "bundle-2.2.jar"), "bundle-2.1.jar and bundle-2.2.jar"),
    ],
)
def test_a_folder_that_does_not_fit_is_refused(
    installation: Path, tmp_path: Path, names: tuple[str, ...], told: str
) -> None:
    folder_of(tmp_path / "jars", *names)
    with pytest.raises(ConfigError) as caught:
        jar_conf(settings(tmp_path, spark={"jars": "jars"}))
    assert told in caught.value.problem
    assert "cltv jars --into jars" in caught.value.remedy


def test_a_folder_that_is_not_there_is_refused(installation: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere is no folder"):
        jar_conf(settings(tmp_path, spark={"jars": "nowhere"}))


def test_an_installation_without_hadoop_is_named(installation: Path, tmp_path: Path) -> None:
    (installation / "jars" / "hadoop-client-api-3.4.1.jar").unlink()
    with pytest.raises(ConfigError, match="holds no hadoop-client-api"):
        jar_conf(settings(tmp_path))


@pytest.fixture
def resolver(installation: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Put a ``spark-submit`` in place that runs a few lines of shell with Ivy's folder as ``$ivy``."""
    monkeypatch.setattr("cltv_assets.cli.jars.ensure_java", lambda: installation)

    def make(lines: str) -> Path:
        script = installation / "bin" / "spark-submit"
        script.parent.mkdir(exist_ok=True)
        script.write_text(
            '#!/bin/sh\nfor a do case "$a" in spark.jars.ivy=*) ivy="${a#spark.jars.ivy=}";; esac; done\n'
            f'echo "$@" >> "{installation}/called"\nmkdir -p "$ivy/jars"; cd "$ivy/jars"\n{lines}\n'
        )
        script.chmod(0o755)
        return installation / "called"

    return make


IVY_NAMES = (
    f"org.apache.hadoop_hadoop-aws-3.4.1.jar org.apache.spark_{CLOUD} "
    "software.amazon.awssdk_bundle-2.25.53.jar org.wildfly.openssl_wildfly-openssl-2.2.5.Final.jar"
)


def test_fetching_puts_jars_under_mavens_names_and_only_once(
    resolver: Callable[[str], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    called = resolver(f"for n in {IVY_NAMES}; do echo jar > $n; done")
    conf = {"spark.jars.ivySettings": "/x/ivy.xml", "spark.executor.memory": "1g"}
    chosen = settings(tmp_path, spark={"conf": conf})
    folder = folder_of(tmp_path / "into", "hadoop-aws-3.3.6.jar", "own-1.jar")
    fetch_jars(chosen, folder)
    assert sorted(path.name for path in folder.iterdir()) == sorted([*FITTING, "own-1.jar"])
    assert f"jars: {folder}" in capsys.readouterr().out
    asked = called.read_text()
    assert "--conf spark.jars.ivySettings=/x/ivy.xml" in asked
    assert "spark.executor.memory" not in asked
    fetch_jars(chosen, folder)
    assert called.read_text() == asked
    assert "nothing was fetched" in capsys.readouterr().out


def test_a_resolver_that_fails_is_quoted_and_leaves_nothing(resolver: Callable[[str], Path], tmp_path: Path) -> None:
    resolver("touch half.jar; echo ':: org.apache.hadoop#hadoop-aws;3.4.1: not found'; exit 1")
    with pytest.raises(CltvError) as caught:
        fetch_jars(settings(tmp_path), tmp_path / "into")
    assert "org.apache.hadoop#hadoop-aws;3.4.1: not found" in caught.value.problem
    assert "spark.jars.ivySettings" in caught.value.remedy
    assert list((tmp_path / "into").iterdir()) == []


def test_a_resolver_that_brings_another_release_is_found_out(resolver: Callable[[str], Path], tmp_path: Path) -> None:
    resolver("touch org.apache.hadoop_hadoop-aws-3.3.6.jar")
    with pytest.raises(CltvError, match=r"hadoop-aws-3\.3\.6\.jar where hadoop-aws-3\.4\.1\.jar is needed"):
        fetch_jars(settings(tmp_path), tmp_path / "into")


def test_without_pyspark_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPARK_HOME", raising=False)
    monkeypatch.setitem(__import__("sys").modules, "pyspark", None)
    with pytest.raises(ConfigError, match=r"pip install 'cltv-assets\[spark,s3\]'"):
        fetch_jars(settings(tmp_path), tmp_path / "into")
