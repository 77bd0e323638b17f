"""Open tables, kept: reading a log's news is much cheaper than reading the log."""

from __future__ import annotations

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from cltv_assets.lake.storage import Storage


class Handles:
    """Delta tables opened through one ``Lake``, brought up to date at each use.

    Parameters
    ----------
    storage : Storage
    """

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        #: Each with the options that it was opened with: renewed credentials need a new handle.
        self._open: dict[str, tuple[DeltaTable, dict[str, str] | None]] = {}

    def newest(self, uri: str) -> DeltaTable:
        """Return the newest version of the table.

        Raises
        ------
        deltalake.exceptions.TableNotFoundError
            If there is none.
        deltalake.exceptions.DeltaError, OSError
            If it cannot be read.
        """
        options = self._storage.options
        kept, of = self._open.pop(uri, (None, None))
        if kept is not None and of == options and self._still_there(uri, kept):
            try:
                kept.update_incremental()
            except (DeltaError, OSError):
                # Moved, replaced or expired under the handle: opening anew finds out which.
                kept = None
        else:
            kept = None
        table = kept or DeltaTable(uri, storage_options=options)
        self._open[uri] = table, options
        return table

    def _still_there(self, uri: str, table: DeltaTable) -> bool:
        """Tell a table that moved on from one that was deleted and made again."""
        entry = f"{uri}/_delta_log/{table.version():020d}"
        return any(self._storage.size(entry + ending) is not None for ending in (".json", ".checkpoint.parquet"))
