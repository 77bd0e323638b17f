"""Talks to Dagster through the proxy, as a browser with a login does."""

from __future__ import annotations

import base64
import json
import ssl
from collections.abc import Sequence
from typing import Any

import requests
from websockets.sync.client import ClientConnection, connect

from cltv_assets.dagster_defs.build import MONTH_JOB

LAUNCH = """
mutation ($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
    ... on UnauthorizedError { message }
  }
}
"""
RUN = """
mutation ($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
  }
}
"""
BACKFILL = """
query ($id: String!) {
  partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status error { message } } }
}
"""
RUNS = """
query {
  runsOrError { ... on Runs { results {
    runId status parentRunId assetSelection { path } tags { key value }
  } } }
}
"""
RELOAD = """
mutation {
  reloadRepositoryLocation(repositoryLocationName: "cltv_assets") {
    __typename
    ... on WorkspaceLocationEntry { loadStatus locationOrLoadError { __typename } }
    ... on PythonError { message }
  }
}
"""


class Client:
    """One login.

    Parameters
    ----------
    address : str
        Of the proxy.
    certificate : str
        File with the certificate to trust.
    login : tuple of str, optional
        Name and password; nobody's without.
    """

    def __init__(self, address: str, certificate: str, login: tuple[str, str] | None = None) -> None:
        self.address, self._certificate, self._login = address, certificate, login
        self._session = requests.Session()
        # Not this machine's variables: they may name another bundle of certificates, or a proxy.
        self._session.trust_env = False
        self._session.verify = certificate
        self._session.auth = login

    def get(self, path: str, method: str = "GET", **options: Any) -> requests.Response:
        """Return the answer to a request, whatever it is."""
        return self._session.request(method, self.address + path, timeout=60, allow_redirects=False, **options)

    def post(self, query: str, variables: dict[str, Any] | None = None, **options: Any) -> requests.Response:
        """Return the answer to a GraphQL request, whatever it is."""
        body = {"query": query, "variables": variables or {}}
        return self.get("/graphql", "POST", json=body, **options)

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """Return the data that a GraphQL request finds."""
        answer = self.post(query, variables)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        assert not found.get("errors"), found["errors"]
        return found["data"]

    def launch(self, assets: Sequence[str], months: Sequence[str]) -> dict[str, Any]:
        """Launch a backfill and return the answer."""
        params = {"assetSelection": [{"path": [name]} for name in assets], "partitionNames": list(months)}
        answer: dict[str, Any] = self.ask(LAUNCH, params=params)["launchPartitionBackfill"]
        return answer

    def run_month(self, assets: Sequence[str], month: str) -> str:
        """Launch a run of a month of some assets, which waits in the queue for its turn, and return its id."""
        chosen = [{"path": [name]} for name in assets]
        selector = {"repositoryName": "__repository__", "repositoryLocationName": "cltv_assets", "jobName": MONTH_JOB}
        params = {
            "selector": selector | {"assetSelection": chosen, "assetCheckSelection": None},
            "runConfigData": {},
            "executionMetadata": {"tags": [{"key": "dagster/partition", "value": month}]},
        }
        answer = self.ask(RUN, params=params)["launchRun"]
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return str(answer["run"]["runId"])

    def websocket(self, **headers: str) -> ClientConnection:
        """Open the websocket of GraphQL's subscriptions."""
        context = ssl.create_default_context(cafile=self._certificate)
        if self._login:
            headers["Authorization"] = "Basic " + base64.b64encode(":".join(self._login).encode()).decode()
        return connect(
            self.address.replace("https", "wss") + "/graphql",
            ssl=context,
            subprotocols=["graphql-ws"],  # type: ignore[list-item]
            additional_headers=headers,
            proxy=None,
        )


def first_message(socket: ClientConnection, subscription: str, variables: dict[str, Any] | None = None) -> Any:
    """Subscribe and return what arrives first."""
    socket.send(json.dumps({"type": "connection_init", "payload": {}}))
    assert json.loads(socket.recv(30))["type"] == "connection_ack"
    payload = {"query": subscription, "variables": variables or {}}
    socket.send(json.dumps({"type": "start", "id": "1", "payload": payload}))
    while True:
        message = json.loads(socket.recv(60))
        if message["type"] != "ka":
            return message
