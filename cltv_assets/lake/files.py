"""Monthly files beside the tables, such as the HTML report."""

from __future__ import annotations

import datetime as dt

from pyarrow import fs

from cltv_assets.errors import LakeError, MissingMonthsError
from cltv_assets.files.lake_storage import CHOOSE_ROOT, Storage, month_folder, month_of_folder
from cltv_assets.months import Month


class MonthlyFiles:
    """Files under ``<root>/<name>/month=YYYY-MM-01/``. Get it from ``Lake.files``.

    Parameters
    ----------
    storage : Storage
    name : str
        Folder below the root.
    """

    def __init__(self, storage: Storage, name: str) -> None:
        self.name = name
        self.uri = storage.uri(name)
        self._storage = storage

    def path(self, month: Month, filename: str) -> str:
        """Return the absolute path or URI of a month's file, written or not."""
        if "/" in filename or filename.startswith(".") or not filename:
            raise ValueError(f"{filename!r} is not a plain file name")
        return f"{self.uri}/{month_folder(month)}/{filename}"

    def publish(self, month: Month, filename: str, content: bytes) -> str:
        """Write or replace a file whole and return its path.

        Raises
        ------
        LakeError
            If it cannot be written; the file that was there stays.
        """
        path = self.path(month, filename)
        try:
            self._storage.make_folder(f"{self.uri}/{month_folder(month)}")
            self._storage.write_atomically(path, content)
        except OSError as error:
            raise LakeError(
                f"Cannot write {path}: {error.strerror or error}.",
                f"Give the user who runs this permission and room to write there, or {CHOOSE_ROOT}.",
            ) from error
        return path

    def read(self, month: Month, filename: str) -> bytes:
        """Return a file's content.

        Raises
        ------
        MissingMonthsError
            If the month has no such file.
        """
        path = self.path(month, filename)
        try:
            return self._storage.read(path)
        except FileNotFoundError as error:
            raise MissingMonthsError(
                f"There is no {filename} for {month} ({path}).", f"Run `cltv run --from {month} --to {month}` first."
            ) from error

    def months(self, filename: str) -> set[Month]:
        """Return the months that have a file of this name."""
        found = (month_of_folder(info.base_name) for info in self._storage.entries(self.uri))
        return {month for month in found if month and self._storage.size(self.path(month, filename)) is not None}

    def vacuum(self, older_than_hours: int) -> int:
        """Delete what killed writers left behind; return how many files."""
        oldest = dt.datetime.now(dt.UTC) - dt.timedelta(hours=older_than_hours)
        stale = [
            info
            for info in self._storage.entries(self.uri, recursive=True)
            if info.type == fs.FileType.File
            and info.base_name.startswith(".")
            and info.base_name.endswith(".tmp")
            and info.mtime <= oldest
        ]
        for info in stale:
            with self._storage.asking(self.uri):
                self._storage.filesystem.delete_file(info.path)
        return len(stale)
