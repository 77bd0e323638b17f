"""Memory and processor time of a process and all it started, sampled from ``/proc``."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

INTERVAL_SECONDS = 0.2
_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")
#: A process that was just forked shows its parent's pages as its own until it starts its program.
_YOUNG_SECONDS = 1.0
#: What a Java process is, by a word of its command line. The first that fits counts.
_KINDS = (
    ("CoarseGrainedExecutorBackend", "executors"),
    ("deploy.master.Master", "master and workers"),
    ("deploy.worker.Worker", "master and workers"),
    ("deploy.SparkSubmit", "driver JVM"),
)
PYTHON, OTHER = "Python", "other"


@dataclass(frozen=True)
class Sample:
    """One look at a tree of processes.

    Parameters
    ----------
    at : float
        Seconds since the epoch.
    memory : dict of str to int
        Resident bytes by kind of process.
    cpu : float
        Processor seconds that the processes have used so far; those of ended ones stay counted.
    machine_cpu : float
        Processor seconds that the whole machine has used so far.
    """

    at: float
    memory: dict[str, int]
    cpu: float
    machine_cpu: float

    @property
    def total(self) -> int:
        """Resident bytes of all."""
        return sum(self.memory.values())


class Sampler:
    """Samples trees of processes in a thread until it is stopped.

    Parameters
    ----------
    roots : iterable of int
        Process ids; all that descends from them counts.
    limit : int, optional
        Bytes; above it ``exceeded`` becomes true.
    """

    def __init__(self, roots: Iterable[int], limit: int | None = None) -> None:
        self.samples: list[Sample] = []
        self.exceeded = False
        self._roots = set(roots)
        self._limit = limit
        self._cpu: dict[tuple[int, int], float] = {}
        self._kinds: dict[tuple[int, int], str] = {}
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """Take a last sample and end."""
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            over = self._stop.wait(INTERVAL_SECONDS)
            sample = self._look()
            self.samples.append(sample)
            self.exceeded |= self._limit is not None and sample.total > self._limit
            if over:
                return

    def _look(self) -> Sample:
        memory: dict[str, int] = {}
        up = float(Path("/proc/uptime").read_text().split()[0])
        for process in _descendants(self._roots):
            key = process.pid, process.started
            self._cpu[key] = process.cpu
            if up - process.started / _TICK < _YOUNG_SECONDS:
                continue
            if key not in self._kinds:
                self._kinds[key] = _kind(process.pid)
            kind = self._kinds[key]
            memory[kind] = memory.get(kind, 0) + process.resident
        return Sample(time.time(), memory, sum(self._cpu.values()), _machine_cpu())


@dataclass(frozen=True)
class _Process:
    pid: int
    parent: int
    started: int
    cpu: float
    resident: int


def _descendants(roots: set[int]) -> list[_Process]:
    found = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit() and (process := _read(int(entry.name))) is not None:
            found[process.pid] = process
    members = set(roots)
    # A child's id is mostly, not always, above its parent's.
    while more := {p.pid for p in found.values() if p.parent in members} - members:
        members |= more
    return [found[pid] for pid in members if pid in found]


def _read(pid: int) -> _Process | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:  # it has ended
        return None
    # The name stands in brackets and may hold anything.
    fields = text.rpartition(")")[2].split()
    user, system = int(fields[11]), int(fields[12])
    return _Process(pid, int(fields[1]), int(fields[19]), (user + system) / _TICK, int(fields[21]) * _PAGE)


def _kind(pid: int) -> str:
    try:
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").replace("\0", " ")
    except OSError:
        return OTHER
    for word, kind in _KINDS:
        if word in command:
            return kind
    return PYTHON if "python" in command.split(" ", 1)[0] else OTHER


def _machine_cpu() -> float:
    with Path("/proc/stat").open() as lines:
        user, nice, system, _idle, _wait, irq, softirq, *_ = map(int, next(lines).split()[1:])
    return (user + nice + system + irq + softirq) / _TICK
