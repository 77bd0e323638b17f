"""Ends the runs of killed commands, which Dagster would show as started for ever.

Dagster's own monitoring watches the runs that it launched. Those of the command line it did
not, and a killed one would hold a place among the runs that the queue lets run at once. So
each process that runs months holds a lock on a file in the instance's folder, and its runs
name that file in a tag. A run whose file nobody holds any more has no process.
"""

from __future__ import annotations

import json
import os
import socket
import threading
import time
import uuid
import weakref
from collections.abc import Collection
from pathlib import Path
from typing import IO

import dagster as dg

from cltv_assets.dagster_defs.instance_state import forget_checks_not_run, free_slots
from cltv_assets.dagster_defs.naming import Names
from cltv_assets.errors import ConfigError
from cltv_assets.files.locks import hold, hold_if_free
from cltv_assets.settings import Settings

#: Tag of a run: the host, the file and the process that it runs in.
OWNER = "cltv/owner"
#: Plain name; ``Names`` adds the prefix.
KILLED_RUNS_SENSOR = "cltv_killed_runs"

_INTERVAL = 30
#: The most failed runs that a tick looks at; the next one looks at the others.
_FAILURES = 50
_MESSAGE = (
    "The process that ran this was killed. If nobody did that, memory ran out: lower duckdb_memory_limit, or give the "
    "machine or the container more. Nothing of a month that it had not published is seen by readers."
)
#: The daemon could not try such a run again: it knows no code location of it.
_NO_RETRIES = {"dagster/max_retries": "0"}
_UNFINISHED = (
    dg.DagsterRunStatus.NOT_STARTED,
    dg.DagsterRunStatus.STARTING,
    dg.DagsterRunStatus.STARTED,
    dg.DagsterRunStatus.CANCELING,
)

_guard = threading.Lock()


class _Owner:
    """The file that this process holds for the runs of one instance."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self.pid = os.getpid()
        self.file = folder / f"{uuid.uuid4().hex}.lock"
        self._finalizer = weakref.finalize(self, _let_go, self.file, hold(self.file), self.pid)
        self.tag = json.dumps(
            {"host": socket.gethostname(), "file": str(self.file), "pid": self.pid, "since": int(time.time())}
        )


_owners: dict[Path, _Owner] = {}


def owner_tags(instance: dg.DagsterInstance) -> dict[str, str]:
    """Return the tags for runs in this process, which show whether it still lives.

    Parameters
    ----------
    instance : DagsterInstance
        Where the runs are recorded; one that nobody else sees needs no tags.

    Raises
    ------
    ConfigError
        If the instance's folder cannot be written.
    """
    if not instance.is_persistent:
        return {}
    folder = _folder(instance)
    with _guard:
        owner = _owners.get(folder)
        if owner is None or owner.pid != os.getpid() or not owner.file.exists():
            try:
                owner = _owners[folder] = _Owner(folder)
            except OSError as error:
                raise unwritable(folder, error.strerror or str(error)) from None
        return {OWNER: owner.tag} | _NO_RETRIES


def unwritable(home: Path, reason: str) -> ConfigError:
    """Return what to say of an instance's folder that is full or read-only."""
    return ConfigError(
        f"Dagster's folder {home} cannot be written: {reason}.",
        "Make room there and look at its rights, or set DAGSTER_HOME to a folder that can.",
    )


def end_killed_runs(instance: dg.DagsterInstance) -> list[str]:
    """Mark the runs of processes that no longer live as failed.

    Runs without the tag, of other hosts, and of another folder with the same database are left alone.

    Parameters
    ----------
    instance : DagsterInstance
        Where the runs are recorded.

    Returns
    -------
    list of str
        The ids of those runs.
    """
    folder = _folder(instance)
    if not instance.is_persistent or not folder.is_dir():
        return []
    # Held until their runs are ended, so that two commands do not end them twice.
    dead = {str(file): lock for file in folder.glob("*.lock") if (lock := hold_if_free(file)) is not None}
    try:
        ended = []
        for run in instance.get_runs(filters=dg.RunsFilter(statuses=_UNFINISHED)):
            file = _named_file(run, folder)
            # A process that ended by itself has deleted its file.
            if file is None or (file not in dead and Path(file).exists()):
                continue
            # Another command may have ended it since it was listed.
            if (now := instance.get_run_by_id(run.run_id)) is not None and not now.is_finished:
                report_ended(instance, now, _MESSAGE)
                free_slots(instance, run.run_id)
                ended.append(run.run_id)
        for file in dead:
            Path(file).unlink(missing_ok=True)
        return ended
    finally:
        for lock in dead.values():
            lock.close()


def report_ended(instance: dg.DagsterInstance, run: dg.DagsterRun, message: str) -> None:
    """Record the end of a run that has no process: as failed, or as cancelled where that was under way."""
    if run.status == dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run, message)
    else:
        instance.report_run_failed(run, message)
    forget_checks_not_run(instance, run.run_id)


def is_of_graph(run: dg.DagsterRun, job: str, keys: Collection[dg.AssetKey], location: str | None) -> bool:
    """Return whether a run makes or checks something of a graph.

    Parameters
    ----------
    run : DagsterRun
        The run.
    job : str
        Name of the job that makes a month.
    keys : collection of AssetKey
        The graph's assets.
    location : str or None
        Name of the graph's code location.
    """
    origin = run.remote_job_origin
    if origin is not None and location is not None and origin.location_name != location:
        return False
    assets = set(run.asset_selection or ()) | {check.asset_key for check in run.asset_check_selection or ()}
    return run.job_name == job or not assets.isdisjoint(keys)


def tidy_failed_runs(
    instance: dg.DagsterInstance, job: str, keys: Collection[dg.AssetKey], location: str | None, after: int | None
) -> int:
    """Take back the checks that failed runs planned and never reached, which a killed one could not do itself.

    Parameters
    ----------
    instance : DagsterInstance
        Where the runs are recorded.
    job, keys, location
        As `is_of_graph` takes them.
    after : int or None
        What an earlier look returned; None looks at the newest failures.

    Returns
    -------
    int
        The place of the last examined failure in the order of all events.
    """
    wanted = dg.RunStatusChangeRecordsFilter(dg.DagsterEventType.RUN_FAILURE, after_storage_id=after)
    found = instance.fetch_run_status_changes(wanted, limit=_FAILURES, ascending=after is not None).records
    for record in found:
        run = instance.get_run_by_id(record.run_id)
        if run is not None and is_of_graph(run, job, keys, location):
            forget_checks_not_run(instance, run.run_id)
    return max((record.storage_id for record in found), default=after or 0)


def killed_runs_sensor(settings: Settings, job: str, keys: Collection[dg.AssetKey]) -> dg.SensorDefinition:
    """Return the sensor that ends killed runs of commands, and tidies after those of the daemon.

    Parameters
    ----------
    settings : Settings
        They give the prefix of names.
    job, keys
        As `is_of_graph` takes them.
    """

    @dg.sensor(
        name=Names(settings.asset_prefix).name(KILLED_RUNS_SENSOR),
        minimum_interval_seconds=_INTERVAL,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Marks runs of the command line as failed when their process was killed, so that others can start, "
        "and shows checks that a failed run did not reach as before it.",
    )
    def end(context: dg.SensorEvaluationContext) -> dg.SkipReason:
        ended = end_killed_runs(context.instance)
        origin, after = context.code_location_origin, context.cursor
        location = origin.location_name if origin is not None else None
        place = tidy_failed_runs(context.instance, job, keys, location, int(after) if after else None)
        context.update_cursor(str(place))
        return dg.SkipReason(f"Marked as failed: {', '.join(ended)}." if ended else "No run lost its process.")

    return end


def _folder(instance: dg.DagsterInstance) -> Path:
    return Path(instance.root_directory).resolve() / "running"


def _named_file(run: dg.DagsterRun, folder: Path) -> str | None:
    """Return the file that shows whether the run's process lives, if this host can tell."""
    # One that the UI started again has the tags of the first, and a process of its own.
    if run.parent_run_id is not None or run.remote_job_origin is not None:
        return None
    try:
        owner = json.loads(run.tags[OWNER])
        return owner["file"] if owner["host"] == socket.gethostname() and Path(owner["file"]).parent == folder else None
    except (KeyError, TypeError, ValueError):
        return None


def _let_go(file: Path, lock: IO[str], pid: int) -> None:
    # A forked child runs this at its exit too, while its parent goes on.
    if os.getpid() == pid:
        file.unlink(missing_ok=True)
        lock.close()
