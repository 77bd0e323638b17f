"""Open tables, kept: reading a log's news is much cheaper than reading the log."""

from __future__ import annotations

from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from cltv_assets.files.lake_storage import Storage


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
        if kept is not None and (of != options or not self._has_version(uri, kept.version(), checkpointed=True)):
            # Renewed credentials, or the table was deleted, perhaps made again.
            kept = None
        if kept is not None and self._has_version(uri, kept.version() + 1):
            try:
                kept.update_incremental()
            except (DeltaError, OSError):
                # Moved, replaced or expired under the handle: opening anew finds out which.
                kept = None
        table = kept or DeltaTable(uri, storage_options=options)
        self._open[uri] = table, options
        return table

    def _has_version(self, uri: str, version: int, checkpointed: bool = False) -> bool:
        """Return whether the log has a version's entry.

        Versions have no gaps, so a handle whose next version is not there is the newest.
        Asking for one name is many times cheaper on an object store than listing the log.
        """
        entry = f"{uri}/_delta_log/{version:020d}"
        if self._storage.size(f"{entry}.json") is not None:
            return True
        return checkpointed and self._storage.size(f"{entry}.checkpoint.parquet") is not None
