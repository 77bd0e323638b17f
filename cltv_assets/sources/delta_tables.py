"""A Delta table as a source: DuckDB asks one version of it, and skips files by their partitions and statistics."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from typing import Any

import duckdb
import pyarrow as pa
from deltalake import DeltaTable, QueryBuilder
from deltalake.exceptions import DeltaError, DeltaProtocolError, TableNotFoundError

from cltv_assets.errors import SourceError
from cltv_assets.files.storage import Storage
from cltv_assets.sources.databases import Copy, DuckDBSession
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
        self._copy = Copy()
        self.name = f"{path} (Delta)"

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Open a session on the version."""
        place = Place(self.name, "source_rows", "source.path")
        with ExitStack() as opened:
            with self._guarded():
                table = self._table(self._version)
                rows = _as_they_lie(table)
                if rows is None:
                    connection = opened.enter_context(self._copy.opened(table.version(), partial(_applied, table)))
                else:
                    connection = opened.enter_context(closing(duckdb.connect()))
                    connection.register("source_rows", rows)
            yield DuckDBSession(place, connection)

    def refresh(self) -> None:
        """Take the newest version from now on, unless the settings name one."""
        self._version = self._table(self._wanted).version()

    def _table(self, version: int | None) -> DeltaTable:
        with self._guarded():
            return DeltaTable(self._path, version=version, storage_options=self._storage.options)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            yield
        except TableNotFoundError:
            if self._wanted is not None and DeltaTable.is_deltatable(self._path, self._storage.options):
                raise SourceError(
                    f"{self._path}: its log no longer holds version {self._wanted}.",
                    "Name a newer source.version, or none.",
                ) from None
            raise SourceError(f"{self._path} is no Delta table.", "Correct source.path, or source.kind.") from None
        except (DeltaError, OSError, duckdb.Error) as error:
            said = " ".join(str(error).split())
            remedy = "See whether source.version is still there, and whether the folder may be read."
            if "nsupported" in said or isinstance(error, DeltaProtocolError):
                remedy = "Turn that feature off and rewrite the table, or export its current rows as Parquet."
            if isinstance(error, duckdb.Error):
                # It may be about a value.
                raise SourceError(
                    f"{self._path} cannot be read ({type(error).__name__}).", remedy, quoted=f"It says: {said}."
                ) from None
            raise SourceError(f"{self._path} cannot be read: {said}.", remedy) from None


def _as_they_lie(table: DeltaTable) -> Any:
    """Return the table's files as a data set of Arrow's; None where they alone do not say what the rows are."""
    # By the older protocol deltalake would not refuse it, and find nulls in each column that was renamed.
    if table.metadata().configuration.get("delta.columnMapping.mode", "none") != "none":
        return None
    try:
        return table.to_pyarrow_dataset()
    except DeltaProtocolError:
        return None


def _applied(table: DeltaTable) -> pa.RecordBatchReader:
    """Return the rows that deltalake's own engine finds: it knows deletion vectors and names of columns.

    For each query it would read all of the table.
    """
    return pa.RecordBatchReader.from_stream(QueryBuilder().register("rows", table).execute("SELECT * FROM rows"))
