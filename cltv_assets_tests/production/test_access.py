"""Who gets in, and how far."""

from __future__ import annotations

import base64
import http.client
import re
import ssl

import pytest
from websockets.exceptions import InvalidStatus

from cltv_assets_tests.production.client import RELOAD, Client, first_message
from cltv_assets_tests.production.local_deployment import LocalDeployment

#: A page, GraphQL, static files, what Dagster serves of runs and reports, and what it does not have.
PATHS = (
    "/",
    "/graphql",
    "/server_info",
    "/favicon.png",
    "/manifest.json",
    "/_next/static/nothing.js",
    "/logs/run/step/stdout",
    "/notebook?path=/etc/passwd",
    "/download_debug/00000000-0000-0000-0000-000000000000",
    "/assets/cltv_report",
    "/cltv_report/month=2011-01-01/report.html",
    "//server_info",
    "/x/%2e%2e/graphql",
    "/health",
)
SUBSCRIPTION = """
subscription ($id: ID!) {
  pipelineRunLogs(runId: $id) { __typename ... on PipelineRunLogsSubscriptionFailure { message missingRunId } }
}
"""
#: What only an operator may do, and what leaves nothing behind.
CHANGE = "mutation { reloadWorkspace { __typename } }"
WHO = "query { permissions { permission value } instance { id runQueuingSupported } }"


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_nothing_answers_without_a_login(nobody, method):
    assert {path: nobody.get(path, method).status_code for path in PATHS} == dict.fromkeys(PATHS, 401)


def test_a_wrong_password_opens_nothing(deployment, operator):
    for name, password in [
        ("operator", "wrong"),
        ("operator", ""),
        ("viewer", deployment.passwords["operator"]),
        ("Operator", deployment.passwords["operator"]),
    ]:
        assert Client(deployment.address, deployment.certificate, (name, password)).get("/").status_code == 401


def test_no_websocket_without_a_login(nobody, operator):
    with pytest.raises(InvalidStatus) as refused:
        nobody.websocket()
    assert refused.value.response.status_code == 401
    # The same request with a login is taken.
    with operator.websocket() as socket:
        assert first_message(socket, SUBSCRIPTION, {"id": "no-such-run"})["payload"]["data"]["pipelineRunLogs"]


@pytest.mark.parametrize("who", ["operator", "viewer"])
def test_with_a_login_everything_is_there(request, who):
    client: Client = request.getfixturevalue(who)
    page = client.get("/")
    assert page.status_code == 200
    script = re.search(r'<script[^>]* src="(/_next/static/[^"]+)"', page.text)
    assert script
    assert "javascript" in client.get(script[1]).headers["content-type"]
    assert client.get("/server_info").json()["dagster_version"]
    assert client.ask(WHO)["instance"]["runQueuingSupported"]


def test_plain_http_leads_to_https(deployment, nobody):
    answer = Client(deployment.address.replace("https", "http"), deployment.certificate).get("/runs?a=1")
    assert answer.status_code == 301
    assert answer.headers["location"] == deployment.address + "/runs?a=1"


# --- viewers ---------------------------------------------------------------------------------


def runs(client: Client) -> int:
    return int(client.ask("query { runsOrError { ... on Runs { count } } }")["runsOrError"]["count"])


def test_a_viewer_may_look_but_not_change(viewer, operator):
    seen = [entry["permission"] for entry in viewer.ask(WHO)["permissions"] if entry["value"]]
    assert seen == []
    before = runs(operator)
    assert viewer.launch(["raw_transactions"], ["2011-01"])["__typename"] == "UnauthorizedError"
    assert viewer.ask(RELOAD)["reloadRepositoryLocation"]["__typename"] == "UnauthorizedError"
    wiped = 'mutation { wipeAssets(assetPartitionRanges: [{assetKey: {path: ["raw_transactions"]}}]) { __typename } }'
    assert viewer.ask(wiped)["wipeAssets"]["__typename"] == "UnauthorizedError"
    reported = viewer.get("/report_asset_materialization/raw_transactions", "POST", json={"partition": "2011-01"})
    assert reported.status_code == 401
    assert runs(operator) == before


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/graphql", {"Host": "webserver:3000"}),
        ("/graphql", {"Host": "127.0.0.1:{webserver}"}),
        ("/graphql", {"X-Forwarded-Host": "webserver:3000", "X-Forwarded-For": "127.0.0.1"}),
        ("/graphql", {"X-Original-URL": "http://webserver:3000/graphql", "X-Rewrite-URL": "/graphql"}),
        ("/graphql", {"Remote-User": "operator", "X-Remote-User": "operator", "X-Forwarded-User": "operator"}),
        ("//graphql", {}),
        ("/x/../graphql", {}),
        ("/%67raphql", {}),
        ("/graphql/../graphql", {}),
        ("/http://127.0.0.1:{webserver}/graphql", {}),
    ],
)
def test_no_trick_takes_a_viewer_to_the_operators_webserver(deployment, viewer, operator, path, headers):
    before, places = runs(operator), {"webserver": deployment.ports["webserver"]}
    answer = viewer.get(
        path.format(**places),
        "POST",
        json={"query": CHANGE},
        headers={name: value.format(**places) for name, value in headers.items()},
    )
    assert "WorkspaceEntry" not in answer.text
    assert '"Workspace"' not in answer.text
    assert runs(operator) == before


def test_what_the_tricks_try_works_with_the_right_login(operator):
    assert operator.ask(CHANGE)["reloadWorkspace"]["__typename"] == "Workspace"


def test_a_doubled_login_is_the_viewers(deployment, viewer):
    # Two Authorization lines, and a name that holds the other one.
    headers = {"Authorization": "Basic b3BlcmF0b3I6"}
    client = Client(deployment.address, deployment.certificate)
    assert client.get("/", headers=headers).status_code == 401
    name = "viewer"
    tricked = Client(deployment.address, deployment.certificate, (f"{name}\noperator", deployment.passwords[name]))
    assert tricked.get("/server_info").status_code in (400, 401)


# --- other sites' pages ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "method", "headers"),
    [
        ("/graphql", "POST", {"Origin": "https://elsewhere.example"}),
        ("/graphql", "POST", {"Origin": "null"}),
        ("/report_asset_materialization/raw_transactions", "POST", {"Origin": "https://elsewhere.example"}),
        ("/graphql?query=mutation{reloadWorkspace{__typename}}", "GET", {}),
        ("//graphql?query=mutation{reloadWorkspace{__typename}}", "GET", {}),
        ("/graphql", "GET", {"Sec-Fetch-Site": "cross-site"}),
    ],
)
def test_another_sites_page_cannot_use_a_login(operator, path, method, headers):
    answer = operator.get(
        path, method, json={"query": "query { version }"} if method == "POST" else None, headers=headers
    )
    assert answer.status_code == 403


@pytest.mark.parametrize("path", ["/graphql", "/%67raphql", "/graphq%6c", "/graphql%0a", "/x/../graphql", "/./graphql"])
def test_no_spelling_of_the_address_gets_a_query_through(deployment, operator, path):
    # Sent as it is: other clients would tidy it.
    connection = http.client.HTTPSConnection(
        "localhost", deployment.ports["proxy"], context=ssl.create_default_context(cafile=deployment.certificate)
    )
    login = base64.b64encode(f"operator:{deployment.passwords['operator']}".encode()).decode()
    query = "?query=query{version}"
    connection.request("GET", path + query, headers={"Authorization": f"Basic {login}", "Accept": "*/*"})
    assert connection.getresponse().status == 403
    connection.close()


def test_another_sites_page_opens_no_websocket(operator, deployment: LocalDeployment):
    with pytest.raises(InvalidStatus) as refused:
        operator.websocket(Origin="https://elsewhere.example")
    assert refused.value.response.status_code == 403
    with operator.websocket(Origin=deployment.address):
        pass
