"""``kill -9`` of real commands: what they leave in the temporary folder and in Dagster goes with the next one."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import dagster as dg

from cltv_assets.dagster_defs.automation.alerts import causes_of
from cltv_assets_tests.e2e.running import CLTV, cltv, surroundings, write_config
from cltv_assets_tests.e2e.shop import deliver, lines_of_shop, months_of

PATIENCE_SECONDS = 120


def begin(*arguments: str, home: Path) -> subprocess.Popen[str]:
    (home / "tmp").mkdir(exist_ok=True)
    return subprocess.Popen(
        [CLTV, *arguments],
        cwd=home,
        env=surroundings({"TMPDIR": str(home / "tmp")}),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_for(arrived: Callable[[], object], process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + PATIENCE_SECONDS
    while not arrived():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < until, "the moment never came"
        time.sleep(0.002)


def kill_at(arrived: Callable[[], object], *arguments: str, home: Path) -> None:
    process = begin(*arguments, home=home)
    try:
        wait_for(arrived, process)
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == -signal.SIGKILL


def left_by(home: Path) -> list[Path]:
    """Return the files in the temporary folder, without the lock that all processes share."""
    return [file for file in (home / "tmp").rglob("*") if file.is_file() and file.name != ".lock"]


def test_nothing_of_a_killed_command_remains_after_the_next(tmp_path: Path) -> None:
    lines = lines_of_shop(months_of("2011-01", 1), customers=60)
    (month,) = lines
    lines[month] += [(f"X{n}", f"C{n % 60:03}", f"2011-01-{n % 28 + 1:02} 10:00:00", "1", "5") for n in range(150_000)]
    deliver(tmp_path / "shop", lines)
    write_config(tmp_path, end_month="2011-01", duckdb_memory_limit="40MB")
    kill_at(
        lambda: [*(tmp_path / "tmp").glob("cltv-*/*/landing-*/batch-*/*")],
        "run",
        "--select",
        "raw_transactions",
        home=tmp_path,
    )
    assert left_by(tmp_path)
    with dg.DagsterInstance.from_config(str(tmp_path / ".dagster")) as instance:
        (run,) = instance.get_runs()
        assert run.status == dg.DagsterRunStatus.STARTED

    environ = {"TMPDIR": str(tmp_path / "tmp")}
    assert cltv("status", cwd=tmp_path, environ=environ).returncode == 1
    assert left_by(tmp_path) == []
    with dg.DagsterInstance.from_config(str(tmp_path / ".dagster")) as instance:
        (run,) = instance.get_runs()
        assert run.status == dg.DagsterRunStatus.FAILURE
        assert causes_of(instance, run.run_id)[0].startswith("The process that ran this was killed.")

    # A question spills above the memory limit as a month does, and for longer.
    assert cltv("run", "--select", "raw_transactions", cwd=tmp_path, environ=environ).returncode == 0
    question = (
        "SELECT customer_id, row_number() OVER (ORDER BY hash(source_line + i)) FROM raw_transactions, range(100) r(i)"
    )
    kill_at(lambda: [*(tmp_path / "tmp").glob("cltv-*/*/sql-*/*")], "sql", question, "--to", "x.csv", home=tmp_path)
    assert left_by(tmp_path)
    # No instance is opened for this one.
    assert cltv("sql", "SELECT 1", cwd=tmp_path, environ=environ).returncode == 0
    assert left_by(tmp_path) == []


def test_a_killed_modelling_process_is_named(tmp_path: Path) -> None:
    deliver(tmp_path / "shop", lines_of_shop(months_of("2011-01", 4), customers=30))
    write_config(tmp_path)
    process = begin("run", home=tmp_path)
    try:
        # It models the first month.
        wait_for(lambda: (tmp_path / "lake" / "purchase_model" / "_delta_log").exists(), process)
        (child,) = children_of(process.pid)
        os.kill(child, signal.SIGKILL)
        said, _ = process.communicate(timeout=PATIENCE_SECONDS)
    finally:
        process.kill()
    assert process.returncode == 7, said
    assert f"The modelling process ({child}) was killed by SIGKILL at 2011-01" in said
    assert "memory ran out" in said
    assert "Lower duckdb_memory_limit (now 2GB for each of the two processes)" in said
    assert "cltv run --from 2011-01 --to 2011-04" in said
    assert "Add --debug" not in said
    with dg.DagsterInstance.from_config(str(tmp_path / ".dagster")) as instance:
        assert all(run.is_finished for run in instance.get_runs())
    cltv("status", cwd=tmp_path, environ={"TMPDIR": str(tmp_path / "tmp")})
    assert left_by(tmp_path) == []


def children_of(process: int) -> list[int]:
    """Return the processes that a process started with ``multiprocessing``, without its helper."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]
