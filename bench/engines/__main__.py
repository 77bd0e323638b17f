"""Measure the pipeline on one engine, in a fresh process, and keep the result.

``python -m bench.engines run --transactions 1000000 --engine duckdb --folder DIR``
writes ``DIR/results/1000000-duckdb.json`` and prints its table; the transactions are
made first if they are not there. ``python -m bench.engines tables --folder DIR`` prints
the tables of ``RESULTS.md`` from all results in it. Linux only: it reads ``/proc``.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.engines.processes import Sampler
from bench.engines.results import Result, measured
from bench.engines.stages import read_stages
from bench.engines.tables import all_tables, table_of
from bench.peers import peers_python

#: What is no engine of ours: the notebook that users have today, and two bounds.
PEERS = {"pandas": "notebook", "bare": "bare", "polars": "polars_rfm"}
ENGINES = ("duckdb", "spark", "cluster", *PEERS)
REQUIREMENTS = Path(__file__).with_name("requirements-peers.txt")
_GIB = 2**30
_LOOPBACK = {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; 1 if the run did not finish."""
    parser = argparse.ArgumentParser(prog="python -m bench.engines", description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run", help="measure one engine at one size")
    run.add_argument("--transactions", type=int, required=True, help="lines of the whole year, a multiple of ten")
    run.add_argument("--engine", choices=ENGINES, required=True)
    run.add_argument("--duckdb-memory", default="2GB", help="settings.duckdb_memory_limit")
    run.add_argument("--driver-memory", default="2g", help="spark.driver.memory")
    run.add_argument("--executor-memory", default="1500m", help="spark.executor.memory on the cluster")
    run.add_argument(
        "--session", choices=("month", "kept"), default="kept", help="a Spark session for each month, or one"
    )
    run.add_argument("--limit-gib", type=float, default=16, help="end the run above this memory")
    run.add_argument("--minutes", type=float, default=60, help="end the run after this time")
    tables = commands.add_parser("tables", help="print the tables of all results")
    for command in (run, tables):
        command.add_argument("--folder", type=Path, required=True, help="for transactions, lakes and results")
    options = parser.parse_args(arguments)
    results = options.folder.absolute() / "results"
    if options.command == "tables":
        print(all_tables([Result.read(file) for file in results.glob("*.json")]))
        return 0
    result = _measure(options)
    results.mkdir(parents=True, exist_ok=True)
    result.write(results / f"{options.transactions}-{options.engine}.json")
    print(table_of(result))
    return 0 if result.ended == "finished" else 1


def _measure(options: argparse.Namespace) -> Result:
    folder = options.folder.absolute()
    source = folder / "source" / str(options.transactions)
    # In a process of its own: what making the data took is no part of the measurement.
    subprocess.run(
        [sys.executable, "-m", "bench.engines.population", str(source), str(options.transactions)], check=True
    )
    home = folder / f"{options.transactions}-{options.engine}"
    shutil.rmtree(home, ignore_errors=True)
    (home / "out").mkdir(parents=True)
    values = _engine(options, home)
    command = _command(options, values, source, home)
    environment = os.environ | {
        "DAGSTER_HOME": str(home / "dagster"),
        "TMPDIR": str(home / "tmp"),
        # Spark's servers, too, listen on the loopback interface only.
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    (home / "tmp").mkdir()
    with (home / "log.txt").open("w") as log:
        process = subprocess.Popen(
            command, stdout=log, stderr=subprocess.STDOUT, env=environment, start_new_session=True
        )
        sampler = Sampler([process.pid], int(options.limit_gib * _GIB))
        begin = time.time()
        sampler.start()
        ended = _wait(process, sampler, options.minutes * 60)
        sampler.stop()
    (home / "samples.json").write_text(json.dumps([asdict(sample) for sample in sampler.samples]))
    stages, answer = read_stages(home / "out")
    if ended == "finished" and answer is None:
        ended = f"failed with exit code {process.returncode}: {_last_line(home / 'log.txt')}"
    settings = {
        name: getattr(options, name)
        for name in ("duckdb_memory", "driver_memory", "executor_memory", "session")
        if values is not None and (name == "duckdb_memory") == (options.engine == "duckdb")
    }
    return measured(options.transactions, options.engine, ended, begin, stages, answer, sampler.samples, settings)


def _command(options: argparse.Namespace, values: dict[str, Any] | None, source: Path, home: Path) -> list[str]:
    if values is None:
        python = peers_python(options.folder / "peers", REQUIREMENTS) if options.engine == "polars" else sys.executable
        return [python, "-m", f"bench.engines.{PEERS[options.engine]}", str(source), str(home / "out")]
    from bench.engines.pipeline import settings_for

    settings = home / "settings.json"
    settings.write_text(settings_for(source, home, values).model_dump_json())
    return [sys.executable, "-m", "bench.engines.pipeline", str(settings), str(home / "out"), options.session]


def _engine(options: argparse.Namespace, home: Path) -> dict[str, Any] | None:
    """Return the settings of the engine; None for a peer, which has none."""
    if options.engine in PEERS:
        return None
    elif options.engine == "duckdb":
        return {"engine": "duckdb", "duckdb_memory_limit": options.duckdb_memory}
    else:
        conf = {"spark.driver.memory": options.driver_memory, "spark.local.dir": str(home / "spark"), **_LOOPBACK}
        master = "local[2]"
        if options.engine == "cluster":
            # Two workers of one core each, whose executors are processes below the driver's.
            master = f"local-cluster[2,1,{_mebibytes(options.executor_memory)}]"
            conf |= {
                "spark.executor.memory": options.executor_memory,
                "spark.executor.cores": "1",
                "spark.cores.max": "2",
                "spark.sql.shuffle.partitions": "16",
            }
        return {"engine": "spark", "spark": {"master": master, "conf": conf}}


def _mebibytes(memory: str) -> int:
    """Read a size as Spark writes it: 1500m or 2g."""
    number, unit = int(memory[:-1]), memory[-1]
    return number * {"m": 1, "g": 1024}[unit]


def _wait(process: subprocess.Popen[bytes], sampler: Sampler, seconds: float) -> str:
    """Wait for the process's end, or end it; say which."""
    until = time.monotonic() + seconds
    try:
        while process.poll() is None:
            if sampler.exceeded:
                return "ended at the memory limit"
            if time.monotonic() > until:
                return f"ended after {seconds / 60:.0f} minutes"
            time.sleep(0.1)
        return "finished" if process.returncode == 0 else f"failed with exit code {process.returncode}"
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, 9)
        process.wait()


def _last_line(file: Path) -> str:
    lines = file.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else ""


if __name__ == "__main__":
    raise SystemExit(main())
