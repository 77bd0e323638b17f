"""Readers for users' data: CSV and Parquet files, and the CDNOW demo.

What a source does is deliver lines as they are, each in its month, and refuse
what it cannot read as configured. What a line is worth, or whether it is a
purchase at all, is decided later, in ``transforms``. No Dagster import.
"""

from __future__ import annotations

import datetime as dt
import threading

from cltv_assets.files.object_store import ObjectStore
from cltv_assets.files.source_storage import storage_of
from cltv_assets.settings import Settings
from cltv_assets.sources.cdnow import CdnowReader, cdnow_path
from cltv_assets.sources.csv_files import CsvReader
from cltv_assets.sources.inspection import SourceReport
from cltv_assets.sources.parquet_files import ParquetReader
from cltv_assets.sources.rows import Reader
from cltv_assets.sources.source import Landing, TransactionSource

__all__ = ["Landing", "SourceReport", "TransactionSource", "new_source", "open_source"]

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
    today : datetime.date, optional
        Stands for the current day in tests.
    objects : ObjectStore, optional
        How an ``s3://`` source is reached; that of the first call counts.

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

    Parameters
    ----------
    settings : Settings
    today : datetime.date, optional
        Stands for the current day.
    objects : ObjectStore, optional
        How an ``s3://`` source is reached.

    Raises
    ------
    SourceError
        If the path's scheme is unknown, or the demo's data are not installed.
    """
    if settings.source.kind == "cdnow":
        storage, path = storage_of(cdnow_path())
        return TransactionSource(settings, storage, path, CdnowReader(storage), today)
    storage, path = storage_of(settings.source_path, objects)
    reader: Reader
    if settings.source.kind == "csv":
        reader = CsvReader(storage, settings.source)
    else:
        reader = ParquetReader(storage, settings.source)
    return TransactionSource(settings, storage, path, reader, today)
