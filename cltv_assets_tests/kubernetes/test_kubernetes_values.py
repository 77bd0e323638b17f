"""The chart's values say what deploy/ says elsewhere, and Dagster takes the instance that comes of them."""

from __future__ import annotations

import importlib.metadata
import re
from pathlib import Path

import dagster as dg
import pytest
import yaml
from dagster._core.instance.config import PoolGranularity

import cltv_assets
from cltv_assets.cli.deployment.viewers_database import ROLE
from cltv_assets_tests.kubernetes.rendered import FOLDER, code_server, instance, launcher, manifests, values
from cltv_assets_tests.test_deploy import composed

DEPLOY = FOLDER.parent
WITH_SPARK = ("values.yaml", "values-spark.yaml")


def test_the_instance_is_the_one_of_compose_but_for_what_a_cluster_needs():
    here = instance(values())
    there = yaml.safe_load((DEPLOY / "dagster-production.yaml").read_text())
    here.pop("run_launcher")
    # By the same driver; another machine is on the other end.
    database = there.pop("storage")["postgres"]["postgres_db"]
    assert values()["postgresql"]["postgresqlScheme"] == database["scheme"]
    assert values()["postgresql"]["postgresqlParams"] == {"sslmode": "require"}
    # A cluster adds nodes before a run starts.
    assert there["run_monitoring"].pop("start_timeout_seconds") == 300
    assert here["run_monitoring"].pop("start_timeout_seconds") == 900
    logs = values()["computeLogManager"]["config"]["s3ComputeLogManager"]
    assert {name: logs[name] for name in ("bucket", "prefix")}.items() <= there.pop("compute_logs")["config"].items()
    assert here == there


def test_the_viewers_webserver_sees_the_instance_by_a_role_and_an_account_of_its_own():
    config = manifests()["ConfigMap", "cltv-viewers"]["data"]
    here, there = (
        yaml.safe_load(text) for text in (config["dagster.yaml"], (DEPLOY / "dagster-production.yaml").read_text())
    )
    given, wanted = values()["postgresql"], here.pop("storage")["postgres"]["postgres_db"]
    assert wanted["username"] == ROLE != given["postgresqlUsername"]
    assert wanted["hostname"] == given["postgresqlHost"]
    assert wanted["params"] == given["postgresqlParams"]
    assert wanted["scheme"] == given["postgresqlScheme"]
    logs = here.pop("compute_logs")
    assert logs["class"] == there["compute_logs"]["class"]
    assert logs["config"].items() <= there["compute_logs"]["config"].items()
    # What it shows is what the daemon does.
    assert here.items() <= there.items()
    (server,) = yaml.safe_load(config["workspace.yaml"])["load_from"]
    code = code_server(values())
    assert (server["grpc_server"]["host"], server["grpc_server"]["port"]) == (code["name"], code["port"])
    assert server["grpc_server"]["location_name"] == code["codeServerArgs"][-1]

    spec = manifests()["Deployment", "cltv-viewers"]["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert container["image"].endswith(f":{cltv_assets.__version__}")
    assert "--read-only" in container["args"]
    secrets = {each["valueFrom"]["secretKeyRef"]["name"] for each in container["env"] if "secretKeyRef" in str(each)}
    assert secrets == {"cltv-postgresql-viewer"}
    assert "envFrom" not in container
    other = {values()["serviceAccount"]["name"], "cltv-runs"}
    account = manifests()["ServiceAccount", spec["serviceAccountName"]]
    assert spec["serviceAccountName"] not in other
    assert account["metadata"]["annotations"]["eks.amazonaws.com/role-arn"].endswith(":role/cltv-viewers")
    # The chart's own would have the operators'.
    assert not values()["dagsterWebserver"]["enableReadOnly"]


def test_both_let_a_backfill_wait_for_a_code_server_that_is_being_started():
    name = "DAGSTER_BACKFILL_RETRY_DEFINITION_CHANGED_ERROR"
    assert values()["dagsterDaemon"]["envConfigMaps"] == [{"name": "cltv-environment"}]
    environment = manifests()["ConfigMap", "cltv-environment"]["data"]
    assert environment[name] == composed()["services"]["daemon"]["environment"][name] == "1"


def test_dagster_takes_the_instance(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(instance(values())))
    monkeypatch.setattr("kubernetes.config.load_incluster_config", lambda: None)
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
    for part in (values()["dagsterWebserver"], values()["dagsterDaemon"], code_server(values())):
        assert part["image"]["tag"] == cltv_assets.__version__
    assert code_server(values(*WITH_SPARK))["image"]["tag"] == f"{cltv_assets.__version__}-spark"
    dagster = importlib.metadata.version("dagster")
    for name in ("values.yaml", "README.md"):
        assert set(re.findall(r"--version (\S+)", (FOLDER / name).read_text())) == {dagster}
    waits_with = values()["postgresql"]["image"]
    assert composed()["services"]["postgres"]["image"] == f"{waits_with['repository']}:{waits_with['tag']}"


def test_the_spark_values_differ_in_image_and_room_only():
    plain, with_spark = (code_server(values(*names)) for names in (("values.yaml",), WITH_SPARK))
    assert plain | {"image": with_spark["image"]} == with_spark
    plain, with_spark = (launcher(values(*names)) for names in (("values.yaml",), WITH_SPARK))
    assert [each["name"] for each in plain["volumes"]] == [each["name"] for each in with_spark["volumes"]]
    assert plain | {name: with_spark[name] for name in ("resources", "volumes")} == with_spark


def test_values_name_objects_that_exist():
    parts = (values()["dagsterWebserver"], values()["dagsterDaemon"], code_server(values()), launcher(values()))
    named = {("ConfigMap", each["name"]) for part in parts for each in part["envConfigMaps"]}
    for volume in (volume for part in parts for volume in part["volumes"] if "configMap" in volume):
        named.add(("ConfigMap", volume["configMap"]["name"]))
    assert ("ConfigMap", "cltv-settings") in named
    named.add(("ServiceAccount", launcher(values())["runK8sConfig"]["podSpecConfig"]["service_account_name"]))
    assert named <= manifests().keys()
