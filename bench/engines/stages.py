"""What a measured process says of itself: its stages, and the numbers that it came to."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

_STAGES, _ANSWER = "stages.jsonl", "answer.json"


@dataclass(frozen=True)
class Stage:
    """A stage of a run, in seconds since the epoch.

    Parameters
    ----------
    name : str
    begin, end : float
    month : str
        The month that it worked on; empty for a notebook.
    """

    name: str
    begin: float
    end: float
    month: str = ""


class Stages:
    """Writes stages as they end, so that a run that is killed has those that it finished.

    Parameters
    ----------
    folder : Path
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a ``with`` block."""
        begin = time.time()
        yield
        self.add(Stage(name, begin, time.time()))

    def add(self, stage: Stage) -> None:
        """Record a stage."""
        with (self._folder / _STAGES).open("a") as file:
            file.write(json.dumps(asdict(stage)) + "\n")

    def finish(self, answer: Mapping[str, float]) -> None:
        """Record what the run came to."""
        (self._folder / _ANSWER).write_text(json.dumps(answer))


def read_stages(folder: Path) -> tuple[list[Stage], dict[str, float] | None]:
    """Return the stages that ended and the run's answer, ``None`` where it did not come to one.

    Parameters
    ----------
    folder : Path
    """
    file, answer = folder / _STAGES, folder / _ANSWER
    lines = file.read_text().splitlines() if file.is_file() else []
    found = json.loads(answer.read_text()) if answer.is_file() else None
    return [Stage(**json.loads(line)) for line in lines], found
