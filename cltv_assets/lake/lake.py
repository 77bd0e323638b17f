"""The lake: one root, its tables, and the monthly files beside them."""

from __future__ import annotations

import io
import re
import time
from pathlib import Path

from cltv_assets.columns import TableSchema
from cltv_assets.errors import ErasedMeanwhileError, LakeError, MissingMonthsError
from cltv_assets.files.object_store import ObjectStore
from cltv_assets.files.probe import CHOOSE_ROOT, check_folder, check_object_store
from cltv_assets.files.storage import LANDING_FOLDER, Storage, month_folder, month_of_folder
from cltv_assets.lake.fence import Fence
from cltv_assets.lake.opening import Handles, Opener
from cltv_assets.lake.table import LakeTable
from cltv_assets.months import Month

_INEXPRESSIBLE = re.compile(r"[#?\\\x00-\x1f\x7f]|%[0-9A-Fa-f]{2}")


class Lake:
    """Every table and file under one root. Making one touches nothing.

    Parameters
    ----------
    root : str
        A local folder, or an object store's URI.
    objects : ObjectStore, optional
        How to reach it, where ``root`` is not a folder.
    graph : str
        Prefix of the graph that it belongs to. Tables of another graph are refused.
    handles : dict, optional
        Keeps tables open for the next ``Lake`` that gets it.

    Raises
    ------
    LakeError
        If the folder's name is one that Delta cannot express.
    """

    def __init__(
        self, root: str, objects: ObjectStore | None = None, graph: str = "", handles: Handles | None = None
    ) -> None:
        self.graph = graph
        #: The files under the root, for what tables and monthly files do not offer.
        self.storage = Storage(root, objects)
        self.root = self.storage.root
        self.opener = Opener(self.storage, handles)
        self._objects = objects
        if _INEXPRESSIBLE.search(self.root):
            # delta-rs treats paths as URLs in some places. It would write to one folder and read from another, or
            # find no history, so refuse such a name.
            raise LakeError(
                f"The lake's folder {self.root!r} holds '#', '?', a backslash, a control character or a percent sign "
                "followed by two hexadecimal digits, which Delta's paths cannot express.",
                f"Rename the folder, or {CHOOSE_ROOT}.",
            )

    def table(self, schema: TableSchema) -> LakeTable:
        """Return a table, which need not exist yet."""
        return LakeTable(self.storage, self.opener, schema, self.graph)

    def files(self, name: str) -> MonthlyFiles:
        """Return the monthly files kept under ``name``, such as the reports."""
        return MonthlyFiles(self.storage, name)

    def vacuum_landings(self, older_than_hours: int) -> int:
        """Delete the parsed deliveries that killed runs left behind; return how many files."""
        oldest = (time.time() - older_than_hours * 3600) * 1e9
        found = self.storage.entries(self.storage.uri(LANDING_FOLDER), recursive=True)
        stale = [entry.uri for entry in found if entry.kind == "file" and entry.mtime_ns <= oldest]
        return sum(map(self.storage.delete, stale))

    def check_writable(self) -> None:
        """Raise a ``LakeError`` now, rather than at the first publish, if the root cannot be written safely."""
        if self.storage.local:
            check_folder(Path(self.root))
        elif self._objects is not None:
            check_object_store(self._objects, self.root)


class MonthlyFiles:
    """Files under ``<root>/<name>/month=YYYY-MM-01/``. Get it from ``Lake.files``."""

    def __init__(self, storage: Storage, name: str) -> None:
        self.uri = storage.uri(name)
        self._storage = storage

    def path(self, month: Month, filename: str) -> str:
        """Return the absolute path or URI of a month's file, written or not."""
        if "/" in filename or filename.startswith(".") or not filename:
            raise ValueError(f"{filename!r} is not a plain file name")
        return f"{self.uri}/{month_folder(month)}/{filename}"

    def publish(self, month: Month, filename: str, content: bytes, fence: Fence | None = None) -> str:
        """Write or replace a file whole and return its path; after a ``LakeError`` the old file stays.

        Only if a customer is erased while it is written, which the ``fence`` tells, neither stays.
        """
        path = self.path(month, filename)
        if fence is not None:
            fence.check()
        try:
            self._storage.write(path, io.BytesIO(content))
        except OSError as error:
            raise LakeError(
                f"Cannot write {path}: {error.strerror or error}.",
                f"Give the user who runs this permission and room to write there, or {CHOOSE_ROOT}.",
            ) from error
        if fence is not None:
            try:
                fence.check()
            except ErasedMeanwhileError:
                # The eraser has perhaps looked at the old file already.
                self._storage.delete(path)
                raise
        return path

    def read(self, month: Month, filename: str) -> bytes:
        """Return a file's content, or raise a ``MissingMonthsError``."""
        path = self.path(month, filename)
        try:
            return self._storage.read(path)
        except FileNotFoundError as error:
            raise MissingMonthsError(
                f"There is no {filename} for {month} ({path}).", f"Run `cltv run --from {month} --to {month}` first."
            ) from error

    def months(self, filename: str) -> set[Month]:
        """Return the months that have a file of this name."""
        found = (month_of_folder(entry.name) for entry in self._storage.entries(self.uri))
        return {month for month in found if month and self._storage.size(self.path(month, filename)) is not None}

    def vacuum(self, older_than_hours: int) -> int:
        """Delete what killed writers left behind; return how many files."""
        oldest = (time.time() - older_than_hours * 3600) * 1e9
        stale = [
            entry.uri
            for entry in self._storage.entries(self.uri, recursive=True)
            if entry.name.startswith(".") and entry.name.endswith(".tmp") and entry.mtime_ns <= oldest
        ]
        return sum(map(self._storage.delete, stale))
