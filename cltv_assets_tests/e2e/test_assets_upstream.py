"""A workspace of two code locations: the user's own asset makes the files, and the graph reads them."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from cltv_assets_tests.e2e.running import surroundings, write_config

#: Its partitions are of another time zone than the shop's.
NEW_YORK, LONDON = "America/New_York", "Europe/London"
WAREHOUSE = """
from pathlib import Path
import dagster as dg

MONTHS = dg.MonthlyPartitionsDefinition("2011-01-01", timezone="America/New_York")

@dg.asset(key=["dbt", "orders"], partitions_def=MONTHS)
def orders(context: dg.AssetExecutionContext) -> None:
    month = context.partition_key[:7]
    lines = (f"{n},c{n},{month}-15 10:00:00,1,{n + 1}.00" for n in range(40))
    Path(__file__).with_name("shop").joinpath(f"{month}.csv").write_text(
        "\\n".join(["invoice,customer,time,quantity,price", *lines])
    )

defs = dg.Definitions([orders])
"""
#: One run makes all its days, or the whole.
DAYS = 'dg.DailyPartitionsDefinition("2011-01-01", end_date="2011-03-01", timezone="{zone}")'
OTHER_WAREHOUSE = """
from pathlib import Path
import dagster as dg

PARTITIONS = {partitions}

@dg.asset(key=["dbt", "orders"], partitions_def=PARTITIONS, backfill_policy=dg.BackfillPolicy.single_run())
def orders(context: dg.AssetExecutionContext) -> None:
    for month in {{day[:7] for day in context.partition_keys}} if PARTITIONS else ("2011-01", "2011-02"):
        lines = (f"{{n}},c{{n}},{{month}}-15 10:00:00,1,{{n + 1}}.00" for n in range(40))
        Path(__file__).with_name("shop").joinpath(f"{{month}}.csv").write_text(
            "\\n".join(["invoice,customer,time,quantity,price", *lines])
        )

defs = dg.Definitions([orders])
"""
JANUARY = [f"2011-01-{day:02}" for day in range(1, 32)]
RAW, ORDERS = dg.AssetKey("raw_transactions"), dg.AssetKey(["dbt", "orders"])
LAUNCH = """mutation ($p: ExecutionParams!) { launchRun(executionParams: $p) {
    __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
BACKFILL = """mutation ($p: LaunchBackfillParams!) { launchPartitionBackfill(backfillParams: $p) {
    __typename ... on LaunchBackfillSuccess { backfillId } ... on PythonError { message } } }"""


class Workspace:
    """Two code locations, an instance in files, and a daemon.

    Parameters
    ----------
    home : Path
        An empty folder.
    warehouse : str
        The code of the other location.
    source : dict
        What the settings say of its asset.
    """

    def __init__(self, home: Path, warehouse: str, source: dict[str, str]) -> None:
        self.home = home
        config = write_config(home, end_month="2011-02", source={"asset_key": "dbt/orders", **source})
        (home / "shop").mkdir()
        (home / "warehouse.py").write_text(warehouse)
        locations = [
            {"python_file": {"relative_path": "warehouse.py", "location_name": "warehouse"}},
            {"python_module": {"module_name": "cltv_assets.definitions", "location_name": "cltv"}},
        ]
        (home / "workspace.yaml").write_text(yaml.safe_dump({"load_from": locations}))
        (home / "instance").mkdir()
        (home / "instance" / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
        self.environ = surroundings({"DAGSTER_HOME": str(home / "instance"), "CLTV_CONFIG": str(config)})
        self.instance = dg.DagsterInstance.from_config(str(home / "instance"))

    def process(self, command: str, *arguments: str) -> subprocess.Popen[str]:
        """Start one of Dagster's commands on the workspace."""
        executable = str(Path(sys.executable).with_name(command))
        with (self.home / f"{command}.log").open("w") as log:
            return subprocess.Popen(
                [executable, *arguments], cwd=self.home, env=self.environ, stdout=subprocess.PIPE, stderr=log, text=True
            )

    def ask(self, mutation: str, params: dict[str, Any]) -> str:
        """Ask what the UI asks, and return the kind of answer."""
        variables = json.dumps({"p": params})
        said = self.process("dagster-graphql", "-w", "workspace.yaml", "-t", mutation, "-v", variables)
        text, _ = said.communicate(timeout=180)
        (answer,) = json.loads(next(line for line in text.splitlines() if line.startswith('{"')))["data"].values()
        return str(answer.get("message") or answer["__typename"])

    def wait(self, runs: int) -> None:
        """Wait until so many runs have succeeded."""
        end = time.monotonic() + 240
        while time.monotonic() < end:
            found = [run.status for run in self.instance.get_runs()]
            assert dg.DagsterRunStatus.FAILURE not in found
            if found.count(dg.DagsterRunStatus.SUCCESS) == runs:
                return
            time.sleep(0.5)
        raise AssertionError((self.home / "dagster-daemon.log").read_text()[-3000:])

    def run_backfills(self, runs: int) -> None:
        """Run the daemon until so many runs have succeeded.

        It looks for backfills as it starts, and then every half minute.
        """
        daemon = self.process("dagster-daemon", "run", "-w", "workspace.yaml")
        try:
            self.wait(runs)
        finally:
            daemon.terminate()
            daemon.communicate(timeout=120)


@contextlib.contextmanager
def workspace(home: Path, warehouse: str, **source: str) -> Iterator[Workspace]:
    opened = Workspace(home, warehouse, source)
    yield opened
    opened.instance.dispose()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("partitions", "source", "chosen", "made"),
    [
        # "Materialize all" of both graphs.
        (DAYS.format(zone=NEW_YORK), {"asset_partitions": "daily"}, {"allPartitions": True}, {"2011-01", "2011-02"}),
        ("None", {}, {"allPartitions": True}, {"2011-01", "2011-02"}),
        # Days of the parent are chosen, and their month follows.
        (
            DAYS.format(zone=LONDON),
            {"asset_partitions": "daily", "asset_time_zone": LONDON},
            {"partitionNames": JANUARY},
            {"2011-01"},
        ),
    ],
)
def test_a_backfill_of_both_makes_what_is_upstream_and_then_the_months(
    tmp_path: Path, partitions: str, source: dict[str, str], chosen: dict[str, Any], made: set[str]
) -> None:
    with workspace(tmp_path, OTHER_WAREHOUSE.format(partitions=partitions), **source) as both:
        backfill = {"assetSelection": [{"path": ORDERS.path}, {"path": RAW.path}], **chosen}
        assert both.ask(BACKFILL, backfill) == "LaunchBackfillSuccess"
        both.run_backfills(runs=2)
        assert both.instance.get_materialized_partitions(RAW) == made
        records = both.instance.fetch_materializations(ORDERS, limit=100).records
        assert {record.partition_key[:7] for record in records if record.partition_key} == (
            made if "Daily" in partitions else set()
        )
        newest = both.instance.fetch_materializations(RAW, limit=1).records[0].storage_id
        assert max(record.storage_id for record in records) < newest


@pytest.mark.slow
def test_the_ui_launches_months_below_an_asset_of_another_location(tmp_path: Path) -> None:
    with workspace(tmp_path, WAREHOUSE, asset_partitions="monthly") as opened:
        _launch_both_ways(opened)


def _launch_both_ways(workspace: Workspace) -> None:
    orders = ("asset", "materialize", "--select", "dbt/orders", "--partition", "2011-01-01", "-f", "warehouse.py")
    assert workspace.process("dagster", *orders).wait(timeout=180) == 0

    backfill = {"assetSelection": [{"path": RAW.path}], "partitionNames": ["2011-01"]}
    assert workspace.ask(BACKFILL, backfill) == "LaunchBackfillSuccess"
    one = {
        "mode": "default",
        "executionMetadata": {"tags": [{"key": "dagster/partition", "value": "2011-01"}]},
        "runConfigData": "{}",
        "selector": {
            "repositoryLocationName": "cltv",
            "repositoryName": "__repository__",
            "pipelineName": "__ASSET_JOB",
            "assetSelection": [{"path": RAW.path}],
        },
    }
    assert workspace.ask(LAUNCH, one) == "LaunchRunSuccess"

    workspace.run_backfills(runs=3)
    records = workspace.instance.fetch_materializations(RAW, limit=10).records
    assert [record.partition_key for record in records] == ["2011-01", "2011-01"]
    assert workspace.instance.get_materialized_partitions(ORDERS) == {"2011-01-01"}
