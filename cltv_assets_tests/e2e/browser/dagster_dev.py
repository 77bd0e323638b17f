"""``make dev`` on a made-up shop: its own command line, instance, lake and port."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from cltv_assets_tests.cluster.server_process import ServerProcess, free_port

CHECKOUT = Path(__file__).parents[3]
_STARTS_WITHIN_SECONDS = 180
#: The queue looks every second, and a run's process begins with its imports.
_ENDS_WITHIN_SECONDS = 240
_UNDER_WAY = """{
  runsOrError(filter: {statuses: [QUEUED, NOT_STARTED, STARTING, STARTED, CANCELING]}) { ... on Runs { count } }
  partitionBackfillsOrError(filters: {statuses: [REQUESTED, FAILING, CANCELING]}) {
    ... on PartitionBackfills { results { id } } }
}"""
_NOTHING = {"runsOrError": {"count": 0}, "partitionBackfillsOrError": {"results": []}}
_QUICK_DAEMON = Path(__file__).with_name("quick_daemon")


class DagsterDev:
    """Webserver and daemon on a shop's configuration.

    Parameters
    ----------
    config : Path
        The shop's ``cltv.yaml``; instance and logs lie beside it.
    """

    def __init__(self, config: Path) -> None:
        self.home = config.parent
        self.instance_home = instance_home(self.home)
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        surroundings = {**os.environ, "CLTV_CONFIG": str(config), "DAGSTER_HOME": str(self.instance_home)}
        surroundings["PYTHONPATH"] = f"{_QUICK_DAEMON}:{CHECKOUT}"
        command = [*_dev_command(), "--port", str(port)]
        self._server = ServerProcess("dagster-dev", command, self.home, surroundings, if_orphaned="TERM")

    def wait(self) -> None:
        """Wait until the webserver answers.

        Raises
        ------
        ServerError
            If it does not in good time.
        """
        try:
            self._server.wait_until(self._answers, _STARTS_WITHIN_SECONDS)
        except BaseException:
            self.stop()
            raise

    def wait_idle(self) -> None:
        """Wait until no run and no backfill is under way: a page of the UI looks for news four times a minute only."""
        self._server.wait_until(lambda: self._ask(_UNDER_WAY) == _NOTHING, _ENDS_WITHIN_SECONDS)

    def stop(self) -> None:
        """End webserver, daemon and code server."""
        self._server.stop(seconds=30)

    def log_tail(self) -> str:
        """Return the end of what it wrote."""
        return self._server.log_tail()

    def _ask(self, query: str) -> Any:
        body = json.dumps({"query": query}).encode()
        request = urllib.request.Request(f"{self.url}/graphql", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["data"]

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.url}/server_info", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False


def instance_home(home: Path) -> Path:
    """Make the instance of ``make dev`` below ``home`` and return its folder."""
    folder = home / ".dagster"
    folder.mkdir(exist_ok=True)
    shutil.copy(CHECKOUT / "deploy" / "dagster.yaml", folder)
    with (folder / "dagster.yaml").open("a") as file:
        # Looks at the queue more often: the tests wait for it.
        file.write("run_queue:\n  dequeue_interval_seconds: 1\n")
    return folder


def _dev_command() -> list[str]:
    """Return the command that ``make dev`` runs, with the paths that it has in the checkout."""
    shown = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", "dev"], cwd=CHECKOUT, capture_output=True, text=True, check=True
    ).stdout
    [line] = [line for line in shown.splitlines() if "dagster dev" in line]
    return [str(CHECKOUT / word) if (CHECKOUT / word).is_file() else word for word in shlex.split(line)]
