"""Starts a code server and, beside it, a watch that ends runs without a process.

Runs are processes of the code server. In two cases they end without reporting it, and
Dagster would show them as started for ever, holding their pool:

- The code server's container stops, and its runs with it. The watch ends every unfinished
  run that was launched at the server's address before the server started.
- The database cannot be reached when a run fails, so that nobody can record the failure.
  The watch ends a run that stays started while the server has no run process.

To end a run means to mark it as failed; ``run_retries`` then starts it again. The watch does
so only while the server answers: Dagster tries a retry once, immediately, and drops it if
the code server cannot be reached.

Usage: ``python -m cltv_assets.cli.deployment.orphaned_runs COMMAND [ARGUMENT ...]``, with the
address in ``DAGSTER_CODE_HOST`` and ``DAGSTER_CODE_PORT``. The process becomes the
command; the watch is a child of it and ends with the container.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from cltv_assets.errors import CltvError, ConfigError

if TYPE_CHECKING:
    import dagster as dg

#: Seconds between two looks at a server that is being started.
_POLL = 1.0
#: Seconds between two looks at the runs.
_WATCH = 10.0
#: Seconds for the daemon to find the server again: it waits before it retries a connection that failed.
_SETTLE = 5.0
#: Tag in which Dagster keeps the address of the code server that launched a run.
_GRPC_INFO = ".dagster/grpc_info"


def unfinished_runs(instance: dg.DagsterInstance, host: str, port: int, before: float) -> list[dg.DagsterRun]:
    """Return the unfinished runs that were launched at an address before a point in time.

    Parameters
    ----------
    instance : dagster.DagsterInstance
        The deployment's instance.
    host, port : str, int
        The address under which the daemon knows the code server.
    before : float
        In seconds since the epoch.
    """
    import dagster as dg

    under_way = [dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING]
    found = []
    for run in instance.get_runs(filters=dg.RunsFilter(statuses=under_way)):
        launched_on = json.loads(run.tags.get(_GRPC_INFO, "{}"))
        launched_at = instance.get_run_stats(run.run_id).launch_time
        if (launched_on.get("host"), launched_on.get("port")) == (host, port) and (launched_at or before) < before:
            found.append(run)
    return found


def end_orphaned_runs(instance: dg.DagsterInstance, host: str, port: int, before: float) -> list[str]:
    """Mark runs without a process as failed, or as cancelled where that was under way.

    Parameters
    ----------
    instance : dagster.DagsterInstance
        The deployment's instance.
    host, port : str, int
        The address under which the daemon knows the code server.
    before : float
        In seconds since the epoch. Runs that were launched later are left alone.

    Returns
    -------
    list of str
        Their ids.
    """
    import dagster as dg

    from cltv_assets.dagster_defs.instance_state import forget_checks_not_run

    ended = []
    for run in unfinished_runs(instance, host, port, before):
        message = "Its process ended without a report: with its code server, or while the database was unreachable."
        if run.status == dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, message)
        else:
            instance.report_run_failed(run, message)
        forget_checks_not_run(instance, run.run_id)
        ended.append(run.run_id)
    return ended


def wait_until_loaded(host: str, port: int) -> None:
    """Wait until a code server answers and its definitions are loaded, however long that takes.

    Parameters
    ----------
    host, port : str, int
        The address under which the daemon knows the code server.
    """
    # Late: this process watches for as long as the code server lives, and mostly needs no Dagster.
    from cltv_assets.dagster_defs.instance_state import definitions_loaded

    while not definitions_loaded(host, port):
        time.sleep(_POLL)


def run_processes() -> int:
    """Return how many processes of runs the code server has: those of its process group that Python spawned."""
    count = 0
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            words = (folder / "cmdline").read_bytes()
            count += b"multiprocessing.spawn" in words and os.getpgid(int(folder.name)) == os.getpgid(0)
        except OSError:  # it has just ended
            continue
    return count


def watch(host: str, port: int, started_at: float) -> None:
    """End the runs of the earlier code server, then those that lose their process; does not return.

    Parameters
    ----------
    host, port : str, int
        The address under which the daemon knows the code server.
    started_at : float
        When the code server was started, in seconds since the epoch.
    """
    import dagster as dg

    wait_until_loaded(host, port)
    time.sleep(_SETTLE)
    # First the runs that the earlier server left. Later runs are this server's own, and alive while it has processes.
    before, suspects = started_at, set[str]()
    first = True
    with dg.DagsterInstance.get() as instance:
        while True:
            found = {run.run_id for run in unfinished_runs(instance, host, port, before)}
            orphans = found if first or not run_processes() else set()
            # Twice in a row: a run's process ends shortly before or after Dagster records the run's end.
            if orphans and (first or orphans <= suspects):
                wait_until_loaded(host, port)
                for run_id in end_orphaned_runs(instance, host, port, before):
                    sys.stdout.write(f"Run {run_id} had no process any more: marked as failed.\n")
                sys.stdout.flush()
            suspects, first = orphans, False
            time.sleep(_WATCH)
            before = time.time() - _WATCH


def watch_for_ever(host: str, port: int, started_at: float) -> None:
    """Watch as ``watch`` does, and begin again after the database could not be reached."""
    while True:
        try:
            watch(host, port, started_at)
        except Exception as error:  # each storage has its own error for a lost database
            sys.stderr.write(f"The runs cannot be looked at, trying again: {error}\n")
            time.sleep(_WATCH)


def main(command: list[str]) -> None:
    """Start the watch, and become ``command``.

    Parameters
    ----------
    command : list of str
        The code server's command line.

    Raises
    ------
    ConfigError
        If the address is not given.
    """
    try:
        host, port = os.environ["DAGSTER_CODE_HOST"], int(os.environ["DAGSTER_CODE_PORT"])
    except (KeyError, ValueError):
        raise ConfigError(
            "The code server's address is not known.", "Set DAGSTER_CODE_HOST and DAGSTER_CODE_PORT."
        ) from None
    guard = [sys.executable, "-m", __spec__.name, "--watch", host, str(port), repr(time.time())]
    subprocess.Popen(guard, stdin=subprocess.DEVNULL)  # noqa: S603 - this module itself
    os.execvp(command[0], command)  # noqa: S606 - the caller's own command line


if __name__ == "__main__":
    try:
        if sys.argv[1] == "--watch":
            watch_for_ever(sys.argv[2], int(sys.argv[3]), float(sys.argv[4]))
        else:
            main(sys.argv[1:])
    except CltvError as error:
        sys.exit(str(error))
