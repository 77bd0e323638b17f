"""Readers for users' data: files of several forms, databases, Delta tables, and the CDNOW demo.

A source delivers lines as they are, each in its month, and refuses what it cannot
read as configured. ``tables.cleaned_and_rejected`` decides later what a line is
worth, or whether it is a purchase at all. No Dagster import.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from functools import partial

from cltv_assets.errors import SourceError
from cltv_assets.files.object_store import ObjectStore
from cltv_assets.files.storage import Storage
from cltv_assets.settings import Settings, Source
from cltv_assets.sources.cdnow import CdnowReader, cdnow_path
from cltv_assets.sources.csv_files import CsvReader
from cltv_assets.sources.databases import database_of
from cltv_assets.sources.delta_tables import DeltaEngine
from cltv_assets.sources.excel_files import ExcelReader
from cltv_assets.sources.iceberg_tables import IcebergEngine
from cltv_assets.sources.inspection import SourceReport
from cltv_assets.sources.json_files import JsonReader
from cltv_assets.sources.parquet_files import ParquetReader
from cltv_assets.sources.query import QUERY, QueryReader
from cltv_assets.sources.query_machines import QueryMachines
from cltv_assets.sources.reading import Reader
from cltv_assets.sources.source import Landing, TransactionSource
from cltv_assets.sources.spreading import Workers
from cltv_assets.sources.tables import TableReader
from cltv_assets.sources.warehouses import Warehouse, WarehouseReader

__all__ = ["Landing", "SourceReport", "TransactionSource", "Workers", "new_source", "open_source", "storage_of"]

_READERS: dict[str, Callable[[Storage, Source], Reader]] = {
    "csv": CsvReader,
    "jsonl": JsonReader,
    "excel": ExcelReader,
    "parquet": ParquetReader,
}

_open: dict[tuple[str, dt.date | None], TransactionSource] = {}
_lock = threading.Lock()


def open_source(
    settings: Settings, today: dt.date | None = None, objects: ObjectStore | None = None
) -> TransactionSource:
    """Return the configured source; nothing is read yet.

    The same settings give the same object for as long as the process lives, so
    that every asset and every month shares one landing cache.

    Parameters
    ----------
    settings : Settings
        Which source, and how it is read.
    today : datetime.date, optional
        Stands for the current day in tests.
    objects : ObjectStore, optional
        How an ``s3://`` source is reached; the first call's is used.

    Raises
    ------
    SourceError
        If the path's scheme is unknown, or the demo's data are not installed.
    """
    key = settings.model_dump_json(), today
    with _lock:
        if key not in _open:
            _open[key] = new_source(settings, today, objects)
        return _open[key]


def new_source(
    settings: Settings, today: dt.date | None = None, objects: ObjectStore | None = None
) -> TransactionSource:
    """Return the configured source with a landing cache of its own; close it after use.

    Its parameters and errors are those of ``open_source``.
    """
    source = _opened(settings, today, objects)
    source.objects = objects
    return source


def _opened(settings: Settings, today: dt.date | None, objects: ObjectStore | None) -> TransactionSource:
    if settings.source.kind == "cdnow":
        storage, path = storage_of(cdnow_path())
        return TransactionSource(settings, storage, path, partial(CdnowReader, storage), today)
    if settings.source.kind == "sql":
        held = database_of(settings)
        if isinstance(held, Warehouse):
            asked = partial(WarehouseReader, held, settings)
            return TransactionSource(settings, Storage("/"), held.name, asked, today)
        return TransactionSource(settings, Storage("/"), held.name, partial(TableReader, held, settings), today)

    if settings.source.kind == "iceberg":
        table = IcebergEngine(settings.source.catalog, settings.source.table or "", settings.source.snapshot)
        return TransactionSource(settings, Storage("/"), table.name, partial(TableReader, table, settings), today)

    def files(path: str) -> TransactionSource:
        storage, path = storage_of(settings.absolute(path), objects)
        if settings.source.kind == "delta":
            delta = DeltaEngine(storage, path, settings.source.version)
            return TransactionSource(settings, storage, path, partial(TableReader, delta, settings), today)
        return TransactionSource(settings, storage, path, partial(_READERS[settings.source.kind], storage), today)

    if settings.source.query is None:
        return files(settings.source.path or "")
    deliveries = {name: files(path) for name, path in settings.source.paths.items()}
    machines = QueryMachines(lambda: source.workers)
    reader = partial(QueryReader, deliveries, settings.duckdb_memory_limit, machines)
    source = TransactionSource(settings, next(iter(deliveries.values())).storage, QUERY, reader, today)
    return source


def storage_of(path: str, objects: ObjectStore | None = None) -> tuple[Storage, str]:
    """Return the storage of a path or address, and the path inside that storage."""
    scheme, found, rest = path.partition("://")
    if scheme == "file" and found:
        path, found = "/" + rest.lstrip("/"), ""
    # Only the bucket of an address goes into a URI, because stars and {month} are not allowed in one.
    root = f"{scheme}://{rest.partition('/')[0]}" if found else "/"
    return Storage(root, objects, SourceError), path.rstrip("/") if found else path
