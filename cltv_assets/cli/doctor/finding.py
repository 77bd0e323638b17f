"""What was found, and what to do about it."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from cltv_assets.errors import CltvError


class State(enum.Enum):
    """How it stands with what was looked at."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


@dataclass(frozen=True)
class Finding:
    """One line of the doctor.

    Parameters
    ----------
    name : str
        What was looked at.
    state : State
    text : str
        What was found.
    remedy : str
        What to do about it; empty where all is well.
    exit_code : int
        Of the command, if this is the first that failed.
    """

    name: str
    state: State
    text: str
    remedy: str = ""
    exit_code: int = 0


def ok(name: str, text: str) -> Finding:
    """Return that all is well."""
    return Finding(name, State.OK, text)


def warning(name: str, text: str, remedy: str) -> Finding:
    """Return that something should be looked at, and stops nothing."""
    return Finding(name, State.WARNING, text, remedy)


def failed(name: str, error: CltvError) -> Finding:
    """Return that nothing should be deployed or run like this."""
    return Finding(name, State.FAILED, error.problem, error.remedy, error.exit_code)
