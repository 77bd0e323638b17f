"""A standalone Spark cluster: a master and two workers of one core, each a process."""

from __future__ import annotations

import itertools
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Self

from cltv_assets_tests.cluster.server_process import ServerProcess, free_port
from cltv_assets_tests.cluster.spark_programs import HOST, start_spark_class

_START_SECONDS = 90
_WORKERS = 2
_MASTER = "org.apache.spark.deploy.master.Master"
_WORKER = "org.apache.spark.deploy.worker.Worker"


class SparkCluster:
    """The cluster, as a context manager.

    Parameters
    ----------
    logs, scratch : Path
        Folders for logs and for temporary files.
    """

    def __init__(self, logs: Path, scratch: Path) -> None:
        self._logs, self._scratch = logs, scratch
        self._names = (f"spark-worker-{i}" for i in itertools.count(1))
        self._port = free_port()
        self._master: ServerProcess | None = None
        self._workers: list[ServerProcess] = []

    @property
    def master_url(self) -> str:
        """What ``spark.master`` is to be."""
        return f"spark://{HOST}:{self._port}"

    @property
    def workers(self) -> list[ServerProcess]:
        """The workers that run. ``kill()`` of one takes its executors along."""
        return [worker for worker in self._workers if worker.running]

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.callback(self.close)
            arguments = [_MASTER, "--host", HOST, "--port", str(self._port), "--webui-port", "0"]
            self._master = start_spark_class("spark-master", arguments, self._logs, self._scratch)
            # Spark takes the next port where this one was taken meanwhile: then this never shows.
            said = f"Starting Spark master at {self.master_url}"
            self._master.wait_until(lambda: _says(self._master, said), _START_SECONDS)
            self.restore()
            stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all processes."""
        for worker in self._workers:
            worker.kill()
        self._workers.clear()
        if self._master is not None:
            self._master.kill()
            self._master = None

    def restore(self) -> None:
        """Start workers until there are two."""
        limits = ["--cores", "1", "--memory", "1500m", "--work-dir", str(self._scratch)]
        arguments = [_WORKER, "--host", HOST, "--webui-port", "0", *limits, self.master_url]
        missing = _WORKERS - len(self.workers)
        # All at once: each spends its seconds on starting Java.
        started = [start_spark_class(next(self._names), arguments, self._logs, self._scratch) for _ in range(missing)]
        self._workers += started
        for worker in started:
            worker.wait_until(partial(_says, worker, "Successfully registered with master"), _START_SECONDS)


def _says(server: ServerProcess | None, text: str) -> bool:
    return server is not None and text in server.log.read_text(errors="replace")
