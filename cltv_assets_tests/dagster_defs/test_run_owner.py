"""Only runs of the command line whose process is gone are ended."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.events import DagsterEvent, DagsterEventType
from dagster._core.storage.tags import MAX_RETRIES_TAG, WILL_RETRY_TAG

from cltv_assets.dagster_defs.automation.alerts import causes_of
from cltv_assets.dagster_defs.build import MONTH_JOB as JOB
from cltv_assets.dagster_defs.instance import dagster_home, open_instance
from cltv_assets.dagster_defs.run_owner import OWNER, end_killed_runs, killed_runs_sensor, owner_tags
from cltv_assets.settings import Settings

KEYS = dg.StaticPartitionsDefinition(["1997-01", "1997-02"])

#: A process that dies in the middle of a month.
DYING = """
import os, signal
import dagster as dg
from cltv_assets.dagster_defs.automation.alerts import causes_of
from cltv_assets.dagster_defs.instance import open_instance
from cltv_assets.dagster_defs.run_owner import owner_tags
from cltv_assets.settings import Settings

@dg.asset(
    partitions_def=dg.StaticPartitionsDefinition(["1997-01", "1997-02"]),
    check_specs=[dg.AssetCheckSpec("looked_at", asset="made")],
)
def made():
    os.kill(os.getpid(), signal.SIGKILL)

with open_instance(Settings()) as instance:
    dg.materialize([made], partition_key="1997-01", instance=instance, tags=owner_tags(instance))
"""


def kill_a_run() -> None:
    done = subprocess.run([sys.executable, "-c", DYING], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr


def started(instance: dg.DagsterInstance, tags: dict[str, str], **again: str) -> str:
    run = instance.create_run_for_job(dg.GraphDefinition("nothing").to_job(), tags=tags, **again)
    instance.report_dagster_event(DagsterEvent(DagsterEventType.RUN_START.value, run.job_name), run.run_id)
    return run.run_id


def shown(instance: dg.DagsterInstance) -> str | None:
    """Return what the UI shows of the month."""
    found = instance.get_status_by_partition(dg.AssetKey("made"), ["1997-01"], KEYS)
    assert found is not None
    return found["1997-01"].value if found["1997-01"] is not None else None


def status(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


def test_the_next_command_ends_a_killed_run_and_nothing_is_left_in_progress() -> None:
    settings = Settings()
    kill_a_run()
    # A plain instance, as the UI has it.
    with dg.DagsterInstance.from_config(str(dagster_home(settings))) as instance:
        (run,) = instance.get_runs()
        assert run.status == dg.DagsterRunStatus.STARTED
        assert shown(instance) == "IN_PROGRESS"
    with open_instance(settings) as instance:
        (ended,) = instance.get_runs()
        assert ended.status == dg.DagsterRunStatus.FAILURE
        # The daemon knows no code location in which to try it again.
        assert ended.tags[MAX_RETRIES_TAG] == "0"
        assert ended.tags.get(WILL_RETRY_TAG) != "true"
        assert "The process that ran this was killed" in causes_of(instance, ended.run_id)[0]
        assert shown(instance) == "FAILED"
        # Its file is gone, and this process has made none.
        assert list((dagster_home(settings) / "running").iterdir()) == []


def test_the_sensor_ends_it_while_nobody_gives_commands() -> None:
    settings = Settings()
    kill_a_run()
    with dg.DagsterInstance.from_config(str(dagster_home(settings))) as instance:
        (run,) = instance.get_runs()
        sensor = killed_runs_sensor(settings, JOB, ())
        said = sensor(dg.build_sensor_context(instance=instance))
        assert isinstance(said, dg.SkipReason)
        assert said.skip_message == f"Marked as failed: {run.run_id}."
        assert status(instance, run.run_id) == dg.DagsterRunStatus.FAILURE
        # Once: it is not reported again.
        said = sensor(dg.build_sensor_context(instance=instance))
        assert isinstance(said, dg.SkipReason)
        assert said.skip_message == "No run lost its process."
        assert len(causes_of(instance, run.run_id)) == 1


def test_the_sensor_takes_back_the_checks_that_a_killed_run_of_the_daemon_planned() -> None:
    @dg.asset(check_specs=[dg.AssetCheckSpec("looked_at", asset="made")])
    def made() -> Any:
        yield dg.MaterializeResult()

    looked_at = dg.AssetCheckKey(dg.AssetKey("made"), "looked_at")
    settings = Settings()
    sensor = killed_runs_sensor(settings, JOB, {dg.AssetKey("made")})
    with open_instance(settings) as instance:

        def planned_and_killed(name: str) -> None:
            """Leave what a run of the daemon does, once its monitor has found its process gone."""
            job = dg.Definitions([made], jobs=[dg.define_asset_job(name)]).resolve_job_def(name)
            run = instance.create_run_for_job(job)
            instance.report_run_failed(run, "The process is gone.")

        def planned() -> int:
            return len(instance.event_log_storage.get_asset_check_execution_history(looked_at, limit=9))

        planned_and_killed(JOB)
        planned_and_killed("of_others")
        assert planned() == 2
        context = dg.build_sensor_context(instance=instance)
        sensor(context)
        assert planned() == 1
        # Later ones too, and nothing is looked at twice.
        planned_and_killed(JOB)
        again = dg.build_sensor_context(instance=instance, cursor=context.cursor)
        sensor(again)
        assert planned() == 1
        assert int(again.cursor or 0) > int(context.cursor or 0) > 0
        sensor(last := dg.build_sensor_context(instance=instance, cursor=again.cursor))
        assert last.cursor == again.cursor


def test_the_place_of_a_killed_run_in_a_pool_is_free_at_once() -> None:
    with open_instance(Settings()) as instance:
        run_id = started(instance, {OWNER: json.dumps(tag_of_the_dead(instance))})
        storage = instance.event_log_storage
        storage.set_concurrency_slots("pool", 1)
        storage.claim_concurrency_slot("pool", run_id, "step")
        assert storage.get_concurrency_info("pool").active_slot_count == 1
        assert end_killed_runs(instance) == [run_id]
        assert storage.get_concurrency_info("pool").active_slot_count == 0


def test_runs_that_may_live_are_left_alone(tmp_path: Path) -> None:
    with open_instance(Settings()) as instance:
        own = owner_tags(instance)
        assert own == owner_tags(instance)
        mine = json.loads(own[OWNER])
        assert (mine["host"], mine["pid"]) == (socket.gethostname(), os.getpid())
        gone = tag_of_the_dead(instance)
        alone = [
            started(instance, own),
            started(instance, {}),
            started(instance, {OWNER: "not ours"}),
            started(instance, {OWNER: json.dumps(gone | {"host": "another"})}),
            # The same database, used by an instance of another folder.
            started(instance, {OWNER: json.dumps(gone | {"file": str(tmp_path / "running" / "x.lock")})}),
        ]
        dead = started(instance, {OWNER: json.dumps(gone)})
        # The UI starts it again, with its tags.
        alone.append(started(instance, {OWNER: json.dumps(gone)}, root_run_id=dead, parent_run_id=dead))
        assert end_killed_runs(instance) == [dead]
        assert {status(instance, run_id) for run_id in alone} == {dg.DagsterRunStatus.STARTED}
        assert Path(mine["file"]).exists()


def test_runs_that_nobody_else_sees_have_no_owner() -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        assert owner_tags(instance) == {}
        assert end_killed_runs(instance) == []


def tag_of_the_dead(instance: dg.DagsterInstance) -> dict[str, Any]:
    """Return the tag of a process that was killed, with its file."""
    file = Path(instance.root_directory).resolve() / "running" / "of-a-dead-one.lock"
    file.parent.mkdir(exist_ok=True)
    file.touch()
    return {"host": socket.gethostname(), "file": str(file), "pid": 1, "since": 0}
