"""Pods as the chart and Dagster make them: valid, without rights, on a read-only root."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import dagster as dg
import kubernetes
import kubernetes_validate
import pytest
import yaml
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin

from cltv_assets_tests.kubernetes.rendered import code_server, instance, manifests, pods, values

#: The oldest and the newest release of Kubernetes whose schemas the package has.
RELEASES = ("1.34", "1.37")


@pytest.fixture
def run_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Return the Job that Dagster's launcher asks Kubernetes for, made by its own code."""
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(instance(values())))
    monkeypatch.setattr("kubernetes.config.load_incluster_config", lambda: None)
    image = "{repository}:{tag}".format_map(code_server(values())["image"])
    place = RepositoryPythonOrigin(
        "python", ModuleCodePointer("cltv_assets.definitions", "defs"), container_image=image
    )
    with dg.DagsterInstance.from_config(str(tmp_path)) as loaded:
        run = loaded.create_run_for_job(
            dg.GraphDefinition("months").to_job(), job_code_origin=JobPythonOrigin("months", place)
        )
        launcher: Any = loaded.run_launcher
        launcher._api_client = MagicMock()
        launcher._launch_k8s_job_with_args("dagster-run-x", ["dagster", "api", "execute_run", "{}"], run)
        asked = launcher._api_client.create_namespaced_job_with_retries.call_args.kwargs
    assert asked["namespace"] == "cltv"
    job: dict[str, Any] = kubernetes.client.ApiClient().sanitize_for_serialization(asked["body"])
    return job


@pytest.mark.parametrize("release", RELEASES)
def test_kubernetes_takes_every_object(release: str, run_job: dict[str, Any]):
    for made in (*pods(values()).values(), *manifests().values(), run_job):
        kubernetes_validate.validate(made, release, strict=True)


def every_pod(run_job: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the specification of every pod there will be, by name."""
    found = {name: pod["spec"] for name, pod in pods(values()).items()}
    for (kind, name), made in manifests().items():
        if kind == "Deployment":
            found[name] = made["spec"]["template"]["spec"]
    return found | {"run": run_job["spec"]["template"]["spec"]}


def test_the_standard_restricted_lets_every_pod_in(run_job: dict[str, Any]):
    labels = manifests()["Namespace", "cltv"]["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    for name, spec in every_pod(run_job).items():
        assert spec["securityContext"]["runAsNonRoot"] is True, name
        assert spec["securityContext"]["runAsUser"] >= 10001, name
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}, name
        assert not spec.keys() & {"hostNetwork", "hostPID", "hostIPC"}, name
        for volume in spec.get("volumes", []):
            assert volume.keys() - {"name"} <= {"configMap", "emptyDir"}, name
        for container in spec["containers"]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False, name
            assert context["capabilities"] == {"drop": ["ALL"]}, name
            assert context["readOnlyRootFilesystem"] is True, name


def test_a_run_has_what_the_code_server_has(run_job: dict[str, Any]):
    (run,) = run_job["spec"]["template"]["spec"]["containers"]
    (code,) = pods(values())["cltv-assets"]["spec"]["containers"]
    assert run["image"] == code["image"]
    assert run["volumeMounts"] == code["volumeMounts"]
    assert [source for source in run["envFrom"] if "configMapRef" in source] == [
        source for source in code["envFrom"] if "configMapRef" in source
    ]
    assert run["env"][-1] == code["env"][0]
    # The month's memory is more than what only tells of the graph needs.
    assert run["resources"] != code["resources"]


def test_a_run_is_tried_again_by_dagster_alone_and_writes_with_rights_of_its_own(run_job: dict[str, Any]):
    assert run_job["spec"]["backoffLimit"] == 0
    assert run_job["spec"]["ttlSecondsAfterFinished"] > 0
    template = run_job["spec"]["template"]
    assert template["spec"]["restartPolicy"] == "Never"
    assert template["spec"]["serviceAccountName"] == "cltv-runs"
    assert template["metadata"]["annotations"]["karpenter.sh/do-not-disrupt"] == "true"
