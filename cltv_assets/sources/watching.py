"""Reads changed files for whoever watches the source, a bounded time at a look.

A look may not take long, a file may. So files are read by a thread that goes on
between looks, and what each holds is remembered, a few bytes a file, until the day
ends: what is dated in the future changes at midnight. The lines themselves are not
kept.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Iterator, Sequence

from cltv_assets.sources.contents import FileContent
from cltv_assets.sources.files import SourceFile
from cltv_assets.sources.source import TransactionSource

#: Bytes of files that are read together: their lines lie on disk meanwhile.
_CHUNK_BYTES = 64 << 20


class ContentReader:
    """What files hold, read in the background from what ``open_source`` makes for a day."""

    def __init__(self, open_source: Callable[[dt.date], TransactionSource]) -> None:
        self._open = open_source
        self._known: dict[SourceFile, FileContent] = {}
        self._day: dt.date | None = None
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._lock = threading.Lock()

    def read(self, files: Sequence[SourceFile], day: dt.date, seconds: float) -> dict[SourceFile, FileContent]:
        """Return what is known of ``files`` on ``day`` after at most ``seconds``; the rest goes on being read."""
        with self._lock:
            if self._thread is not None and self._thread.is_alive():
                # What it reads may have changed since; then the next look reads that again.
                self._thread.join(seconds)
                return self._found(files, day)
            if self._day != day:
                self._known, self._day = {}, day
            known = set(files)
            self._known = {file: content for file, content in self._known.items() if file in known}
            missing = [file for file in files if file not in self._known]
            if missing:
                self._error = None
                self._thread = threading.Thread(
                    target=self._read, args=(missing, day, self._known), name="cltv-source-files", daemon=True
                )
                self._thread.start()
                self._thread.join(seconds)
            return self._found(files, day)

    def _found(self, files: Sequence[SourceFile], day: dt.date) -> dict[SourceFile, FileContent]:
        error, self._error = self._error, None
        if error is not None:
            raise error
        known = dict(self._known) if self._day == day else {}
        return {file: known[file] for file in files if file in known}

    def _read(self, files: Sequence[SourceFile], day: dt.date, into: dict[SourceFile, FileContent]) -> None:
        try:
            for chunk in _chunks(files):
                # A cache for each chunk: its lines are not needed again.
                source = self._open(day)
                try:
                    into.update(source.contents(chunk))
                finally:
                    source.close()
        except BaseException as error:  # raised where somebody sees it, by the next look
            self._error = error


def _chunks(files: Sequence[SourceFile]) -> Iterator[list[SourceFile]]:
    chunk: list[SourceFile] = []
    size = 0
    for file in files:
        if chunk and size + file.size > _CHUNK_BYTES:
            yield chunk
            chunk, size = [], 0
        chunk.append(file)
        size += file.size
    if chunk:
        yield chunk
