"""Only runs that have no process any more are ended."""

from __future__ import annotations

import json
import time
from pathlib import Path

import dagster as dg
from dagster._core.events import DagsterEvent, DagsterEventType
from dagster._core.storage.tags import GRPC_INFO_TAG

from cltv_assets.cli.deployment.orphaned_runs import end_orphaned_runs


def launched(instance: dg.DagsterInstance, host: str, port: int, status: dg.DagsterRunStatus) -> str:
    """Return the id of a run that was launched now and has come so far."""
    run = instance.create_run_for_job(dg.GraphDefinition("nothing").to_job())
    instance.add_run_tags(run.run_id, {GRPC_INFO_TAG: json.dumps({"host": host, "port": port})})
    kinds = [DagsterEventType.RUN_STARTING]
    if status != dg.DagsterRunStatus.STARTING:
        kinds.append(DagsterEventType.RUN_START)
    if status == dg.DagsterRunStatus.CANCELING:
        kinds.append(DagsterEventType.RUN_CANCELING)
    for kind in kinds:
        instance.report_dagster_event(DagsterEvent(kind.value, run.job_name), run.run_id)
    assert instance.get_run_by_id(run.run_id).status == status
    return run.run_id


def test_runs_of_the_earlier_server_are_ended_and_no_others(tmp_path: Path):
    states = dg.DagsterRunStatus
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        gone = {state: launched(instance, "code", 4000, state) for state in (states.STARTING, states.STARTED)}
        cancelling = launched(instance, "code", 4000, states.CANCELING)
        elsewhere = [
            launched(instance, "other", 4000, states.STARTED),
            launched(instance, "code", 4001, states.STARTED),
        ]
        before = time.time()
        own = [launched(instance, "code", 4000, state) for state in (states.STARTING, states.STARTED)]

        ended = end_orphaned_runs(instance, "code", 4000, before)
        assert set(ended) == {*gone.values(), cancelling}
        for run_id in gone.values():
            assert instance.get_run_by_id(run_id).status == states.FAILURE
        assert instance.get_run_by_id(cancelling).status == states.CANCELED
        for run_id in elsewhere + own:
            assert not instance.get_run_by_id(run_id).is_finished
        assert end_orphaned_runs(instance, "code", 4000, before) == []
