"""A temporary folder that no crash leaves behind for good.

The landing cache can be as large as the source. Its folder goes when the process
ends; where the process was killed, the next one that makes such a folder on the
machine clears it. A lock tells the living from the dead, not a process id, which
means nothing across containers that share ``/tmp``.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import weakref
from pathlib import Path
from typing import IO

_PREFIX, _LOCK = "cltv-landing-", "lock"


class ScratchFolder:
    """A folder in the system's temporary one, removed at exit or by ``close``."""

    def __init__(self) -> None:
        _sweep(Path(tempfile.gettempdir()))
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        unlocked = self.path / "locking"
        lock = unlocked.open("w")
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Only now has it the name that a sweep looks for.
        unlocked.rename(self.path / _LOCK)
        self._finalizer = weakref.finalize(self, _remove, self.path, lock, os.getpid())

    def close(self) -> None:
        """Remove the folder."""
        self._finalizer()


def _remove(path: Path, lock: IO[str], owner: int) -> None:
    # A forked child runs this at its exit too, while its parent goes on reading.
    if os.getpid() == owner:
        shutil.rmtree(path, ignore_errors=True)
        lock.close()


def _sweep(folder: Path) -> None:
    """Remove the folders of processes that no longer live."""
    for lock in folder.glob(f"{_PREFIX}*/{_LOCK}"):
        try:
            with lock.open("r+") as handle:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock.parent, ignore_errors=True)
        except OSError:
            # Held by a living process, another user's, or just removed by another sweep.
            continue
