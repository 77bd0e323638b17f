"""Reads changed files for whoever watches the source, for a limited time at each look.

A look must be short, but reading a file may take long. So a thread reads the files and
continues between looks. It remembers what each file holds, in a few bytes, until the day
ends, because the boundary of the future moves at midnight. It does not keep the lines.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

from cltv_assets.sources.contents import FileContent
from cltv_assets.sources.files import SourceFile
from cltv_assets.sources.source import TransactionSource

#: Bytes of files that are read together; their lines are on disk meanwhile.
_CHUNK_BYTES = 64 << 20


class ContentReader:
    """Reads in the background what files hold, with a source that is opened for one day."""

    def __init__(self, open_source: Callable[[dt.date], TransactionSource]) -> None:
        self._open = open_source
        self._known: dict[SourceFile, FileContent] = {}
        self._day: dt.date | None = None
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None
        self._lock = threading.Lock()

    def read(self, files: Sequence[SourceFile], day: dt.date, seconds: float) -> dict[SourceFile, FileContent]:
        """Return what is known of ``files`` on ``day`` after at most ``seconds``; keep reading the rest."""
        with self._lock:
            if self._thread is not None and self._thread.is_alive():
                # A file may have changed since it was listed; then the next look reads it again.
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
                # Each chunk has its own cache, because its lines are not needed again.
                with closing(self._open(day)) as source:
                    into.update(source.contents(chunk))
        except BaseException as error:  # the next look raises it, where somebody sees it
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
