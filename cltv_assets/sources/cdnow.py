"""The CDNOW demo: 23,570 customers' purchases of 1997-01 to 1998-06.

The file is part of the ``lifetimes`` package. Its folder is found without importing
the package, because the import takes three seconds.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path

from cltv_assets.errors import SourceError
from cltv_assets.files.storage import Storage
from cltv_assets.settings import Source
from cltv_assets.sources.files import SourceFile
from cltv_assets.sources.reading import Lines, in_batches, open_text, reading


def cdnow_path() -> str:
    """Return the path of ``CDNOW_master.txt``.

    Raises
    ------
    SourceError
        If ``lifetimes`` is not installed.
    """
    spec = importlib.util.find_spec("lifetimes")
    for folder in (spec.submodule_search_locations if spec else None) or ():
        path = Path(folder) / "datasets" / "CDNOW_master.txt"
        if path.is_file():
            return path.as_posix()
    raise SourceError(
        "The CDNOW demo's data ship with the package lifetimes, which is not installed.",
        "Install it (pip install lifetimes), or set source.kind and source.path to your own data.",
    )


class CdnowReader:
    """Reads the demo's file: a header line, then fields separated by blanks."""

    suffixes: tuple[str, ...] = (".txt",)

    def __init__(self, storage: Storage, source: Source) -> None:
        self._storage = storage
        self._columns = tuple(source.wanted)

    def columns(self, file: SourceFile) -> tuple[str, ...]:
        """Return the header's names."""
        with reading(self._storage, file.path), open_text(self._storage, file.path, "utf-8") as text:
            header = tuple(text.readline().split())
        if header != self._columns:
            raise SourceError(
                f"{file.path}, line 1: the header is not that of the CDNOW data.", "Install lifetimes again."
            )
        return header

    def read(self, file: SourceFile) -> Iterator[Lines]:
        """Yield all lines after the header."""
        width = len(self.columns(file))
        with reading(self._storage, file.path), open_text(self._storage, file.path, "utf-8") as text:
            rows = ((number, line, line.split()) for number, line in enumerate(text, 1) if number > 1)
            split = ((n, row if len(row) == width else line.rstrip("\r\n")) for n, line, row in rows if row)
            yield from in_batches(self._columns, split)
