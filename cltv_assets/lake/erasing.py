"""Erases one customer by writing every month that holds the customer again without them.

A month is replaced through the commit protocol like any other publication: whole, in
one commit, and refused if another process published it meanwhile. Replaced files stay
in the lake until ``LakeTable.vacuum``. Delta's log holds files and counts, but no values.
To finish an interrupted erasure, run it again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cltv_assets.columns import TableSchema
from cltv_assets.files.storage import Storage
from cltv_assets.lake.lake import Lake
from cltv_assets.lake.spellings import Spellings
from cltv_assets.months import Month

CUSTOMER, WHOLE_LINE = "customer_id", "source_text"
#: Rows read at once, which take some megabytes.
_BATCH_ROWS = 65_536
_OPERATION = {"cltv_assets.operation": "erase"}


@dataclass(frozen=True)
class Holding:
    """A month of a table that holds the customer.

    ``rows`` counts the customer's.
    """

    table: TableSchema
    month: Month
    rows: int


def names_customer(batch: pa.RecordBatch, customer: Spellings) -> pa.BooleanArray:
    """Return which rows name the customer, in ``customer_id`` or, where there is one, in ``source_text``."""
    found = customer.in_column(batch.column(CUSTOMER))
    if WHOLE_LINE in batch.schema.names:
        lines = batch.column(WHOLE_LINE)
        if lines.null_count < len(lines):
            found = pc.or_(found, customer.in_lines(lines))
    return found


def holdings(lake: Lake, tables: Sequence[TableSchema], customer: Spellings) -> list[Holding]:
    """Return where the customer is, in the order of ``tables``, oldest month first."""
    found = []
    for schema in tables:
        if not any(column.name == CUSTOMER for column in schema.columns):
            continue
        table = lake.table(schema)
        for month in table.months():
            rows = sum(_rows_of(lake, schema, path, customer) for path in table.files([month]))
            if rows:
                found.append(Holding(schema, month, rows))
    return found


def erase(lake: Lake, holding: Holding, customer: Spellings) -> None:
    """Publish the month again without the customer.

    Raises
    ------
    ConcurrentPublishError
        If another process publishes the month meanwhile; nothing is changed then.
    LakeError
        If it cannot be written.
    """
    table = lake.table(holding.table)
    with table.begin(holding.month) as staging:
        for path in table.files([holding.month]):
            _copy_without(lake.storage, path, staging.new_file(), customer)
        table.publish(staging.seal(copied=True), _OPERATION)


def _rows_of(lake: Lake, schema: TableSchema, path: str, customer: Spellings) -> int:
    columns = [column.name for column in schema.columns if column.name in (CUSTOMER, WHOLE_LINE)]
    with lake.storage.asking(path), lake.storage.open(path) as source:
        batches = pq.ParquetFile(source).iter_batches(_BATCH_ROWS, columns=columns)
        return sum(pc.sum(names_customer(batch, customer)).as_py() or 0 for batch in batches)


def _copy_without(storage: Storage, path: str, into: str, customer: Spellings) -> None:
    with storage.asking(path), storage.open(path) as source:
        file = pq.ParquetFile(source)
        # Drop the writer's metadata, so that only the rows of the old file remain.
        schema = file.schema_arrow.remove_metadata()
        with pq.ParquetWriter(storage.path(into), schema, filesystem=storage.filesystem, compression="zstd") as out:
            for batch in file.iter_batches(_BATCH_ROWS):
                kept = batch.filter(pc.invert(names_customer(batch, customer)))
                out.write_batch(kept.replace_schema_metadata(None))
