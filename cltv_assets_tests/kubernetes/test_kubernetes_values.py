"""The chart's values say what deploy/ says elsewhere, in keys that the chart has."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.instance.config import PoolGranularity
from pydantic import ValidationError

import cltv_assets
from cltv_assets_tests.kubernetes.chart_values import Values
from cltv_assets_tests.kubernetes.rendered import FOLDER, FULLNAME, RELEASE, instance, manifests, merged, values
from cltv_assets_tests.test_deploy import composed

DEPLOY = FOLDER.parent
WITH_SPARK = ("values.yaml", "values-spark.yaml")


def test_the_values_have_only_keys_that_the_chart_has():
    for names in (("values.yaml",), WITH_SPARK):
        assert values(*names).global_.dagsterHome == "/opt/dagster"


@pytest.mark.parametrize(
    ("where", "value"),
    [
        (("dagsterWebserver", "enableReadonly"), True),
        (("dagsterWebserver", "service", "port"), "8080"),
        (("dagsterWebserver", "image", "tag"), 1.0),
        (("dagsterDaemon", "runMonitoring", "maxRuntimeSeconds"), 60),
        (("runLauncher", "config", "k8sRunLauncher", "resources_"), {}),
        (("dagsterDeamon",), {}),
    ],
)
def test_a_key_or_type_that_the_chart_does_not_have_is_found(where: tuple[str, ...], value: object):
    change: Any = value
    for key in reversed(where):
        change = {key: change}
    changed = merged(yaml.safe_load((FOLDER / "values.yaml").read_text()), change)
    with pytest.raises(ValidationError):
        Values.model_validate({key: value for key, value in changed.items() if not key.startswith("x-")})


def test_the_instance_is_the_one_of_compose_but_for_what_a_cluster_needs():
    here = instance(values())
    there = yaml.safe_load((DEPLOY / "dagster-production.yaml").read_text())
    # The storage is given in three parts, by the same names. A cluster adds nodes before a run starts.
    for key in ("scheduler", "schedule_storage", "run_storage", "event_log_storage", "run_launcher"):
        here.pop(key)
    there.pop("storage")
    assert there["run_monitoring"].pop("start_timeout_seconds") == 300
    assert here["run_monitoring"].pop("start_timeout_seconds") == 900
    assert here.pop("compute_logs")["config"].items() >= there.pop("compute_logs")["config"].items()
    assert here == there


def test_both_let_a_backfill_wait_for_a_code_server_that_is_being_started():
    name = "DAGSTER_BACKFILL_RETRY_DEFINITION_CHANGED_ERROR"
    environment = manifests()["ConfigMap", "cltv-environment"]
    assert values().dagsterDaemon.envConfigMaps[0].name == "cltv-environment"
    assert environment["data"][name] == composed()["services"]["daemon"]["environment"][name] == "1"


def test_both_speak_with_postgresql_by_the_same_driver():
    there = yaml.safe_load((DEPLOY / "dagster-production.yaml").read_text())["storage"]["postgres"]["postgres_db"]
    here = instance(values())["run_storage"]["config"]["postgres_db"]
    assert here["scheme"] == there["scheme"]
    # Another machine is on the other end.
    assert here["params"] == {"sslmode": "require"}


def test_dagster_takes_the_instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    config = instance(values())
    for kind in ("schedule_storage", "run_storage", "event_log_storage"):
        config.pop(kind)
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(config))
    monkeypatch.setenv("CLTV_LOGS_BUCKET", "logs")
    monkeypatch.setenv("CLTV_LOGS_PREFIX", "logs")
    monkeypatch.setattr("kubernetes.config.load_incluster_config", lambda: None)
    # Of the extra `s3`, which the embedded suite does not install.
    config.pop("compute_logs")
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(config))
    with dg.DagsterInstance.from_config(str(tmp_path)) as loaded:
        assert type(loaded.run_launcher).__name__ == "K8sRunLauncher"
        assert type(loaded.run_coordinator).__name__ == "QueuedRunCoordinator"
        concurrency = loaded.get_concurrency_config()
        assert concurrency.pool_config.pool_granularity == PoolGranularity.RUN
        assert concurrency.run_queue_config is not None
        assert concurrency.run_queue_config.max_concurrent_runs == 2
        assert concurrency.run_queue_config.max_user_code_failure_retries == 10
        assert loaded.run_retries_retry_on_asset_or_op_failure is False
        assert loaded.run_monitoring_start_timeout_seconds == 900


def test_image_and_chart_have_the_versions_of_the_lock():
    for part in (values().dagsterWebserver, values().dagsterDaemon, *values().code.deployments):
        assert part.image.tag == cltv_assets.__version__
    (with_spark,) = values(*WITH_SPARK).code.deployments
    assert with_spark.image.tag == f"{cltv_assets.__version__}-spark"
    dagster = importlib.metadata.version("dagster")
    for name in ("values.yaml", "README.md"):
        assert set(re.findall(r"--version (\S+)", (FOLDER / name).read_text())) == {dagster}
    waits_with = values().postgresql.image
    assert composed()["services"]["postgres"]["image"] == f"{waits_with.repository}:{waits_with.tag}"


def test_the_spark_values_differ_in_image_and_room_only():
    (plain,), (with_spark,) = (values(*names).code.deployments for names in (("values.yaml",), WITH_SPARK))
    assert plain.model_copy(update={"image": with_spark.image}) == with_spark
    launchers = [values(*names).runLauncher.config.k8sRunLauncher for names in (("values.yaml",), WITH_SPARK)]
    for name in type(launchers[0]).model_fields:
        if name not in ("resources", "volumes"):
            assert getattr(launchers[0], name) == getattr(launchers[1], name)
    assert [each["name"] for each in launchers[0].volumes] == [each["name"] for each in launchers[1].volumes]


def test_values_name_objects_that_exist():
    given = values()
    maps = {name for kind, name in manifests() if kind == "ConfigMap"}
    parts = (given.dagsterWebserver, given.dagsterDaemon, *given.code.deployments)
    launcher = given.runLauncher.config.k8sRunLauncher
    assert {each.name for part in (*parts, launcher) for each in part.envConfigMaps} <= maps
    mounted = {
        volume["configMap"]["name"] for part in (*parts, launcher) for volume in part.volumes if "configMap" in volume
    }
    assert mounted == {"cltv-settings"}
    assert mounted <= maps
    account = launcher.runK8sConfig.podSpecConfig["service_account_name"]
    assert ("ServiceAccount", account) in manifests()
    # The names that policies, budgets and proxies rely on come from these two.
    assert given.dagsterWebserver.nameOverride == "dagster-webserver"
    assert f"{RELEASE}-dagster" == FULLNAME


def test_each_part_has_a_role_of_its_own():
    given = values()
    roles = {
        given.serviceAccount.annotations["eks.amazonaws.com/role-arn"],
        given.code.serviceAccount.annotations["eks.amazonaws.com/role-arn"],
        manifests()["ServiceAccount", "cltv-runs"]["metadata"]["annotations"]["eks.amazonaws.com/role-arn"],
    }
    assert len(roles) == 3
