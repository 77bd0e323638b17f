"""A temporary folder that no crash leaves behind for good.

The landing cache can be as large as the source. Its folder is removed when the process
ends. If the process was killed, the next one on the machine that makes such a folder
removes it. A lock shows whether the owner still runs, because a process id means
nothing across containers that share ``/tmp``.
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
        sweep()
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        unlocked = self.path / "locking"
        lock = unlocked.open("w")
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Only now does it have the name that a sweep looks for.
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


def sweep() -> None:
    """Remove the folders of processes that no longer run."""
    for lock in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*/{_LOCK}"):
        try:
            with lock.open("r+") as handle:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock.parent, ignore_errors=True)
        except OSError:
            # Held by a living process, another user's, or just removed by another sweep.
            continue
