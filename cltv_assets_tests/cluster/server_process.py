"""One server as a process group of its own, which never outlives the tests."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

_POLL_SECONDS = 0.1
_LOG_TAIL = 6000


class ServerError(RuntimeError):
    """A server of the tests did not start, or ended by itself."""


def free_port() -> int:
    """Return a TCP port of the loopback interface that nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def accepts_connections(port: int) -> bool:
    """Whether something listens on a port of the loopback interface."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait_until(ready: Callable[[], bool], seconds: float, what: str) -> None:
    """Wait until ``ready`` returns true.

    Raises
    ------
    ServerError
        If it does not within ``seconds``.
    """
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            raise ServerError(f"{what}: not within {seconds:.0f} s")
        time.sleep(_POLL_SECONDS)


class ServerProcess:
    """A running server.

    Parameters
    ----------
    name : str
        Names the log file.
    command : sequence of str
    logs : Path
        Folder for its output, which is appended to ``<name>.log``.
    environment : mapping, optional
        The whole environment; by default that of this process.
    if_orphaned : str
        The signal that the server gets when the tests are killed. One that starts others needs a chance to end them.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        logs: Path,
        environment: Mapping[str, str] | None = None,
        if_orphaned: str = "KILL",
    ) -> None:
        self.name = name
        self.log = logs / f"{name}.log"
        # The kernel ends the server if the tests are killed, when nobody is left to do so.
        setpriv = shutil.which("setpriv")
        tied = [setpriv, "--pdeathsig", if_orphaned, "--"] if setpriv else []
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [*tied, *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=None if environment is None else dict(environment),
                # A group of its own: Ctrl-C reaches the tests alone, which end their servers in order;
                # and what the server starts (Spark's executors) can be ended with it.
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Process id, which is also that of its group."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the server itself still runs."""
        return self._process.poll() is None

    def wait_until(self, ready: Callable[[], bool], seconds: float) -> None:
        """Wait until the server is ready.

        Raises
        ------
        ServerError
            If it ended, or is not ready within ``seconds``; with the end of its log.
        """

        def ended_or_ready() -> bool:
            if not self.running:
                raise ServerError(f"{self.name} ended with {self._process.returncode}")
            return ready()

        try:
            wait_until(ended_or_ready, seconds, f"{self.name} is not ready")
        except ServerError as error:
            raise ServerError(f"{error}; its log ends:\n{self.log_tail()}") from None

    def log_tail(self) -> str:
        """Return the end of what the server wrote."""
        return self.log.read_text(errors="replace")[-_LOG_TAIL:]

    def kill(self) -> None:
        """Kill -9 the server and all it started, and wait until it is gone."""
        self._signal(signal.SIGKILL)
        self._process.wait(30)

    def stop(self, seconds: float = 10) -> None:
        """Ask the server to end; after ``seconds`` kill it. Its group is gone afterwards."""
        if self.running:
            self._signal(signal.SIGTERM)
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
        self.kill()

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError):  # the whole group is gone
            os.killpg(self.pid, number)
