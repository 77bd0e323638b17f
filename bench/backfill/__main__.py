"""Time backfills of the demo's whole graph, launched as the UI launches them.

    python -m bench.backfill [--months 6 18] [--into bench/backfill/RESULTS.md]

Each backfill has a lake, an instance and a ``dagster dev`` of its own. Beside it, in the same
environment, ``cltv run`` makes the same months: machines differ, ratios less so. The peak is the
resident memory of the process that makes the months, whatever their number.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
MONTHS = [f"{year}-{month:02d}" for year in (1997, 1998) for month in range(1, 13)][:18]

ASSETS = "query { assetNodes { assetKey { path } } }"
LAUNCH = """mutation ($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) { __typename ... on LaunchBackfillSuccess { backfillId } }
}"""
STATUS = """query ($id: String!) {
  partitionBackfillOrError(backfillId: $id) { ... on PartitionBackfill { status } }
}"""
RUNS = "query { runsOrError { ... on Runs { results { runId status } } } }"
ENDED = ("SUCCESS", "FAILURE", "CANCELED")
MADE = """query ($key: AssetKeyInput!) {
  assetNodeOrError(assetKey: $key) { ... on AssetNode { partitionStats { numMaterialized numFailed } } }
}"""


@dataclass
class Measured:
    """One backfill and the same months by ``cltv run``."""

    months: int
    made_seconds: float
    backfill_seconds: float
    cltv_run_seconds: float
    runs: int
    peak_mib: float


class Ui:
    """``dagster dev`` on the demo, in a folder of its own."""

    def __init__(self, home: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        instance = home / "dagster"
        instance.mkdir()
        shutil.copy(ROOT / "deploy" / "dagster.yaml", instance)
        self.log = (home / "log").open("wb")
        environ = {**os.environ, "DAGSTER_HOME": str(instance), "CLTV_LAKE_URI": str(home / "lake")}
        command = [str(BIN / "dagster"), "dev", "-w", str(ROOT / "workspace.yaml"), "--port", str(self.port)]
        self.process = subprocess.Popen(
            [*command, "--host", "127.0.0.1"], cwd=home, env=environ, stdout=self.log, stderr=self.log,
            start_new_session=True,
        )  # fmt: skip

    def ask(self, query: str, **variables: Any) -> dict[str, Any]:
        """Return the data of a GraphQL answer."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/graphql", body, {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            said: dict[str, Any] = json.load(answer)
        if said.get("errors"):
            raise RuntimeError(said["errors"][0]["message"])
        return dict(said["data"])

    def wait(self) -> list[dict[str, Any]]:
        """Wait until the graph is loaded and return its asset keys."""
        while True:
            try:
                keys = [node["assetKey"] for node in self.ask(ASSETS)["assetNodes"]]
                if keys:
                    return keys
            except (urllib.error.URLError, ConnectionError):
                pass
            time.sleep(0.5)

    def peak_mib(self) -> float:
        """Return the largest peak of the processes below this one that make months."""
        found = [0.0]
        for folder in Path("/proc").iterdir():
            try:
                line = (folder / "cmdline").read_bytes()
                if b"execute_run" in line or b"multiprocessing" in line:
                    status = (folder / "status").read_text()
                    found.append(int(status.split("VmHWM:")[1].split()[0]) / 1024)
            except (OSError, IndexError):
                continue
        return max(found)

    def stop(self) -> None:
        """End it and everything it started."""
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
        self.log.close()


def measure(count: int) -> Measured:
    """Backfill the first ``count`` months, then run them with ``cltv run``."""
    months = MONTHS[:count]
    with tempfile.TemporaryDirectory(prefix="bench-backfill-") as folder:
        home = Path(folder)
        ui = Ui(home)
        try:
            keys = ui.wait()
            began, peak, made = time.monotonic(), 0.0, 0.0
            params = {"assetSelection": keys, "partitionNames": months}
            launched = ui.ask(LAUNCH, params=params)["launchPartitionBackfill"]
            while True:
                status = ui.ask(STATUS, id=launched["backfillId"])["partitionBackfillOrError"]["status"]
                peak = max(peak, ui.peak_mib())
                ended = [run["status"] in ENDED for run in ui.ask(RUNS)["runsOrError"]["results"]]
                if ended and all(ended) and not made:
                    made = time.monotonic() - began
                if status.startswith("COMPLETED"):
                    break
                time.sleep(0.5)
            seconds = time.monotonic() - began
            for key in keys:
                stats = ui.ask(MADE, key={"path": key["path"]})["assetNodeOrError"]["partitionStats"]
                if stats["numMaterialized"] != count:
                    raise RuntimeError(f"{key['path']}: {stats}; {status}")
            runs = len(ui.ask(RUNS)["runsOrError"]["results"])
        finally:
            ui.stop()
        environ = {**os.environ, "DAGSTER_HOME": str(home / "cli"), "CLTV_LAKE_URI": str(home / "lake2")}
        began = time.monotonic()
        subprocess.run(
            [str(BIN / "cltv"), "run", "--to", months[-1]], cwd=home, env=environ, check=True, capture_output=True
        )
        return Measured(count, made or seconds, seconds, time.monotonic() - began, runs, peak)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--months", type=int, nargs="+", default=[6, 18])
    parser.add_argument("--into", type=Path)
    options = parser.parse_args()
    lines = [
        "| Months | All made, s | Backfill done, s | `cltv run`, s | Ratio | Runs | Peak of the run, MiB |",
        "|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for count in options.months:
        one = measure(count)
        lines.append(
            f"| {one.months} | {one.made_seconds:.0f} | {one.backfill_seconds:.0f} | {one.cltv_run_seconds:.0f} "
            f"| {one.made_seconds / one.cltv_run_seconds:.2f} | {one.runs} | {one.peak_mib:.0f} |"
        )
    table = "\n".join(lines)
    print(table)
    if options.into:
        head = "# A backfill from the UI\n\n`python -m bench.backfill --into bench/backfill/RESULTS.md`\n\n"
        options.into.write_text(f"{head}{table}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
