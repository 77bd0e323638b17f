"""The embedded engine: Ibis on DuckDB, in this process, no server and no Java."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.operations as ops
import ibis.expr.types as ir
import pyarrow as pa

from cltv_assets.columns import MONTH, TableSchema
from cltv_assets.engines.measuring import measure
from cltv_assets.engines.remote_files import is_remote, remote_dataset
from cltv_assets.files.object_store import ObjectStore

#: Rows to a row group: small enough to keep a writer's memory flat.
_ROW_GROUP = 122_880


class DuckDBEngine:
    """Ibis on an in-memory DuckDB that spills to a temporary folder.

    Parameters
    ----------
    memory_limit : str
        Above it DuckDB spills to disk, for example ``'2GB'``.
    objects : ObjectStore, optional
        Where ``s3://`` files are read from and written to.
    """

    name = "duckdb"

    def __init__(self, memory_limit: str = "2GB", objects: ObjectStore | None = None) -> None:
        self._objects = objects
        self._spill = tempfile.TemporaryDirectory(prefix="cltv-duckdb-", ignore_cleanup_errors=True)
        self._connection = ibis.duckdb.connect(
            memory_limit=memory_limit,
            temp_directory=self._spill.name,
            # Rows have no order in a lake; keeping one would cost memory.
            preserve_insertion_order=False,
        )
        self._connection.raw_sql("SET TimeZone = 'UTC'")
        self._names = (f"cltv_{i}" for i in itertools.count())
        self._held: list[str] = []

    def read_lake(self, schema: TableSchema, files: Sequence[str]) -> ir.Table:
        """Return published files of a table, lazily, with its ``month`` column."""
        return self._read(schema.ibis_with_month, schema.arrow_with_month, files, hive=True)

    def read_files(self, schema: TableSchema, files: Sequence[str]) -> ir.Table:
        """Return files of one month, lazily, without a ``month`` column."""
        return self._read(schema.ibis, schema.arrow, files, hive=False)

    def _read(self, schema: ibis.Schema, arrow: pa.Schema, files: Sequence[str], hive: bool) -> ir.Table:
        if not files:
            return self.from_arrow(arrow.empty_table())
        name = next(self._names)
        if self._objects is not None and is_remote(files[0]):
            self._connection.con.register(name, remote_dataset(self._objects, files, arrow, hive))
            self._held.append(f'VIEW "{name}"')
            return self._table(name, schema)
        columns = ", ".join(f'"{column}"' for column in schema.names)
        paths = ", ".join("'" + path.replace("'", "''") + "'" for path in files)
        types = (
            f", hive_partitioning = true, hive_types = {{'{MONTH}': DATE}}" if hive else ", hive_partitioning = false"
        )
        query = f"SELECT {columns} FROM read_parquet([{paths}]{types})"  # noqa: S608 - our own files
        self._connection.raw_sql(f'CREATE VIEW "{name}" AS {query}')
        self._held.append(f'VIEW "{name}"')
        return self._table(name, schema)

    def from_arrow(self, table: pa.Table) -> ir.Table:
        """Hand a small table to the engine."""
        name = next(self._names)
        self._connection.con.register(name, table)
        self._held.append(f'VIEW "{name}"')
        return self._table(name, ibis.Schema.from_pyarrow(table.schema))

    def cache(self, expression: ir.Table) -> ir.Table:
        """Compute once what a step reads several times; kept until ``release``."""
        name = next(self._names)
        schema = expression.schema()
        # A temporary table spills to disk above the memory limit, like any other.
        self._connection.raw_sql(f'CREATE TEMPORARY TABLE "{name}" AS {self._typed(expression, schema)}')
        self._held.append(f'TABLE "{name}"')
        return self._table(name, schema)

    def _table(self, name: str, schema: ibis.Schema) -> ir.Table:
        # Ibis would ask DuckDB to describe the table; what it would find is known here.
        return ops.DatabaseTable(name=name, schema=schema, source=self._connection, namespace=ops.Namespace()).to_expr()

    def release(self) -> None:
        """Drop what ``cache`` and ``from_arrow`` hold: the step is over."""
        for what in self._held:
            self._connection.raw_sql(f"DROP {what}")
        self._held.clear()

    def write(self, expression: ir.Table, schema: TableSchema, path: str) -> None:
        """Compute ``expression`` into one parquet file, cast to ``schema``."""
        query = self._typed(expression.select(*schema.column_names), schema.ibis)
        if self._objects is None or not is_remote(path):
            self._copy(query, path)
            return
        # DuckDB reaches S3 by an extension that has to be downloaded; Arrow is here.
        local = Path(self._spill.name) / f"{next(self._names)}.parquet"
        try:
            self._copy(query, str(local))
            self._objects.upload(local, path)
        finally:
            local.unlink(missing_ok=True)

    def _copy(self, query: str, path: str) -> None:
        target = path.replace("'", "''")
        self._connection.raw_sql(
            f"COPY ({query}) TO '{target}' (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_ROW_GROUP})"
        )

    def _typed(self, expression: ir.Table, schema: ibis.Schema) -> str:
        """Return the query with every column cast for certain.

        Ibis leaves out a cast to the type it believes a column has already, and is
        wrong about sums: DuckDB widens them, and parquet would hold doubles.
        """
        types = self._connection.compiler.type_mapper
        columns = ", ".join(f'CAST("{name}" AS {types.to_string(dtype)}) AS "{name}"' for name, dtype in schema.items())
        return f"SELECT {columns} FROM ({self._connection.compile(expression)})"  # noqa: S608 - generated, no user text

    def collect(self, expression: ir.Table) -> pa.Table:
        """Compute a small result and bring it here."""
        return self._connection.to_pyarrow(expression)

    def stream(self, expression: ir.Table) -> Iterator[pa.RecordBatch]:
        """Compute a result of any size and bring it here, a batch at a time."""
        schema = expression.schema()
        # Ibis' own batches call what DuckDB 2 no longer has.
        found = self._connection.con.sql(self._typed(expression, schema)).to_arrow_reader(_ROW_GROUP)
        for batch in found:
            yield batch.cast(schema.to_pyarrow())

    def measure(self, table: ir.Table, measures: dict[str, ir.Scalar]) -> dict[str, Any]:
        """Compute all ``measures`` of ``table`` in one pass."""
        return measure(table, measures, self.collect)

    def close(self) -> None:
        """Release memory and the spill folder."""
        self._connection.disconnect()
        self._spill.cleanup()
