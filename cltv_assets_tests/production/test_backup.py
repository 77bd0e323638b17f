"""A backup taken in the middle of work is whole, and a fresh installation goes on from it."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import tarfile
from pathlib import Path

import pytest
from deltalake import DeltaTable

from cltv_assets_tests.production.client import Client
from cltv_assets_tests.production.local_deployment import DEPLOY, LocalDeployment
from cltv_assets_tests.production.shop import MONTHS, SETTINGS, lines_of
from cltv_assets_tests.production.test_backfill import (
    all_runs,
    storage_options,
    wait_for_a_started_run,
)


def script(
    name: str, deployment: LocalDeployment, folder: Path, *, check: bool = True
) -> subprocess.CompletedProcess[str]:
    surroundings = os.environ | {"CLTV_COMPOSE": deployment.compose_stand_in()}
    return subprocess.run(
        [DEPLOY / name, folder], env=surroundings, check=check, capture_output=True, text=True, timeout=300
    )


@pytest.mark.slow
def test_a_backup_taken_at_work_is_restored(
    deployment: LocalDeployment, operator: Client, shop: Path, server_logs: Path, tmp_path: Path
):
    # A month is being written when the backup is taken.
    known = {run["runId"] for run in all_runs(operator)}
    assert operator.launch(["raw_transactions"], [MONTHS[0]])["__typename"] == "LaunchBackfillSuccess"
    under_way = wait_for_a_started_run(operator, known)
    script("backup", deployment, tmp_path / "backup")
    with tarfile.open(tmp_path / "backup/lake.tar") as archive:
        names = archive.getnames()
    logs = [index for index, name in enumerate(names) if "/_delta_log/" in name]
    assert logs == list(range(len(logs)))
    assert any(name.endswith("report.html") for name in names)

    fresh = LocalDeployment(server_logs / "restored", deployment.store, "restored", SETTINGS.format(data=shop))
    try:
        fresh.start_postgres()
        script("restore", fresh, tmp_path / "backup")

        # The tables are those that the backup was taken of.
        for table in ("raw_transactions", "cltv_predictions"):
            old, new = (
                DeltaTable(f"{where.lake_uri}/{table}", storage_options=storage_options(where)).to_pandas()
                for where in (deployment, fresh)
            )
            assert sorted(new["month"].map(str)) == sorted(old["month"].map(str))
        rows = DeltaTable(f"{fresh.lake_uri}/raw_transactions", storage_options=storage_options(fresh)).count()
        assert rows == sum(map(lines_of, MONTHS))
        # The history, too: the same runs. The one that was under way has no process here and is ended.
        query = "SELECT count(*) FROM runs WHERE run_id <> '{}'"
        counts = [
            where.in_postgres("psql", "-d", "dagster", "-tAc", query.format(under_way)) for where in (deployment, fresh)
        ]
        assert counts[0] == counts[1]
        status = fresh.run_once("code", ["cltv", "status"], check=False, capture_output=True, text=True)
        if status.returncode:
            # The lake is copied after the records: the run under way may have published between the two.
            assert f"raw_transactions of {MONTHS[0]} was published, and Dagster has no record of it" in status.stdout
            assert status.returncode == 1
            command = re.search(r"^To make it again: (.*)$", status.stdout, re.MULTILINE)
            assert command, status.stdout
            fresh.run_once("code", shlex.split(command[1]))
            status = fresh.run_once("code", ["cltv", "status"], check=False, capture_output=True, text=True)
        assert status.returncode == 0, status.stdout + status.stderr
        assert f"All {len(MONTHS)} months are in order." in status.stdout

        # A second restore is refused: the lake is not empty any more.
        again = script("restore", fresh, tmp_path / "backup", check=False)
        assert again.returncode != 0
        assert "holds something already" in again.stderr
    finally:
        fresh.close()
