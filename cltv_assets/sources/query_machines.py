"""Runs a query over delivered files on other machines, which read the files too.

Each table is read in stretches by the same readers as on one machine. The rows lie in Parquet files on the lake's
storage, out of every table's folder, until the source's files change or the process ends.
"""

from __future__ import annotations

import logging
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pt

from cltv_assets.errors import NoWorkersError, SourceError, StatementError
from cltv_assets.files.storage import Storage
from cltv_assets.sources.contents import BLOCK
from cltv_assets.sources.files import SourceFile
from cltv_assets.sources.parts import ROW_GROUP
from cltv_assets.sources.query import QUERY, QueryTable, texts
from cltv_assets.sources.query_in_spark import SparkQuery
from cltv_assets.sources.reading import Reader
from cltv_assets.sources.spreading import NotSpreadError, Sight, Work, Workers, divided, new_folder

if TYPE_CHECKING:
    from cltv_assets.engines.engine import Rows

log = logging.getLogger(__name__)


class QueryMachines:
    """Runs the queries of one source where the engine has machines, and each only once.

    Parameters
    ----------
    workers : callable
        Returns them; None while there are none.
    """

    def __init__(self, workers: Callable[[], Workers | None]) -> None:
        self._workers = workers
        self._kept: tuple[SourceFile, _Kept] | None = None

    def rows(
        self, file: SourceFile, query: str, tables: Mapping[str, QueryTable], types: Sequence[pa.DataType]
    ) -> Iterator[pa.RecordBatch] | None:
        """Yield the query's rows in the order of their values; None if there are no machines that can.

        Raises
        ------
        SourceError
            If a file cannot be read as configured, or the query does not mean the same there or fails.
        """
        if self._kept is None or self._kept[0] != file:
            workers = self._workers()
            if workers is None or workers.query is None:
                return None
            kept = _Kept(workers.storage, [_in_spark(type_) for type_ in types])
            spark = SparkQuery(query, QUERY)
            try:
                rows = {name: _rows(workers, table) for name, table in tables.items()}
                workers.query(spark.sql, rows, kept.types, kept.folder)
            except StatementError as error:
                where = spark.where(*error.place) if error.place else ""
                raise SourceError(f"{QUERY}{where}: {error.problem}", error.remedy, quoted=error.quoted) from None
            except (NotSpreadError, NoWorkersError) as reason:
                log.warning("%s is run by the driver alone: %s", QUERY, reason)
                return None
            self._kept = file, kept
        return self._kept[1].batches()


class _Kept:
    """The rows of a query, in files that go with this object."""

    def __init__(self, storage: Storage, types: Sequence[pa.DataType]) -> None:
        self._storage = storage
        self.types = types
        self.folder = new_folder(storage)
        # A process that is killed leaves it to `cltv vacuum`.
        weakref.finalize(self, _delete, storage, self.folder)

    def batches(self) -> Iterator[pa.RecordBatch]:
        for entry in self._storage.entries(self.folder):
            if entry.name.endswith(".parquet"):
                with self._storage.asking(entry.uri), self._storage.open(entry.uri) as stream:
                    for batch in pq.ParquetFile(stream).iter_batches(ROW_GROUP):
                        # Spark's times have all a time zone, UTC.
                        columns = [column.cast(type_) for column, type_ in zip(batch.columns, self.types, strict=True)]
                        yield pa.RecordBatch.from_arrays(columns, batch.schema.names)


def _delete(storage: Storage, folder: str) -> None:
    # At the process's end the store may be out of reach already.
    with suppress(Exception):
        storage.delete(folder)


def _rows(workers: Workers, table: QueryTable) -> Rows:
    sight = Sight(table.storage)
    units = divided(workers, sight, table.reader, BLOCK, table.files)
    return table.columns, partial(_unit, sight, table.columns, table.reader, units), len(units)


def _unit(
    sight: Sight, columns: Sequence[str], reader: Reader, units: Sequence[Sequence[Work]], number: int
) -> Iterator[pa.RecordBatch]:
    """Read a unit of a table. Runs on executors."""
    if refusal := sight.refusal(file for file, _ in units[number]):
        raise NoWorkersError(f"{refusal}.", "Then run it again.")
    return texts(columns, reader, units[number])


def _in_spark(type_: pa.DataType) -> pa.DataType:
    """Return the type of Spark's whose values have the same text."""
    if pt.is_dictionary(type_) or pt.is_null(type_):
        return pa.string()
    if pt.is_unsigned_integer(type_):
        return pa.decimal128(20, 0)
    return pa.timestamp("us", type_.tz and "UTC") if pt.is_timestamp(type_) else type_
