"""What the chart makes of deploy/kubernetes/values.yaml, as far as the tests ask.

The templates' rules, in Python: the instance's configuration, and the pods of webservers, daemon and code server. A
stand-in for ``helm template``, for want of the chart.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parents[2] / "deploy/kubernetes"
RELEASE, NAMESPACE = "cltv", "cltv"
#: As the chart names things for this release.
FULLNAME = f"{RELEASE}-dagster"

Values = dict[str, Any]


def merged(base: Any, over: Any) -> Any:
    """Merge values as Helm does: mappings key by key, everything else as a whole."""
    if not (isinstance(base, Mapping) and isinstance(over, Mapping)):
        return over
    return {**base, **{key: merged(base[key], value) if key in base else value for key, value in over.items()}}


@cache
def values(*names: str) -> Values:
    """Return the values of files given to ``helm --values``, one after the other."""
    result: Values = {}
    for name in names or ("values.yaml",):
        result = merged(result, yaml.safe_load((FOLDER / name).read_text()))
    return result


def code_server(given: Values) -> Values:
    """Return the values of the one code server."""
    (code,) = given["dagster-user-deployments"]["deployments"]
    return dict(code)


def launcher(given: Values) -> Values:
    """Return the values of what launches runs."""
    return dict(given["runLauncher"]["config"]["k8sRunLauncher"])


@cache
def manifests() -> dict[tuple[str, str], dict[str, Any]]:
    """Return the objects of ``manifests/`` by kind and name."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for file in sorted((FOLDER / "manifests").glob("*.yaml")):
        for made in yaml.safe_load_all(file.read_text()):
            key = made["kind"], made["metadata"]["name"]
            assert key not in found, f"{key} twice"
            found[key] = made
    return found


def instance(given: Values) -> dict[str, Any]:
    """Return the ConfigMap's ``dagster.yaml`` without what needs PostgreSQL and S3."""
    runs = launcher(given)
    pod = runs["runK8sConfig"]
    retention = {"schedule": "schedule", "sensor": "sensor", "auto_materialize": "autoMaterialize"}
    made: dict[str, Any] = {
        "run_launcher": {
            "module": "dagster_k8s",
            "class": "K8sRunLauncher",
            "config": {
                "load_incluster_config": runs["loadInclusterConfig"],
                "job_namespace": NAMESPACE,
                "image_pull_policy": runs["imagePullPolicy"],
                "service_account_name": given["serviceAccount"]["name"],
                "dagster_home": given["global"]["dagsterHome"],
                "instance_config_map": f"{FULLNAME}-instance",
                "postgres_password_secret": given["global"]["postgresqlSecretName"],
                "env_config_maps": [each["name"] for each in runs["envConfigMaps"]],
                "env_secrets": [each["name"] for each in runs["envSecrets"]],
                "volumes": runs["volumes"],
                "volume_mounts": runs["volumeMounts"],
                "labels": runs["labels"],
                "resources": runs["resources"],
                "security_context": runs["securityContext"],
                "run_k8s_config": {
                    "pod_spec_config": pod["podSpecConfig"],
                    "pod_template_spec_metadata": pod["podTemplateSpecMetadata"],
                    "job_spec_config": pod["jobSpecConfig"],
                },
            },
        },
        **{
            name: {"use_threads": True, "num_workers": given["dagsterDaemon"][name]["numWorkers"]}
            for name in ("sensors", "schedules")
        },
        "telemetry": {"enabled": given["telemetry"]["enabled"]},
        "retention": {
            name: {"purge_after_days": given["retention"][key]["purgeAfterDays"]} for name, key in retention.items()
        },
    }
    # The chart appends them to the file; a key twice would be an accident.
    assert not made.keys() & given["additionalInstanceConfig"].keys()
    # A copy: values are read once for all tests.
    return deepcopy(made | given["additionalInstanceConfig"])


def _pod(given: Values, part: Values, account: str, labels: dict[str, str], command: dict[str, Any]) -> dict[str, Any]:
    """Return a pod as the templates put it together from a part's values."""
    probes = {
        name: {key: value for key, value in part[name].items() if key != "enabled"}
        for name in ("startupProbe", "readinessProbe", "livenessProbe")
        if name in part
    }
    volumes, mounts = list(part["volumes"]), list(part["volumeMounts"])
    if "args" in command:
        # A code server's probe without one of its own.
        check = {"exec": {"command": ["dagster", "api", "grpc-health-check", "-p", str(part["port"])]}}
        probes = {name: check | probe for name, probe in probes.items()}
    else:
        home = given["global"]["dagsterHome"]
        volumes += [
            {"name": f"dagster-{name}", "configMap": {"name": f"{FULLNAME}-{name}"}}
            for name in ("instance", "workspace-yaml")
        ]
        mounts += [
            {"name": "dagster-instance", "mountPath": f"{home}/dagster.yaml", "subPath": "dagster.yaml"},
            {"name": "dagster-workspace-yaml", "mountPath": "/dagster-workspace/"},
        ]
    password = {"secretKeyRef": {"name": given["global"]["postgresqlSecretName"], "key": "postgresql-password"}}
    container = {
        "name": "dagster",
        "image": f"{part['image']['repository']}:{part['image']['tag']}",
        "imagePullPolicy": part["image"]["pullPolicy"],
        "securityContext": part["securityContext"],
        "env": [{"name": "DAGSTER_PG_PASSWORD", "valueFrom": password}],
        "envFrom": [{"configMapRef": each} for each in part["envConfigMaps"]]
        + [{"secretRef": each} for each in part.get("envSecrets", [])],
        "resources": part["resources"],
        "volumeMounts": mounts,
        **command,
        **probes,
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "of-the-test", "namespace": NAMESPACE, "labels": labels},
        "spec": {
            "serviceAccountName": account,
            "automountServiceAccountToken": True,
            "securityContext": part["podSecurityContext"],
            "containers": [container],
            "volumes": volumes,
        },
    }


def pods(given: Values) -> dict[str, dict[str, Any]]:
    """Return the chart's pods by component."""

    def labels(component: str, name: str = "dagster") -> dict[str, str]:
        return {"app.kubernetes.io/name": name, "app.kubernetes.io/instance": RELEASE, "component": component}

    web, workspace = given["dagsterWebserver"], "-w /dagster-workspace/workspace.yaml"
    listen = f"dagster-webserver -h 0.0.0.0 -p {web['service']['port']} {workspace}"
    listen += f" --db-statement-timeout {web['dbStatementTimeout']}"
    made = {}
    for component, part, line in (
        ("dagster-webserver", web, listen),
        *([("dagster-webserver-read-only", web, f"{listen} --read-only")] if web["enableReadOnly"] else []),
        ("dagster-daemon", given["dagsterDaemon"], f"dagster-daemon run {workspace}"),
    ):
        command: dict[str, Any] = {"command": ["/bin/bash", "-c", line]}
        made[component] = _pod(given, part, given["serviceAccount"]["name"], labels(component), command)
    code = code_server(given)
    arguments = ["dagster", "code-server", "start", "-h", "0.0.0.0", "-p", str(code["port"]), *code["codeServerArgs"]]
    account = given["dagster-user-deployments"]["serviceAccount"]["name"]
    of_code = labels("user-deployments", "dagster-user-deployments")
    made[code["name"]] = _pod(given, code, account, of_code, {"args": arguments})
    return deepcopy(made)
