"""The lake: one root, its tables and its files."""

from __future__ import annotations

import os
import uuid
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from cltv_assets.errors import LakeError
from cltv_assets.lake.files import MonthlyFiles
from cltv_assets.lake.handles import Handles
from cltv_assets.lake.storage import CHOOSE_ROOT, Storage
from cltv_assets.lake.table import LakeTable
from cltv_assets.schemas.columns import TableSchema


class Lake:
    """Every table and file under one root. Making one touches nothing.

    Parameters
    ----------
    root : str
        A local folder, or an object store's URI.
    storage_options : mapping, optional
        Options of the object store, in deltalake's spelling.
    """

    def __init__(self, root: str, storage_options: Mapping[str, str] | None = None) -> None:
        self._storage = Storage(root, storage_options)
        self._handles = Handles(self._storage)

    @property
    def root(self) -> str:
        """Absolute folder, or URI."""
        return self._storage.root

    def table(self, schema: TableSchema) -> LakeTable:
        """Return a table, which need not exist yet."""
        return LakeTable(self._storage, schema, self._handles)

    def files(self, name: str) -> MonthlyFiles:
        """Return the monthly files kept under ``name``, such as the reports."""
        return MonthlyFiles(self._storage, name)

    def check_writable(self) -> None:
        """Find out now, rather than at the first publish, whether the root can be written.

        Raises
        ------
        LakeError
            If it cannot, saying why and what to do.
        """
        if not self._storage.local:
            return
        root = Path(self.root)
        for place in (root, *root.parents):
            if place.is_symlink() and not place.exists():
                raise LakeError(
                    f"The lake {root} cannot be used: {place} is a link that leads nowhere.",
                    f"Mount or create what it points to, or {CHOOSE_ROOT}.",
                )
            if place.exists() and not place.is_dir():
                raise LakeError(
                    f"The lake {root} cannot be used: {place} is a file, not a folder.",
                    f"Move that file away, or {CHOOSE_ROOT}.",
                )
        probe = root / f".writable-{uuid.uuid4().hex}"
        linked = probe.with_suffix(".link")
        try:
            root.mkdir(parents=True, exist_ok=True)
            probe.write_bytes(b"probe")
        except OSError as error:
            raise LakeError(
                f"The lake {root} cannot be written: {error.strerror or error}.",
                f"Give the user who runs this permission and room to write there, or {CHOOSE_ROOT}.",
            ) from error
        try:
            os.link(probe, linked)  # how delta-rs makes a commit atomic
        except OSError as error:
            raise LakeError(
                f"The lake {root} is on a file system without hard links ({error.strerror or error}), "
                "which atomic commits need.",
                f"To use a local disk, {CHOOSE_ROOT}.",
            ) from error
        finally:
            for path in (probe, linked):
                with suppress(OSError):
                    path.unlink(missing_ok=True)
