"""``cltv doctor``: checks configuration, source, lake, store, database, automation and versions before a run.

Each module checks one of these and returns findings; ``examine`` decides the order and prints them.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from cltv_assets.errors import CltvError


class State(enum.Enum):
    """The verdict of a finding."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor.

    Parameters
    ----------
    name : str
        What was checked.
    state : State
        The verdict.
    text : str
        What was found.
    remedy : str
        What to do about it; empty if all is well.
    exit_code : int
        The command's exit code, if this is the first finding that failed.
    """

    name: str
    state: State
    text: str
    remedy: str = ""
    exit_code: int = 0


def ok(name: str, text: str) -> Finding:
    """Return a finding for what is in order."""
    return Finding(name, State.OK, text)


def warning(name: str, text: str, remedy: str) -> Finding:
    """Return a finding that somebody should look at, and that stops no run."""
    return Finding(name, State.WARNING, text, remedy)


def failed(name: str, error: CltvError) -> Finding:
    """Return a finding that must be mended before a run or a deploy."""
    return Finding(name, State.FAILED, f"{error.problem} {error.quoted}".rstrip(), error.remedy, error.exit_code)
