"""Reads what is known of customers: a file with a line for each, CSV or Parquet."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from cltv_assets.errors import SourceError
from cltv_assets.files.storage import Storage
from cltv_assets.settings import Source
from cltv_assets.settings.customers import Customers
from cltv_assets.settings.source_fields import CanonicalName
from cltv_assets.sources.csv_files import CsvReader
from cltv_assets.sources.files import SourceFile
from cltv_assets.sources.meaning import folded, one_spelling
from cltv_assets.sources.parquet_files import ParquetReader

#: The columns of the file's lines: number, id, and from ``v0`` on the attributes in the order of the settings.
LINE, ID = "line", "id"


def read_customers(storage: Storage, path: str, settings: Customers, source: Source) -> pa.Table:
    """Return all lines of the file: their numbers, ids folded as those of transactions are, and attributes.

    Parameters
    ----------
    storage : Storage
        Where the file is.
    path : str
        The file.
    settings : Customers
        Its columns.
    source : Source
        How ids are folded, and which words mean that nothing is known.

    Returns
    -------
    pyarrow.Table
        ``line`` (int64), ``id``, ``v0``, ``v1``, … (text; null where nothing is known).

    Raises
    ------
    SourceError
        If it is not there, lacks a column, or a line cannot be split; the first such line is named.
    """
    with storage.asking(path):
        there = storage.stat(path)
    if there is None or there.kind == "broken":
        raise SourceError(f"There is no file at {path}.", "Correct customers.path, or put the file there.")
    names = (settings.id, *settings.attributes)
    # The readers of transactions, which want to know where the time is: here there is none.
    columns: dict[CanonicalName, tuple[str, ...]] = {"customer_id": (settings.id,), "transacted_at": ()}
    form = Source.model_construct(kind="csv", delimiter=settings.delimiter, columns=columns)
    reads = ParquetReader if path.lower().endswith(".parquet") else CsvReader
    reader = reads(storage, form.wanting(names, "customers"))
    texts = (ID, *(f"v{at}" for at in range(len(settings.attributes))))
    schema = pa.schema([(LINE, pa.int64()), *((name, pa.string()) for name in texts)])
    batches = []
    for lines in reader.read(SourceFile(path, path, None, there.size, there.mtime_ns)):
        if lines.texts is not None and lines.texts.null_count < len(lines.texts):
            number = lines.numbers[pc.index(pc.is_valid(lines.texts), True).as_py()]
            raise SourceError(f"{path}, line {number}: it has not as many fields as the header.", "Mend that line.")
        ids, *values = (lines.columns[name] for name in names)
        known = [_known(texts, source.missing_words) for texts in values]
        arrays = [lines.numbers, folded(ids, source.customer_id_folding), *known]
        batches.append(pa.RecordBatch.from_arrays(arrays, schema=schema))
    return pa.Table.from_batches(batches, schema)


def _known(texts: pa.Array, missing: tuple[str, ...]) -> pa.Array:
    """Return values in one spelling, null where nothing is known."""
    encoded = texts.dictionary_encode()
    spelled = [one_spelling(text) for text in encoded.dictionary.to_pylist()]
    return pa.array([text if text.lower() not in ("", *missing) else None for text in spelled], pa.string()).take(
        encoded.indices
    )
