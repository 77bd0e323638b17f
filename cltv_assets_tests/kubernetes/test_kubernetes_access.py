"""Who reaches whom in the namespace, by the policies; who is let in, by the proxies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from cltv_assets.settings import Settings
from cltv_assets_tests.kubernetes.rendered import launcher, manifests, pods, values


def labels() -> dict[str, dict[str, str]]:
    """Return the labels of every kind of pod of the namespace."""
    found = {name: pod["metadata"]["labels"] for name, pod in pods(values()).items()}
    for (kind, name), made in manifests().items():
        if kind == "Deployment":
            found[name] = made["spec"]["template"]["metadata"]["labels"]
    # As test_kubernetes_pods has it from Dagster's own code.
    run = {"app.kubernetes.io/name": "dagster", "app.kubernetes.io/instance": "dagster"}
    return found | {"run": run | launcher(values())["labels"]}


def selects(selector: dict[str, Any], given: dict[str, str]) -> bool:
    """Whether a label selector selects a pod."""
    for rule in selector.get("matchExpressions", []):
        assert rule["operator"] == "In"
        if given.get(rule["key"]) not in rule["values"]:
            return False
    return selector.get("matchLabels", {}).items() <= given.items()


def rules(way: str, pod: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Return the rules of all policies that hold for a pod, in one direction."""
    for (kind, _), policy in manifests().items():
        if kind != "NetworkPolicy" or way not in policy["spec"]["policyTypes"]:
            continue
        if selects(policy["spec"]["podSelector"], pod):
            yield from policy["spec"].get(way.lower(), [])


def allowed(way: str, source: str, target: str, port: int) -> bool:
    """Whether one side's policies let a pod open a connection to another."""
    pod, peer = (target, source) if way == "Ingress" else (source, target)
    for rule in rules(way, labels()[pod]):
        for one in rule["from" if way == "Ingress" else "to"]:
            chosen = "podSelector" in one and selects(one["podSelector"], labels()[peer])
            if chosen and port in [each["port"] for each in rule["ports"]]:
                return True
    return False


@pytest.mark.parametrize("way", ["Ingress", "Egress"])
def test_nobody_reaches_anybody_but_those_who_must(way: str):
    ports = {"dagster-webserver": 8080, "cltv-viewers": 8080, "cltv-assets": 4000}
    ports |= dict.fromkeys(("cltv-access-operators", "cltv-access-viewers"), 4180)
    services = ("dagster-webserver", "cltv-viewers", "dagster-daemon")
    expected = {(name, "cltv-assets") for name in services} | {
        ("cltv-access-operators", "dagster-webserver"),
        ("cltv-access-viewers", "cltv-viewers"),
    }
    found = {
        (source, target)
        for source in labels()
        for target in labels()
        for port in {ports.get(target, 8080), 3000, 8080, 4000}
        if allowed(way, source, target, port)
    }
    # Each side alone suffices: one policy too wide lets nobody in.
    assert found == expected


def outside(pod: str) -> set[int]:
    """Return the ports on which a pod reaches addresses outside the cluster."""
    found = set()
    for rule in rules("Egress", labels()[pod]):
        for one in rule["to"]:
            if "ipBlock" in one:
                # The nodes' metadata would give a pod the node's role.
                assert one["ipBlock"]["cidr"] != "0.0.0.0/0" or one["ipBlock"]["except"] == ["169.254.0.0/16"]
                found |= {each["port"] for each in rule["ports"]}
    return found


def test_what_is_ours_reaches_database_and_store_and_the_proxies_only_the_login():
    for name in ("dagster-webserver", "cltv-viewers", "dagster-daemon", "cltv-assets", "run"):
        assert outside(name) == {443, 5432}
    for name in ("cltv-access-operators", "cltv-access-viewers"):
        assert outside(name) == {443}


def test_only_the_controller_reaches_the_proxies_from_outside():
    for name in labels():
        for rule in rules("Ingress", labels()[name]):
            for one in rule["from"]:
                assert "ipBlock" not in one
                assert "namespaceSelector" not in one or name.startswith("cltv-access-")


@pytest.mark.parametrize(
    ("name", "groups", "upstream", "host"),
    [
        ("operators", ["cltv-operators"], "cltv-dagster-webserver", "cltv.example.com"),
        ("viewers", ["cltv-viewers", "cltv-operators"], "cltv-viewers", "cltv-view.example.com"),
    ],
)
def test_each_name_lets_its_groups_in_to_its_webserver(name: str, groups: list[str], upstream: str, host: str):
    (proxy,) = manifests()["Deployment", f"cltv-access-{name}"]["spec"]["template"]["spec"]["containers"]
    given = [argument.removeprefix("--").partition("=")[::2] for argument in proxy["args"]]
    assert [value for key, value in given if key == "allowed-group"] == groups
    assert [value for key, value in given if key == "upstream"] == [f"http://{upstream}:8080"]
    flags = dict(given)
    assert flags["redirect-url"] == f"https://{host}/oauth2/callback"
    assert flags["cookie-name"].startswith("__Host-")
    assert flags["cookie-secure"] == flags["cookie-httponly"] == "true"
    assert flags["cookie-samesite"] in ("lax", "strict")
    # Nothing is let through without a login.
    assert not [key for key in flags if key.startswith(("skip-auth", "skip-jwt", "api-route", "trusted-ip"))]
    assert proxy["envFrom"] == [{"secretRef": {"name": f"cltv-access-{name}"}}]

    (rule,) = [each for each in manifests()["Ingress", "cltv"]["spec"]["rules"] if each["host"] == host]
    (path,) = rule["http"]["paths"]
    assert (path["path"], path["pathType"]) == ("/", "Prefix")
    service = manifests()["Service", path["backend"]["service"]["name"]]
    assert selects({"matchLabels": service["spec"]["selector"]}, labels()[f"cltv-access-{name}"])
    assert path["backend"]["service"]["name"] == f"cltv-access-{name}"


def test_budgets_leave_one_of_what_has_two():
    budgets = [made["spec"] for (kind, _), made in manifests().items() if kind == "PodDisruptionBudget"]
    chosen = set()
    for budget in budgets:
        assert budget["minAvailable"] == 1
        (name,) = [name for name, given in labels().items() if selects(budget["selector"], given)]
        chosen.add(name)
    replicas = {name: made["spec"]["replicas"] for (kind, name), made in manifests().items() if kind == "Deployment"}
    replicas["dagster-webserver"] = values()["dagsterWebserver"]["replicaCount"]
    # A budget for what there is one of would forbid every drain.
    assert chosen == {name for name, count in replicas.items() if count > 1} == set(replicas)


def test_the_settings_are_settings():
    written = yaml.safe_load(manifests()["ConfigMap", "cltv-settings"]["data"]["cltv.yaml"])
    environment = manifests()["ConfigMap", "cltv-environment"]["data"]
    settings = Settings.model_validate(
        written | {"lake_uri": environment["CLTV_LAKE_URI"], "environment": "production"}
    )
    assert settings.source.path.startswith("s3://")
    assert settings.environment == environment["CLTV_ENVIRONMENT"]
