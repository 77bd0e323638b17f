"""A run's process is killed between a table's commit and Dagster's record of it, where PostgreSQL holds it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator

import psycopg2
import pytest
from deltalake import DeltaTable

from cltv_assets_tests.cluster.server_process import wait_until
from cltv_assets_tests.production.client import Client
from cltv_assets_tests.production.local_deployment import LocalDeployment
from cltv_assets_tests.production.shop import MONTHS
from cltv_assets_tests.production.test_backfill import all_runs, storage_options

MADE = ("raw_transactions", "cleaned_transactions", "rejected_transactions", "purchase_days")
#: Waits for a lock that the test has, instead of recording that a table is published.
HOLD = """
CREATE FUNCTION held() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN PERFORM pg_advisory_xact_lock(1); RETURN NEW; END $$;
CREATE TRIGGER held BEFORE INSERT ON event_logs FOR EACH ROW
  WHEN (NEW.dagster_event_type = 'ASSET_MATERIALIZATION' AND NEW.asset_key = '["purchase_days"]')
  EXECUTE FUNCTION held();
"""
HELD = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
#: What a run planned to check and never did is no result of the check.
PLANS = "SELECT count(*) FROM asset_check_executions WHERE execution_status = 'PLANNED' AND run_id = %s"


@contextlib.contextmanager
def held(deployment: LocalDeployment) -> Iterator[psycopg2.extensions.cursor]:
    """Keep runs from recording that they have published ``purchase_days``."""
    password = (deployment.secrets / "postgres_password").read_text().strip()
    with contextlib.closing(
        psycopg2.connect(
            host="127.0.0.1", port=deployment.ports["postgres"], user="dagster", dbname="dagster", password=password
        )
    ) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute(HOLD)
        cursor.execute("SELECT pg_advisory_lock(1)")
        try:
            yield cursor
        finally:
            cursor.execute("SELECT pg_advisory_unlock(1)")
            cursor.execute("DROP TRIGGER held ON event_logs; DROP FUNCTION held")


def state_of(run_id: str, operator: Client) -> str:
    return next(str(run["status"]) for run in all_runs(operator) if run["runId"] == run_id)


def retry_of(run_id: str, operator: Client) -> str | None:
    return next((str(run["runId"]) for run in all_runs(operator) if run["parentRunId"] == run_id), None)


def one(cursor: psycopg2.extensions.cursor, query: str, *given: str) -> int:
    cursor.execute(query, given)
    (found,) = cursor.fetchone() or (0,)
    return int(found)


def rows(deployment: LocalDeployment) -> dict[str, list[str]]:
    """Return the month's rows of each table."""
    found, options = {}, storage_options(deployment)
    for name in MADE:
        lines = DeltaTable(f"{deployment.lake_uri}/{name}", storage_options=options).to_pyarrow_table().to_pylist()
        found[name] = sorted(repr(row) for row in lines if f"{row['month']:%Y-%m}" == MONTHS[0])
    return found


def cltv(deployment: LocalDeployment, *words: str) -> subprocess.CompletedProcess[str]:
    answer: subprocess.CompletedProcess[str] = deployment.run_once(
        "code", ["cltv", *words], check=False, capture_output=True, text=True
    )
    return answer


@pytest.mark.slow
def test_a_run_that_was_killed_before_its_record_is_named_and_made_again(deployment: LocalDeployment, operator: Client):
    first = operator.run_month(MADE, MONTHS[0])
    wait_until(lambda: state_of(first, operator) == "SUCCESS", 240, "an undamaged run")
    undamaged = rows(deployment)
    with held(deployment) as cursor:
        killed = operator.run_month(MADE, MONTHS[0])
        wait_until(lambda: one(cursor, HELD) == 1, 240, "the run has published purchase_days")
        for process in deployment.run_processes():
            os.kill(process, signal.SIGKILL)
        wait_until(lambda: state_of(killed, operator) == "FAILURE", 60, "the code server notices")
        said = cltv(deployment, "status", "--month", MONTHS[0])
        assert said.returncode != 0
        assert f"purchase_days of {MONTHS[0]} was published, and Dagster has no record of it" in said.stdout
        assert rows(deployment) == undamaged
    # The daemon tries it again, and nobody has to do anything.
    wait_until(lambda: retry_of(killed, operator) is not None, 60, "a retry")
    again = retry_of(killed, operator)
    assert again is not None
    wait_until(lambda: state_of(again, operator) == "SUCCESS", 240, "the retry succeeds")
    assert "no record of it" not in cltv(deployment, "status", "--month", MONTHS[0]).stdout
    assert cltv(deployment, "verify", "--month", MONTHS[0]).returncode == 0
    assert rows(deployment) == undamaged
