"""What the chart makes of deploy/kubernetes/values.yaml, as far as the tests ask.

The templates' rules, in Python: the instance's configuration, and the pods of webservers, daemon
and code server. A stand-in for ``helm template``, for want of the chart.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from cltv_assets_tests.kubernetes.chart_values import Pod, Values

FOLDER = Path(__file__).parents[2] / "deploy/kubernetes"
RELEASE, NAMESPACE = "cltv", "cltv"
#: As the chart names things for this release.
FULLNAME = f"{RELEASE}-dagster"


def merged(base: Any, over: Any) -> Any:
    """Merge values as Helm does: mappings key by key, everything else as a whole."""
    if not (isinstance(base, Mapping) and isinstance(over, Mapping)):
        return over
    return {**base, **{key: merged(base[key], value) if key in base else value for key, value in over.items()}}


@cache
def values(*names: str) -> Values:
    """Return the values of files given to ``helm --values``, one after the other."""
    result: Any = {}
    for name in names or ("values.yaml",):
        result = merged(result, yaml.safe_load((FOLDER / name).read_text()))
    return Values.model_validate({key: value for key, value in result.items() if not key.startswith("x-")})


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
    """Return the content of the ConfigMap's ``dagster.yaml``."""
    database = given.postgresql
    storage = {
        "postgres_db": {
            "username": database.postgresqlUsername,
            "password": {"env": "DAGSTER_PG_PASSWORD"},
            "hostname": database.postgresqlHost,
            "db_name": database.postgresqlDatabase,
            "port": database.service.port,
            "params": database.postgresqlParams,
            "scheme": database.postgresqlScheme,
        }
    }
    logs = given.computeLogManager.config.s3ComputeLogManager
    launcher = given.runLauncher.config.k8sRunLauncher
    workers = {"sensors": given.dagsterDaemon.sensors, "schedules": given.dagsterDaemon.schedules}
    run_config = launcher.runK8sConfig
    made: dict[str, Any] = {
        "scheduler": {"module": "dagster.core.scheduler", "class": "DagsterDaemonScheduler"},
        **{
            f"{kind}_storage": {"module": f"dagster_postgres.{module}", "class": name, "config": storage}
            for kind, module, name in (
                ("schedule", "schedule_storage", "PostgresScheduleStorage"),
                ("run", "run_storage", "PostgresRunStorage"),
                ("event_log", "event_log", "PostgresEventLogStorage"),
            )
        },
        "run_launcher": {
            "module": "dagster_k8s",
            "class": "K8sRunLauncher",
            "config": {
                "load_incluster_config": launcher.loadInclusterConfig,
                "job_namespace": NAMESPACE,
                "image_pull_policy": launcher.imagePullPolicy,
                "service_account_name": given.serviceAccount.name,
                "dagster_home": given.global_.dagsterHome,
                "instance_config_map": f"{FULLNAME}-instance",
                "postgres_password_secret": given.global_.postgresqlSecretName,
                "env_config_maps": [each.name for each in launcher.envConfigMaps],
                "env_secrets": [each.name for each in launcher.envSecrets],
                "volumes": launcher.volumes,
                "volume_mounts": launcher.volumeMounts,
                "labels": launcher.labels,
                "resources": launcher.resources,
                "security_context": launcher.securityContext,
                "run_k8s_config": {
                    "pod_spec_config": run_config.podSpecConfig,
                    "pod_template_spec_metadata": run_config.podTemplateSpecMetadata,
                    "job_spec_config": run_config.jobSpecConfig,
                },
            },
        },
        "compute_logs": {
            "module": "dagster_aws.s3.compute_log_manager",
            "class": "S3ComputeLogManager",
            "config": {
                "bucket": logs.bucket.model_dump(),
                "prefix": logs.prefix.model_dump(),
                "verify": True,
                "skip_empty_files": logs.skipEmptyFiles,
                "upload_interval": logs.uploadInterval,
            },
        },
        **{
            name: {"use_threads": each.useThreads, "num_workers": each.numWorkers}
            for name, each in workers.items()
            if each.useThreads
        },
        "telemetry": {"enabled": given.telemetry.enabled},
        "retention": {
            "schedule": {"purge_after_days": dict(given.retention.schedule.purgeAfterDays)},
            "sensor": {"purge_after_days": dict(given.retention.sensor.purgeAfterDays)},
            "auto_materialize": {"purge_after_days": dict(given.retention.autoMaterialize.purgeAfterDays)},
        },
    }
    # The chart appends them to the file; a key twice would be an accident.
    assert not made.keys() & given.additionalInstanceConfig.keys()
    # A copy: values are read once for all tests.
    return deepcopy(made | given.additionalInstanceConfig)


def _pod(given: Values, part: Pod, *, account: str, labels: dict[str, str], command: dict[str, Any]) -> dict[str, Any]:
    """Return a pod as the templates put it together from a part's values."""
    probes = {
        name: {key: value for key, value in probe.items() if key != "enabled"}
        for name in ("startupProbe", "readinessProbe", "livenessProbe")
        if (probe := getattr(part, name))
    }
    if "args" in command:
        # A code server's probe without one of its own.
        check = {"exec": {"command": ["dagster", "api", "grpc-health-check", "-p", str(command["args"][6])]}}
        probes = {name: check | probe for name, probe in probes.items()}
    password = {"secretKeyRef": {"name": given.global_.postgresqlSecretName, "key": "postgresql-password"}}
    sources = [{"configMapRef": each.model_dump(exclude_none=True)} for each in part.envConfigMaps]
    sources += [{"secretRef": each.model_dump(exclude_none=True)} for each in part.envSecrets]
    volumes, mounts = list(part.volumes), list(part.volumeMounts)
    if "command" in command:
        volumes += [
            {"name": "dagster-instance", "configMap": {"name": f"{FULLNAME}-instance"}},
            {"name": "dagster-workspace-yaml", "configMap": {"name": f"{FULLNAME}-workspace-yaml"}},
        ]
        home = given.global_.dagsterHome
        mounts += [
            {"name": "dagster-instance", "mountPath": f"{home}/dagster.yaml", "subPath": "dagster.yaml"},
            {"name": "dagster-workspace-yaml", "mountPath": "/dagster-workspace/"},
        ]
    container = {
        "name": "dagster",
        "image": f"{part.image.repository}:{part.image.tag}",
        "imagePullPolicy": part.image.pullPolicy,
        "securityContext": part.securityContext,
        "env": [{"name": "DAGSTER_PG_PASSWORD", "valueFrom": password}],
        "envFrom": sources,
        "resources": part.resources,
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
            "securityContext": part.podSecurityContext,
            "containers": [container],
            "volumes": volumes,
        },
    }


def pods(given: Values) -> dict[str, dict[str, Any]]:
    """Return the chart's pods by component."""

    def labels(component: str, name: str = "dagster") -> dict[str, str]:
        return {"app.kubernetes.io/name": name, "app.kubernetes.io/instance": RELEASE, "component": component}

    web, account = given.dagsterWebserver, given.serviceAccount.name
    listen = f"dagster-webserver -h 0.0.0.0 -p {web.service.port} -w /dagster-workspace/workspace.yaml"
    listen += f" --db-statement-timeout {web.dbStatementTimeout}"
    made = {}
    for component, line in (
        ("dagster-webserver", listen),
        ("dagster-webserver-read-only", f"{listen} --read-only"),
    ):
        command = {"command": ["/bin/bash", "-c", line]}
        made[component] = _pod(given, web, account=account, labels=labels(component), command=command)
    command = {"command": ["/bin/bash", "-c", "dagster-daemon run -w /dagster-workspace/workspace.yaml"]}
    made["dagster-daemon"] = _pod(
        given, given.dagsterDaemon, account=account, labels=labels("dagster-daemon"), command=command
    )
    for code in given.code.deployments:
        arguments = ["dagster", "code-server", "start", "-h", "0.0.0.0", "-p", str(code.port), *code.codeServerArgs]
        of_code = labels("user-deployments", "dagster-user-deployments")
        made[code.name] = _pod(
            given, code, account=given.code.serviceAccount.name, labels=of_code, command={"args": arguments}
        )
    return deepcopy(made)
