"""An Iceberg table as a source: one snapshot of it, copied into a database file of DuckDB that months are asked of.

PyIceberg applies deletes and changes of the schema; it has no way to ask for a range of rows again and again
without reading the table each time, so a snapshot is read once.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from cltv_assets.errors import SourceError
from cltv_assets.sources.databases import Copy, DuckDBSession
from cltv_assets.sources.place import Place
from cltv_assets.sources.tables import Engine, Session

#: Begins a property whose value stands in an environment variable.
FROM_VARIABLE = "env:"


class IcebergEngine(Engine):
    """One snapshot of an Iceberg table.

    Parameters
    ----------
    catalog : mapping of str to str
        Properties of PyIceberg's catalogue, with its ``name``.
    table : str
        Namespace and name.
    snapshot : int or None
        Which snapshot; by default the current one each time the source is listed.
    """

    quote, total, text_times = '"', "SUM(TRY_CAST({} AS DECIMAL(38, 4)))", False
    instant = "TIMESTAMP WITH TIME ZONE '{}+00'"

    def __init__(self, catalog: Mapping[str, str], table: str, snapshot: int | None) -> None:
        self._catalog, self._table = catalog, table
        self._wanted = self._snapshot = snapshot
        self._copy = Copy()
        self.name = f"{table} (Iceberg)"

    def refresh(self) -> None:
        """Take the current snapshot from now on, unless the settings name one."""
        if self._wanted is None:
            with self._guarded():
                current = self._load().current_snapshot()
            self._snapshot = None if current is None else current.snapshot_id

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Open a session on the snapshot."""
        with ExitStack() as opened:
            with self._guarded():
                connection = opened.enter_context(self._copy.opened(self._snapshot, self._rows))
            yield DuckDBSession(Place(self.name, "source_rows", "source.table"), connection)

    def _rows(self) -> Any:
        return self._load().scan(snapshot_id=self._snapshot).to_arrow_batch_reader()

    def _load(self) -> Any:
        from pyiceberg.catalog import load_catalog

        properties = {name: _value(name, text) for name, text in self._catalog.items()}
        return load_catalog(properties.pop("name", "default"), **properties).load_table(self._table)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        try:
            from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchTableError
        except ImportError:
            raise SourceError(
                "source.kind iceberg needs the extra iceberg.", "Install it: pip install 'cltv-assets[iceberg]'."
            ) from None
        try:
            yield
        except (NoSuchTableError, NoSuchNamespaceError):
            raise SourceError(
                f"The catalogue has no table {self._table}.", "Correct source.table (namespace.name) or source.catalog."
            ) from None
        except SourceError:
            raise
        except Exception as error:
            if "equality delete" in str(error):
                raise SourceError(
                    f"{self.name} has equality deletes, as Flink and replication tools write them, and PyIceberg "
                    "cannot apply them.",
                    "Rewrite its data files (CALL system.rewrite_data_files with the option delete-file-threshold 1).",
                ) from None
            # A URL with a password may be anywhere in a foreign message, so only its kind is told.
            said = str(error) if isinstance(error, ValueError) and "://" not in str(error) else type(error).__name__
            for text in self._catalog.values():
                if secret := os.environ.get(text.removeprefix(FROM_VARIABLE)) if text.startswith(FROM_VARIABLE) else "":
                    said = said.replace(secret, "***")
            raise SourceError(
                f"{self.name} cannot be read: {' '.join(said.split())}.",
                "See whether source.catalog is right, source.snapshot still there, and the files may be read.",
            ) from None


def _value(name: str, text: str) -> str:
    if not text.startswith(FROM_VARIABLE):
        return text
    variable = text.removeprefix(FROM_VARIABLE)
    try:
        return os.environ[variable]
    except KeyError:
        raise SourceError(
            f"The environment variable {variable} is not set; source.catalog.{name} names it.", f"Set {variable}."
        ) from None
