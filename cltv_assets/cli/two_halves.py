"""Two processes for many months: one prepares the data, the other models prepared months.

A month's second half needs only its own and earlier months' first halves, so while
one process cleans and summarises a month, another fits, predicts and reports the
month before. Each half of a month is a Dagster run of its own in the same
instance. On two cores that takes little more than half the time.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import queue
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from multiprocessing.process import BaseProcess

import dagster as dg

from cltv_assets.cli.runner import MonthResult, MonthRunner
from cltv_assets.dagster_defs.collection import rare_collection
from cltv_assets.dagster_defs.graph import assets_of_half
from cltv_assets.dagster_defs.instance import open_instance
from cltv_assets.months import Month
from cltv_assets.settings import Settings

#: Fewer months than this are not worth a second process's imports.
WORTH_IT = 4
_PATIENCE_SECONDS = 1.0


def run_two_halves(
    settings: Settings,
    months: Sequence[Month],
    instance: dg.DagsterInstance,
    after: Callable[[MonthResult], None] = lambda _result: None,
    accepted: Collection[Month] = (),
) -> list[MonthResult]:
    """Materialise months of the whole graph, oldest first, in two processes.

    Parameters
    ----------
    settings : Settings
        The graph's settings.
    months : sequence of Month
        The months, oldest first.
    instance : DagsterInstance
        Where the runs are recorded.
    after : callable
        Called with the result of each month when both halves have ended.
    accepted : collection of Month
        As `MonthRunner` takes them.

    Raises
    ------
    RuntimeError
        If the second process died.
    """
    context = multiprocessing.get_context("spawn")
    prepared: multiprocessing.Queue[str | None] = context.Queue()
    modelled: multiprocessing.Queue[MonthResult] = context.Queue()
    worker = context.Process(
        target=_model_months,
        args=(settings.model_dump_json(), months[-1], prepared, modelled),
        name="cltv-model",
        daemon=True,
    )
    first_halves: dict[Month, MonthResult] = {}
    results: dict[Month, MonthResult] = {}

    def ended(result: MonthResult) -> None:
        results[result.month] = result
        after(result)

    def take(wait: bool) -> None:
        for second in _arrived(modelled, worker, wait):
            first = first_halves[second.month]
            ended(replace(second, seconds=first.seconds + second.seconds, warnings=[*first.warnings, *second.warnings]))

    worker.start()
    try:
        runner = MonthRunner(settings, instance, assets_of_half("preprocess"), months[-1], accepted)
        with rare_collection():
            for month in months:
                first = runner.run(month)
                first_halves[month] = first
                if first.succeeded:
                    prepared.put(month.key)
                else:
                    ended(first)
                take(wait=False)
        prepared.put(None)
        while len(results) < len(months):
            take(wait=True)
        worker.join()
    finally:
        if worker.is_alive():
            worker.terminate()
            worker.join()
    return [results[month] for month in months]


def _arrived(modelled: multiprocessing.Queue[MonthResult], worker: BaseProcess, wait: bool) -> Iterator[MonthResult]:
    """Yield what the second process has finished; with ``wait``, at least one."""
    while True:
        try:
            yield modelled.get(timeout=_PATIENCE_SECONDS) if wait else modelled.get_nowait()
            wait = False
        except queue.Empty:
            if not wait:
                return
            if not worker.is_alive():
                raise RuntimeError(f"the modelling process died with exit code {worker.exitcode}") from None


def _model_months(
    settings_json: str,
    newest: Month,
    prepared: multiprocessing.Queue[str | None],
    modelled: multiprocessing.Queue[MonthResult],
) -> None:
    """Model each month as soon as it is prepared; ``None`` in the queue ends this process."""
    settings = Settings.model_validate_json(settings_json)
    # An interrupt reaches both processes; the first one prints the message and ends this one.
    with contextlib.suppress(KeyboardInterrupt), _ending_with_parent(), open_instance(settings) as instance:
        runner = MonthRunner(settings, instance, assets_of_half("model"), newest)
        with rare_collection():
            while (key := prepared.get()) is not None:
                modelled.put(runner.run(Month.parse(key)))
        modelled.close()
        modelled.join_thread()
        # Everything is closed. An ordinary exit would only let DuckDB's binding print the objects it still holds.
        os._exit(0)
    sys.exit(130)


@contextlib.contextmanager
def _ending_with_parent() -> Iterator[None]:
    """Let this process end when the first one is killed.

    Otherwise it would wait for months for ever, or publish at the same time as the next run.
    It may end at any moment: the lake discards what was not published, as after a kill.
    """
    parent = multiprocessing.parent_process()
    assert parent is not None
    over, say_over = multiprocessing.Pipe(duplex=False)

    def watch() -> None:
        if parent.sentinel in multiprocessing.connection.wait([parent.sentinel, over]):
            os._exit(1)

    watcher = threading.Thread(target=watch, name="cltv-watch", daemon=True)
    watcher.start()
    try:
        yield
    finally:
        # A thread that is still running keeps the interpreter from ending cleanly.
        say_over.close()
        watcher.join()
