"""A backfill goes on whatever process ends in the middle of it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
import requests
from deltalake import DeltaTable

from cltv_assets_tests.cluster.server_process import wait_until
from cltv_assets_tests.production.client import BACKFILL, RELOAD, RUNS, Client
from cltv_assets_tests.production.local_deployment import LocalDeployment
from cltv_assets_tests.production.shop import MONTHS, lines_of

#: Seconds. Dagster's daemon looks at backfills twice a minute.
_PATIENCE = 420
ASSETS = "query { assetNodes { assetKey { path } } }"


def patiently(ask: Callable[[], Any], seconds: float = 60) -> Any:
    """Ask again while the way there is being repaired."""
    end = time.monotonic() + seconds
    while True:
        try:
            return ask()
        except (requests.RequestException, AssertionError):
            if time.monotonic() > end:
                raise
            time.sleep(0.2)


def all_runs(client: Client) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = patiently(lambda: client.ask(RUNS)["runsOrError"]["results"])
    return found


def wait_for_a_started_run(client: Client, known: set[str]) -> str:
    """Return the id of a run under way that is not among the known ones."""
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        for run in all_runs(client):
            if run["status"] == "STARTED" and run["runId"] not in known:
                return str(run["runId"])
        time.sleep(0.1)
    raise AssertionError("no run was started")


def gave_up(deployment: LocalDeployment) -> bool:
    """Whether the code server's thread that looks after run processes has ended with an error."""
    return b"Exception in thread grpc-server-cleanup" in deployment.processes["code"].log.read_bytes()


def waits_for_code(deployment: LocalDeployment) -> bool:
    """Whether the daemon has seen the backfill, and none of the assets that it is to make."""
    return b"was unable to continue due to a missing asset" in deployment.processes["daemon"].log.read_bytes()


def tags_of(run: dict[str, Any]) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in run["tags"]}


def months_of(run: dict[str, Any]) -> list[str]:
    tags = tags_of(run)
    if "dagster/partition" in tags:
        return [tags["dagster/partition"]]
    first, last = tags["dagster/asset_partition_range_start"], tags["dagster/asset_partition_range_end"]
    return [month for month in MONTHS if first <= month <= last]


@pytest.mark.slow
def test_a_backfill_survives_the_end_of_every_process(deployment: LocalDeployment, operator: Client):
    assets = [node["assetKey"]["path"][0] for node in operator.ask(ASSETS)["assetNodes"]]
    deployment.kill("daemon")
    launched = operator.launch(assets, MONTHS)
    assert launched["__typename"] == "LaunchBackfillSuccess", launched
    # The daemon is there before the code server is, knows of no asset, and does not give the backfill up for that.
    deployment.kill("code")
    deployment.start("daemon")
    wait_until(lambda: waits_for_code(deployment), 180, "the daemon looks at the backfill")
    deployment.start("code")
    struck: dict[str, str] = {}
    # First what holds the run itself, then what the run is reported to, then all the others.
    struck["code"] = wait_for_a_started_run(operator, known=set())
    deployment.kill("code")
    deployment.start("code")
    struck["postgres"] = wait_for_a_started_run(operator, known={struck["code"]})
    deployment.kill("postgres")
    # Away long enough that the run ends, and neither it nor the code server can say so.
    wait_until(lambda: not deployment.run_processes(), 120, "the run ends without its database")
    # The code server's own look at its runs has failed too, and is not repeated: the watch must find it.
    wait_until(lambda: gave_up(deployment), 60, "the code server notices")
    deployment.start("postgres")
    wait_for_a_started_run(operator, known=set(struck.values()))
    deployment.kill("daemon")
    deployment.stop("webserver")
    deployment.kill("proxy")
    for service in ("daemon", "webserver", "proxy"):
        deployment.start(service)
    # New definitions for the next runs; the one under way goes on with the old ones.
    reloaded = patiently(lambda: operator.ask(RELOAD))["reloadRepositoryLocation"]
    assert reloaded["__typename"] == "WorkspaceLocationEntry"
    end = time.monotonic() + _PATIENCE
    while (state := patiently(lambda: operator.ask(BACKFILL, id=launched["backfillId"])))["partitionBackfillOrError"][
        "status"
    ] in ("REQUESTED", "COMPLETING"):
        assert time.monotonic() < end, state
        time.sleep(1)
    assert state["partitionBackfillOrError"] == {"status": "COMPLETED_SUCCESS", "error": None}

    runs = all_runs(operator)
    # Nothing was launched twice: each asset's month belongs to one run that is no retry of another...
    first_runs = [run for run in runs if run["parentRunId"] is None]
    asked = Counter(
        (key["path"][0], month) for run in first_runs for key in run["assetSelection"] for month in months_of(run)
    )
    assert asked == {(asset, month): 1 for asset in assets for month in MONTHS}
    # ... and a run that ended with its process was tried again once.
    tried_again = Counter(run["parentRunId"] for run in runs if run["parentRunId"])
    lost = {run["runId"] for run in runs if run["status"] != "SUCCESS"}
    assert tried_again == dict.fromkeys(lost, 1)
    assert lost == {struck["code"], struck["postgres"]}

    options = storage_options(deployment)
    for table in ("raw_transactions", "cleaned_transactions"):
        months = DeltaTable(f"{deployment.lake_uri}/{table}", storage_options=options).to_pandas()["month"]
        assert {f"{month:%Y-%m}": int(rows) for month, rows in months.value_counts().items()} == {
            month: lines_of(month) for month in MONTHS
        }


def storage_options(deployment: LocalDeployment) -> dict[str, str]:
    keys = deployment.store.owner
    return {
        "AWS_ENDPOINT_URL": deployment.store.endpoint_url,
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": keys.access_key,
        "AWS_SECRET_ACCESS_KEY": keys.secret_key,
    }
