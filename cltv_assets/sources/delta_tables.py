"""A Delta table as a source: DuckDB asks one version of it, and skips files by their partitions and statistics."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import duckdb
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, DeltaProtocolError, TableNotFoundError

from cltv_assets.errors import SourceError
from cltv_assets.files.storage import Storage
from cltv_assets.sources.databases import DuckDBSession
from cltv_assets.sources.place import Place
from cltv_assets.sources.tables import Engine, Session


class DeltaEngine(Engine):
    """One version of a Delta table.

    Parameters
    ----------
    storage : Storage
        Where it is.
    path : str
        The table's folder.
    version : int or None
        Which version; by default the newest one when the source is first looked at.
    """

    quote, total, text_times = '"', "SUM(TRY_CAST({} AS DECIMAL(38, 4)))", False
    instant = "TIMESTAMP WITH TIME ZONE '{}+00'"

    def __init__(self, storage: Storage, path: str, version: int | None) -> None:
        self._storage, self._path = storage, path
        self._wanted = self._version = version
        self.name = f"{path} (Delta)"

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Open a session on the version."""
        rows = self._rows()
        with closing(duckdb.connect()) as connection:
            connection.register("source_rows", rows)
            yield DuckDBSession(Place(self.name, "source_rows", "source.path"), connection)

    def refresh(self) -> None:
        """Take the newest version from now on, unless the settings name one."""
        self._version = self._table(self._wanted).version()

    def _rows(self) -> Any:
        with self._guarded():
            return self._table(self._version).to_pyarrow_dataset()

    def _table(self, version: int | None) -> DeltaTable:
        with self._guarded():
            return DeltaTable(self._path, version=version, storage_options=self._storage.options)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except TableNotFoundError:
            raise SourceError(f"{self._path} is no Delta table.", "Correct source.path, or source.kind.") from None
        except DeltaProtocolError as error:
            raise SourceError(
                f"{self._path} cannot be read: {' '.join(str(error).split())}.",
                "Turn deletion vectors and column mapping off and rewrite it (REORG TABLE … APPLY (PURGE)), or export "
                "its current rows as Parquet.",
            ) from None
        except (DeltaError, OSError) as error:
            raise SourceError(
                f"{self._path} cannot be read: {' '.join(str(error).split())}.",
                "See whether source.version is still there, and whether the folder may be read.",
            ) from None
