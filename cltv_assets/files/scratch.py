"""Temporary files, in one folder that no crash leaves full for good.

They may be as large as the source, and hold customers' lines. All lie in ``cltv-<user>``
in the system's temporary folder, which only its user may read. Each process has a folder
there, removed when it ends. If it was killed, the next process that makes or opens
something here removes it; a lock shows whether its owner still runs.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import shutil
import stat
import tempfile
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from cltv_assets.errors import EngineError
from cltv_assets.files.locks import hold, hold_if_free

_LOCK, _KEPT = "lock", "kept-"
#: How long a file stays that a process leaves for another program, such as a browser.
_KEPT_SECONDS = 24 * 3600

_guard = threading.RLock()
#: This process's folders, with their locks and its id: one, unless TMPDIR changes.
_own: dict[Path, tuple[Path, IO[str], int]] = {}


class ScratchFolder:
    """A folder in the process's own, removed at exit, by ``close`` or at the end of a ``with`` block.

    Parameters
    ----------
    purpose : str
        What its name begins with.
    """

    def __init__(self, purpose: str) -> None:
        self.path = Path(tempfile.mkdtemp(prefix=f"{purpose}-", dir=process_folder()))
        self._finalizer = weakref.finalize(self, _remove, self.path, os.getpid())

    def __enter__(self) -> Path:
        return self.path

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Remove the folder."""
        self._finalizer()


def process_folder() -> Path:
    """Return the process's folder for temporary files; its first call removes what killed processes left.

    Raises
    ------
    EngineError
        If there is no place for temporary files, or another user made it.
    """
    with _guard, _explained():
        home = _home()
        path, _lock, owner = _own.get(home, (home, None, 0))
        # A forked child has its own. One that was deleted, as by a machine's cleaning of /tmp, is made again.
        if owner != os.getpid() or not path.is_dir():
            remove_orphans()
            # Nobody looks for orphans before the folder has its lock.
            with hold(home / f".{_LOCK}"):
                path = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=home))
                _own[home] = path, hold(path / _LOCK), os.getpid()
            atexit.register(_remove, path, os.getpid())
        return path


def leave_process_folder() -> None:
    """Remove the process's folder before an end that runs no exit functions."""
    for path, _lock, owner in _own.values():
        _remove(path, owner)


def kept_folder() -> Path:
    """Return a new folder for what another program reads after this process; it is removed a day later."""
    return Path(tempfile.mkdtemp(prefix=_KEPT, dir=process_folder().parent))


def remove_orphans(*, kept: bool = False) -> int:
    """Remove the folders of processes that no longer run; with ``kept``, also what they left for others.

    Returns
    -------
    int
        How many processes live and have files here, without this one.

    Raises
    ------
    EngineError
        As `process_folder` does.
    """
    with _guard, _explained():
        home = _home()
        dead: list[tuple[Path, IO[str] | None]] = []
        living = 0
        with hold(home / f".{_LOCK}"):
            for folder in [entry for entry in home.iterdir() if entry.is_dir()]:
                if home in _own and folder == _own[home][0]:
                    continue
                if folder.name.startswith(_KEPT):
                    if kept or folder.stat().st_mtime < time.time() - _KEPT_SECONDS:
                        dead.append((folder, None))
                elif (lock := hold_if_free(folder / _LOCK)) is not None or not (folder / _LOCK).exists():
                    # Without a lock it is half removed.
                    dead.append((folder, lock))
                else:
                    living += 1
    # Outside of the lock on all, because this may take a while; the folder's own lock keeps others away.
    for folder, lock in dead:
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            lock.close()
    return living


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    """Say what it means when the place for temporary files is full, read-only or missing."""
    try:
        yield
    except OSError as error:
        raise EngineError(
            f"Temporary files cannot be written to {error.filename or tempfile.tempdir}: {error.strerror or error}.",
            "Make room there, or set TMPDIR to a folder with room that you may write to.",
        ) from None


def _home() -> Path:
    """Return the user's folder, made if it is missing.

    Raises
    ------
    EngineError
        If it is a link, or another user's: they could read or change what is written there.
    """
    user = os.getuid() if hasattr(os, "getuid") else None
    home = Path(tempfile.gettempdir()).absolute() / ("cltv" if user is None else f"cltv-{user}")
    with contextlib.suppress(FileExistsError):
        home.mkdir(mode=0o700)
    found = home.lstat()
    if not stat.S_ISDIR(found.st_mode) or (user is not None and found.st_uid != user):
        raise EngineError(
            f"{home}, the folder for temporary files, is a link, no folder or another user's.",
            "See who made it and remove it, or set TMPDIR to a folder of your own.",
        )
    if user is not None and stat.S_IMODE(found.st_mode) & 0o077:
        home.chmod(0o700)
    return home


def _remove(path: Path, owner: int) -> None:
    # A forked child runs this at its exit too, while its parent goes on reading.
    if os.getpid() == owner:
        shutil.rmtree(path, ignore_errors=True)
