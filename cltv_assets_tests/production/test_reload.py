"""New settings become visible by a reload, with every process left running."""

from __future__ import annotations

from cltv_assets_tests.production.client import RELOAD, Client
from cltv_assets_tests.production.local_deployment import DAGSTER_SERVICES, LocalDeployment
from cltv_assets_tests.production.shop import MONTHS

PARTITIONS = 'query { assetNodes(assetKeys: [{path: ["raw_transactions"]}]) { partitionKeys } }'
TROUBLE = """
query {
  workspaceOrError { ... on Workspace { locationEntries {
    locationOrLoadError { __typename ... on PythonError { message } }
  } } }
}
"""


def months(client: Client) -> list[str]:
    found: list[str] = client.ask(PARTITIONS)["assetNodes"][0]["partitionKeys"]
    return found


def reload(client: Client) -> str:
    entry = client.ask(RELOAD)["reloadRepositoryLocation"]
    return str(entry["locationOrLoadError"]["__typename"])


def test_changed_settings_are_there_after_a_reload(deployment: LocalDeployment, operator: Client, viewer: Client):
    pids = {name: deployment.processes[name].pid for name in DAGSTER_SERVICES}
    before = deployment.settings_file.read_text()
    assert months(operator) == list(MONTHS)
    try:
        deployment.settings_file.write_text(before.replace(f"end_month: {MONTHS[-1]}", f"end_month: {MONTHS[-2]}"))
        assert months(operator) == list(MONTHS)
        assert reload(operator) == "RepositoryLocation"
        assert months(operator) == list(MONTHS[:-1])

        # A mistake is shown, with what is wrong, and does not end the code server.
        deployment.settings_file.write_text(before.replace("currency:", "curency:"))
        assert reload(operator) == "PythonError"
        entry = viewer.ask(TROUBLE)["workspaceOrError"]["locationEntries"][0]["locationOrLoadError"]
        if entry["__typename"] == "PythonError":  # the viewers' webserver may not have noticed yet
            assert "curency" in entry["message"]
    finally:
        deployment.settings_file.write_text(before)
        assert reload(operator) == "RepositoryLocation"
    assert months(operator) == list(MONTHS)
    for name, pid in pids.items():
        assert deployment.processes[name].running
        assert deployment.processes[name].pid == pid


def test_the_health_checks_of_compose_pass(deployment: LocalDeployment):
    for service in ("code", "daemon", "webserver", "viewer"):
        check = deployment.services[service]["healthcheck"]["test"]
        assert check[0] == "CMD"
        # Without the entrypoint, as Docker runs them: a check that needs a secret fetches it itself.
        deployment.run_bare(service, check[1:])
    deployment.stop("viewer")
    try:
        assert deployment.run_bare("viewer", deployment.services["viewer"]["healthcheck"]["test"][1:], check=False)
    finally:
        deployment.start("viewer")
        deployment.wait_for("viewer")
