"""Locks on files, which end with the process that holds them, however it ends.

They say whether a process still runs. Its id does not: it is used again, and means
nothing across containers that share a folder. Without ``fcntl`` (Windows), and on file
systems that know no locks, every file counts as held by somebody: nothing is taken from
a process that may live.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import IO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


def hold(path: Path) -> IO[str]:
    """Make a file if it is missing, and lock it until it is closed; wait for whoever holds it."""
    while True:
        file = path.open("a", encoding="utf-8")
        if fcntl is None:
            return file
        # Some network file systems know no locks.
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        if _is_still(path, file):
            return file
        # Its last holder has deleted it.
        file.close()


def hold_if_free(path: Path) -> IO[str] | None:
    """Lock a file that nobody holds; None if it is held, missing or another user's."""
    if fcntl is None:
        return None
    try:
        file = path.open("r+", encoding="utf-8")
    except OSError:
        return None
    with contextlib.suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is_still(path, file):
            return file
    file.close()
    return None


def _is_still(path: Path, file: IO[str]) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    return False
