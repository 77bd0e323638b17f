"""Real processes that write and read a lake, for the tests to race and to kill.

They come from a fork server that has the imports done, so a test can afford
dozens. Each function here runs in a process of its own.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import signal
import time
from multiprocessing.connection import Connection
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier, Event
from typing import Any

import duckdb
from deltalake import DeltaTable

from cltv_assets.errors import ConcurrentPublishError, LakeError
from cltv_assets.lake import commit
from cltv_assets.months import Month
from cltv_assets_tests.lake.place import Place
from cltv_assets_tests.lake.table_under_test import FEB, JAN, generation_of, orders_in, publish, read, stage

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["cltv_assets_tests.lake.processes"])

WAIT_SECONDS = 60
FILE_BYTES = 4_000_000


def start(target: Any, *arguments: Any) -> Any:
    """Start a process and return it."""
    process = CONTEXT.Process(target=target, args=arguments, daemon=True)
    process.start()
    return process


def kill(process: Any) -> None:
    """Kill -9, and wait until the process is gone."""
    os.kill(process.pid, signal.SIGKILL)
    process.join(WAIT_SECONDS)
    assert process.exitcode == -signal.SIGKILL, f"it ended by itself with {process.exitcode}"


def finish(processes: list[Any]) -> None:
    """Wait for processes and require that they ended well."""
    for process in processes:
        process.join(WAIT_SECONDS)
    codes = [process.exitcode for process in processes]
    for process in processes:
        if process.exitcode is None:
            process.kill()
    assert set(codes) == {0}, f"exit codes {codes}"


def write_and_stop_at(phase: str, place: Place, month: Month, generation: int, pipe: Connection) -> None:
    """Go as far as ``phase`` and wait there to be killed."""

    def reach(here: str) -> None:
        if here == phase:
            pipe.send(here)
            time.sleep(WAIT_SECONDS)

    table = orders_in(place)
    staging = table.begin(month)
    reach("begun")
    half = place.storage.filesystem.open_output_stream(place.storage.path(staging.new_file()))
    half.write(b"PAR1" + bytes(1000))
    half.flush()
    reach("writing")
    half.close()
    staged = stage(table, month, generation)
    reach("sealed")
    table.publish(staged)
    reach("published")


def copy_and_wait_at(phase: str, place: Place, pipe: Connection) -> None:
    """Make February from January's rows, wait at ``phase`` to be told to go on, and say how it ended."""

    def reach(here: str) -> None:
        if here == phase:
            pipe.send(here)
            pipe.recv()

    try_to_commit = commit._try

    def wait_and_try(*arguments: Any) -> Exception | None:
        reach("checked")
        return try_to_commit(*arguments)

    commit._try = wait_and_try  # in this process alone
    table = orders_in(place)
    staging = table.begin(FEB)
    rows = read(table, JAN)
    reach("read")
    place.write_rows(staging.new_file(), rows)
    staged = staging.seal()
    reach("sealed")
    try:
        table.publish(staged)
    except LakeError as error:
        pipe.send(str(error))
    else:
        pipe.send("published")


def publish_for_ever(place: Place, month: Month, first_generation: int, pipe: Connection) -> None:
    """Publish one generation after another, saying which begins and which is published."""
    table = orders_in(place)
    generation = first_generation
    while True:
        staged = stage(table, month, generation)
        pipe.send(("publishing", generation))
        table.publish(staged)
        pipe.send(("published", generation))
        generation += 1


def ensure_and_say(place: Place, pipe: Connection) -> None:
    """Create the table."""
    table = orders_in(place)
    pipe.send("creating")
    table.ensure()
    pipe.send("created")
    time.sleep(WAIT_SECONDS)


def publish_rounds(place: Place, months: list[Month], writer: int, barrier: Barrier, results: Queue[Any]) -> None:
    """Publish each month of the list in turn, all processes at the same moment."""
    table = orders_in(place)
    for turn, month in enumerate(months):
        barrier.wait(WAIT_SECONDS)
        generation = 1000 * turn + writer
        staged = stage(table, month, generation)
        barrier.wait(WAIT_SECONDS)
        try:
            published = table.publish(staged)
        except ConcurrentPublishError as error:
            results.put((turn, writer, generation, str(error), 0))
        else:
            results.put((turn, writer, generation, None, published.attempts))


def create_and_publish(place: Place, month: Month, generation: int, barrier: Barrier) -> None:
    """Publish into a table that nobody has created yet."""
    table = orders_in(place)
    barrier.wait(WAIT_SECONDS)
    table.ensure()
    publish(table, month, generation)


def read_files_until(place: Place, stop: Event, results: Queue[Any]) -> None:
    """Read January by its files with PyArrow and DuckDB, over and over; report the generations."""
    table = orders_in(place)
    connection = duckdb.connect(config={"threads": 1})
    seen = []
    while not stop.is_set():
        time.sleep(0.02)  # leaves the writer its share of a small machine
        seen.append(generation_of(read(table, JAN)))
        if not place.local:  # DuckDB reads through Python there, which other tests look at
            continue
        sql = "select * from read_parquet($files, hive_partitioning = true)"
        seen.append(generation_of(connection.sql(sql, params={"files": table.files([JAN])}).to_arrow_table()))
    results.put(seen)


def read_delta_until(place: Place, stop: Event, results: Queue[Any]) -> None:
    """Read January with nothing of ours, over and over; report the generations."""
    uri = orders_in(place).uri
    seen = []
    while not stop.is_set():
        time.sleep(0.02)  # leaves the writer its share of a small machine
        rows = DeltaTable(uri, storage_options=place.options).to_pyarrow_table(filters=[("month", "=", JAN.first_day)])
        seen.append(generation_of(rows))
    results.put(seen)


def publish_without_room(place: Place, month: Month, generation: int, results: Queue[Any]) -> None:
    """Publish while not one more byte of a file can be written, as on a full disk."""
    table = orders_in(place)
    staged = stage(table, month, generation)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    try:
        table.publish(staged)
    except LakeError as error:
        answer = f"{error.problem} {error.remedy}"
    else:
        answer = "published"
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    results.put(answer)


def replace_file_for_ever(place: Place, month: Month, pipe: Connection) -> None:
    """Replace a month's file over and over."""
    reports = place.lake().files("cltv_report")
    turn = 0
    while True:
        turn += 1
        reports.publish(month, "report.html", str(turn % 10).encode() * FILE_BYTES)
        if turn == 1:
            pipe.send("running")
