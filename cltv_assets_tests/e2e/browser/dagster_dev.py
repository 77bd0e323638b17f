"""``make dev`` on a made-up shop: its own command line, instance, lake and port."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

from cltv_assets_tests.cluster.server_process import ServerProcess, free_port

CHECKOUT = Path(__file__).parents[3]
_STARTS_WITHIN_SECONDS = 180


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

    def stop(self) -> None:
        """End webserver, daemon and code server."""
        self._server.stop(seconds=30)

    def log_tail(self) -> str:
        """Return the end of what it wrote."""
        return self._server.log_tail()

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
    return folder


def _dev_command() -> list[str]:
    """Return the command that ``make dev`` runs, with the paths that it has in the checkout."""
    shown = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", "dev"], cwd=CHECKOUT, capture_output=True, text=True, check=True
    ).stdout
    [line] = [line for line in shown.splitlines() if "dagster dev" in line]
    return [str(CHECKOUT / word) if (CHECKOUT / word).is_file() else word for word in shlex.split(line)]
