"""The private doors into Dagster still lead where they did."""

# No `from __future__ import annotations` here: Dagster reads the annotation of the context as a class.

import contextlib
import re
import sqlite3
from collections import defaultdict
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import sqlalchemy as sa
from dagster._core.storage import tags
from dagster._core.storage.event_log.sqlite import sqlite_event_log
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.runs.sqlite import sqlite_run_storage

from cltv_assets.cli.deployment import orphaned_runs
from cltv_assets.dagster_defs import instance_state
from cltv_assets.dagster_defs.automation import landed
from cltv_assets.dagster_defs.executor import cltv_executor
from cltv_assets.dagster_defs.instance import open_instance
from cltv_assets.settings import Settings

KEYS = ["1997-01", "1997-02", "1997-03"]
PARTITIONS = dg.StaticPartitionsDefinition(KEYS)


@dg.asset(
    partitions_def=PARTITIONS,
    check_specs=[dg.AssetCheckSpec("looked_at", asset="made")],
    backfill_policy=dg.BackfillPolicy.single_run(),
)
def made(context: dg.AssetExecutionContext) -> Any:
    if "1997-03" in context.partition_keys:
        raise dg.Failure("on purpose", allow_retries=False)
    yield dg.AssetCheckResult(passed=True, check_name="looked_at", metadata={"shown": "| customer 17850 |"})
    for key in context.partition_keys:
        yield dg.AssetMaterialization("made", partition=key)
    yield dg.MaterializeResult(metadata=instance_state.RECORDED)


def test_an_output_that_says_so_is_not_recorded_again() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        tags_of_range = {
            "dagster/asset_partition_range_start": KEYS[0],
            "dagster/asset_partition_range_end": KEYS[1],
        }
        assert dg.materialize([made], instance=instance, tags=tags_of_range).success
        found = instance.fetch_materializations(dg.AssetKey("made"), limit=10).records
        assert sorted(str(record.partition_key) for record in found) == KEYS[:2]


def test_attempts_in_vain_name_their_run() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        assert dg.materialize([made], instance=instance, partition_key=KEYS[0]).success
        failed = dg.materialize([made], instance=instance, partition_key=KEYS[2], raise_on_error=False)
        assert not failed.success
        found = instance_state.attempts_in_vain(instance, dg.AssetKey("made"))
        assert {key: run_id for key, (run_id, _) in found.items()} == {KEYS[2]: failed.run_id}


def test_recorded_events_can_be_found_and_rewritten() -> None:
    with open_instance(Settings()) as instance:
        assert dg.materialize([made], instance=instance, partition_key=KEYS[0]).success
        assert instance_state.is_sql(instance)

        def without(_asset: str | None, event: Any) -> Any:
            return {"taken": "out"} if "customer 17850" in str(event) else None

        changed = 0
        for connect, _file in instance_state.event_databases(instance):
            with connect() as connection:
                changed += instance_state.rewrite_events(connection, without)
        # The check's event stands in the run's own file, and its evaluation in the index.
        assert changed >= 2
        for connect, _file in instance_state.event_databases(instance):
            with connect() as connection:
                assert instance_state.rewrite_events(connection, without) == 0


@dg.asset(partitions_def=PARTITIONS, deps=["made"], check_specs=[dg.AssetCheckSpec("looked_at", asset="later")])
def later() -> Any:
    yield dg.AssetCheckResult(passed=True)
    yield dg.MaterializeResult()


def made_and_later() -> dg.JobDefinition:
    definitions = dg.Definitions([made, later], jobs=[dg.define_asset_job("both")], executor=cltv_executor)
    return definitions.resolve_job_def("both")


def plans(instance: dg.DagsterInstance) -> dict[str, list[str]]:
    """Return the statuses of all recorded executions of the two checks."""
    found = {}
    for name in ("made", "later"):
        key = dg.AssetCheckKey(dg.AssetKey(name), "looked_at")
        records = instance.event_log_storage.get_asset_check_execution_history(key, limit=10)
        found[name] = [record.status.value for record in records]
    return found


def in_files(_home: Path) -> Any:
    return open_instance(Settings())


def in_memory(_home: Path) -> Any:
    return dg.DagsterInstance.ephemeral()


def uncalmed(home: Path) -> Any:
    return dg.DagsterInstance.local_temp(str(home))


@pytest.mark.parametrize("opened", [in_files, in_memory, uncalmed])
def test_a_check_that_a_failed_run_did_not_reach_is_no_failed_check(opened: Any, tmp_path: Path) -> None:
    with opened(tmp_path) as instance:
        job = made_and_later()
        assert job.execute_in_process(instance=instance, partition_key=KEYS[0]).success
        failed = job.execute_in_process(instance=instance, partition_key=KEYS[2], raise_on_error=False)
        assert not failed.success
        other = job.execute_in_process(instance=instance, partition_key=KEYS[2], raise_on_error=False)
        assert plans(instance) == {name: ["PLANNED", "PLANNED", "SUCCEEDED"] for name in ("made", "later")}
        assert instance_state.forget_checks_not_run(instance, failed.run_id) == 2
        # Neither what was evaluated goes, nor the plan of a run that may still be at it.
        assert plans(instance) == {name: ["PLANNED", "SUCCEEDED"] for name in ("made", "later")}
        assert instance_state.forget_checks_not_run(instance, other.run_id) == 2
        assert instance_state.forget_checks_not_run(instance, other.run_id) == 0
        assert plans(instance) == {"made": ["SUCCEEDED"], "later": ["SUCCEEDED"]}


def test_a_run_of_our_executor_takes_its_unreached_checks_back() -> None:
    with open_instance(Settings()) as instance:
        job = dg.reconstructable(made_and_later)
        for key in (KEYS[0], KEYS[2]):
            dg.execute_job(job, instance, tags={"dagster/partition": key}).__enter__()
        assert {run.status.value for run in instance.get_runs()} == {"SUCCESS", "FAILURE"}
        assert plans(instance) == {"made": ["SUCCEEDED"], "later": ["SUCCEEDED"]}


def test_the_storages_are_dagsters_own_again_afterwards() -> None:
    own = SqliteEventLogStorage.store_event
    with open_instance(Settings()):
        # The names that are replaced must exist, or months run slowly without a word.
        assert sqlite_event_log.create_engine is not sa.create_engine
        assert sqlite_run_storage.create_engine is not sa.create_engine
        assert SqliteEventLogStorage.store_event is not own
    assert SqliteEventLogStorage.store_event is own
    assert sqlite_event_log.create_engine is sa.create_engine
    assert sqlite_run_storage.create_engine is sa.create_engine


def stored(home: Path) -> dict[str, list[list[Any]]]:
    """Return what a run left in Dagster's databases, without what differs from run to run."""
    found: dict[str, list[list[Any]]] = defaultdict(list)
    for database in sorted((home / "history" / "runs").glob("*.db")):
        with contextlib.closing(sqlite3.connect(database)) as connection:
            for (table,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                rows = connection.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()
                name = "index" if database.stem == "index" else "run"
                # A run's file is called by its id.
                found[f"{name}.{table}"] += [[_lasting(value) for value in row] for row in rows]
    return {name: sorted(rows, key=repr) for name, rows in found.items()}


def _lasting(value: Any) -> Any:
    run_id = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    log, time = r'(?<="log_key": ")\w+', r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[.\d]*|\d+(\.\d+)?ms|\d+\.\d+s?"
    return re.sub(rf"{run_id}|{log}|{time}", "…", value) if isinstance(value, str) else value


def test_events_are_stored_as_dagster_stores_them(tmp_path: Path) -> None:
    homes = tmp_path / "ours", tmp_path / "dagsters"
    calm: Any
    for home, calm in zip(homes, (instance_state.calm_sqlite, contextlib.nullcontext), strict=True):
        home.mkdir()
        with calm(), dg.DagsterInstance.local_temp(str(home)) as instance:
            assert dg.materialize([made], instance=instance, partition_key=KEYS[0]).success
            assert dg.materialize([made], instance=instance, partition_key=KEYS[0]).success
            assert not dg.materialize([made], instance=instance, partition_key=KEYS[2], raise_on_error=False).success
    ours, dagsters = map(stored, homes)
    assert ours == dagsters
    assert {name for name, rows in ours.items() if rows} >= {
        "run.event_logs", "index.event_logs", "index.asset_keys", "index.asset_check_executions",
    }  # fmt: skip


def test_a_backfill_keeps_few_databases_of_past_runs_open(tmp_path: Path) -> None:
    with instance_state.calm_sqlite(), dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        for _ in range(12):
            assert dg.materialize([made], instance=instance, partition_key=KEYS[0]).success
        opened = {file.resolve().stem for file in Path("/proc/self/fd").iterdir()}
        runs = {run.run_id for run in instance.get_runs()}
        assert len(runs) == 12
        assert 1 <= len(runs & opened) <= 8


@pytest.mark.parametrize(
    ("ours", "dagsters"),
    [
        (landed._PARTITION, tags.PARTITION_NAME_TAG),
        (landed._FIRST, tags.ASSET_PARTITION_RANGE_START_TAG),
        (landed._LAST, tags.ASSET_PARTITION_RANGE_END_TAG),
        (orphaned_runs._GRPC_INFO, tags.GRPC_INFO_TAG),
        ("dagster/will_retry", tags.WILL_RETRY_TAG),
    ],
)
def test_tags_of_runs_are_called_as_here(ours: str, dagsters: str) -> None:
    assert ours == dagsters
