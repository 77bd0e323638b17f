"""Runs within the image: starts services, waits for their health checks, has them make a month.

Usage: ``services_probe.py SERVICES ASSET MONTH``; the services in JSON, in order, each with
``command`` and ``healthcheck``. The entrypoint has run before. Standard library only.
"""

import json
import subprocess
import sys
import time
import urllib.request

LOADED = """{
  workspaceOrError { ... on Workspace { locationEntries {
    locationOrLoadError { __typename ... on PythonError { message } } } } }
  assetNodes { id } }"""
LAUNCH = """mutation Launch($parameters: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $parameters) {
  __typename ... on PythonError { message } } }"""
RUNS = "{ runsOrError { ... on Runs { results { status } } } }"


def healthy(test):
    """Whether a health check's command succeeds."""
    return subprocess.run(test[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def until(what, ready, seconds=180):
    """Wait until something is ready, and return it."""
    end = time.monotonic() + seconds
    while not (found := ready()):
        if time.monotonic() > end:
            sys.exit(f"{what}: not after {seconds} s")
        time.sleep(0.5)
    return found


def ask(query, **variables):
    """Return the webserver's answer."""
    request = urllib.request.Request(
        "http://127.0.0.1:3000/graphql",
        json.dumps({"query": query, "variables": variables}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())["data"]


def ended():
    """Return the states of all runs once none is under way."""
    states = [run["status"] for run in ask(RUNS)["runsOrError"]["results"]]
    return states if states and {"SUCCESS", "FAILURE", "CANCELED"} >= set(states) else None


def main(services, asset, month):
    """Start services in order; where there is a webserver, launch a month of an asset and wait for it."""
    running = []
    try:
        for name, service in services.items():
            running.append(subprocess.Popen(service["command"], stdout=sys.stderr))
            until(f"{name} is healthy", lambda test=service["healthcheck"]: healthy(test))
            if running[-1].poll() is not None:
                sys.exit(f"{name} ended with {running[-1].returncode}")
        if "webserver" in services:
            said = {"loaded": ask(LOADED)}
            parameters = {"assetSelection": [{"path": [asset]}], "partitionNames": [month]}
            said["launched"] = ask(LAUNCH, parameters=parameters)
            said["runs"] = until("the run ends", ended)
            sys.stdout.write(json.dumps(said))
        else:
            sys.stdout.write("healthy\n")
    finally:
        for process in reversed(running):
            process.terminate()
        for process in running:
            # A code server gives calls under way a minute.
            process.wait(120)


main(json.loads(sys.argv[1]), *sys.argv[2:])
