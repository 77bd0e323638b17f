"""Runs within the image: starts services of compose.yaml, waits for their health checks, asks the webserver.

Given as one argument: JSON of services, in order, each with ``command`` and ``healthcheck``. The
entrypoint has run before. Standard library only.
"""

import json
import subprocess
import sys
import time
import urllib.request

QUERY = "{ workspaceOrError { ... on Workspace { locationEntries { name loadStatus locationOrLoadError { __typename ... on PythonError { message } } } } } assetNodes { id } }"


def healthy(test):
    return subprocess.run(test[1:], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0


def main(services):
    running = []
    try:
        for name, service in services.items():
            running.append(subprocess.Popen(service["command"], stdout=sys.stderr))
            end = time.monotonic() + 120
            while not healthy(service["healthcheck"]):
                if running[-1].poll() is not None:
                    sys.exit(f"{name} ended with {running[-1].returncode}")
                if time.monotonic() > end:
                    sys.exit(f"{name} is not healthy after two minutes")
                time.sleep(0.5)
        request = urllib.request.Request(
            "http://127.0.0.1:3000/graphql",
            json.dumps({"query": QUERY}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            print(answer.read().decode())
    finally:
        for process in reversed(running):
            process.terminate()
        for process in running:
            process.wait(30)


main(json.loads(sys.argv[1]))
