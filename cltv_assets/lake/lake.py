"""The lake: one root, its tables and its files."""

from __future__ import annotations

from pathlib import Path

from cltv_assets.columns import TableSchema
from cltv_assets.files.lake_storage import Storage
from cltv_assets.files.object_store import ObjectStore
from cltv_assets.files.probe import check_folder, check_object_store
from cltv_assets.lake.files import MonthlyFiles
from cltv_assets.lake.handles import Handles
from cltv_assets.lake.table import LakeTable


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
    """

    def __init__(self, root: str, objects: ObjectStore | None = None, graph: str = "") -> None:
        self.graph = graph
        self._storage = Storage(root, objects)
        self._objects = objects
        self._handles = Handles(self._storage)

    @property
    def root(self) -> str:
        """Absolute folder, or URI."""
        return self._storage.root

    @property
    def storage(self) -> Storage:
        """The files under the root, for what tables and monthly files do not offer."""
        return self._storage

    def table(self, schema: TableSchema) -> LakeTable:
        """Return a table, which need not exist yet."""
        return LakeTable(self._storage, schema, self._handles, self.graph)

    def files(self, name: str) -> MonthlyFiles:
        """Return the monthly files kept under ``name``, such as the reports."""
        return MonthlyFiles(self._storage, name)

    def check_writable(self) -> None:
        """Find out now, rather than at the first publish, whether the root can be written safely.

        Raises
        ------
        LakeError
            If it cannot, saying why and what to do.
        """
        if self._storage.local:
            check_folder(Path(self.root))
        elif self._objects is not None:
            check_object_store(self._objects, self.root)
