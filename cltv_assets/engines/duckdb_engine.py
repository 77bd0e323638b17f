"""The embedded engine: Ibis on DuckDB, in this process, no server and no Java."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from cltv_assets.columns import TableSchema
from cltv_assets.engines.duckdb_files import dataset_over, query_over
from cltv_assets.engines.engine import Engine
from cltv_assets.files.object_store import S3, ObjectStore, is_s3
from cltv_assets.files.scratch import ScratchFolder
from cltv_assets.files.storage import Storage

#: Rows in a row group; few enough to keep a writer's memory constant.
_ROW_GROUP = 122_880
#: Distinct values of a column in a row group that make a dictionary. DuckDB's own bound is a tenth of
#: the rows; ids then get dictionaries that take a quarter of the time and make the files larger.
_DICTIONARY = 1_000
#: Of zstd. Level 3, the default, makes files up to 5 % smaller and takes up to 40 % more time.
_LEVEL = 1
#: Up to so many bytes of input, a step's queries take one thread: waking and joining more costs more than they do.
_ONE_THREAD = 16 << 20
#: Up to so many bytes, a file on S3 is fetched once, because a month's queries ask for it several times.
_COPIED = 8 << 20


class DuckDBEngine(Engine):
    """Ibis on an in-memory DuckDB that spills to a temporary folder.

    Parameters
    ----------
    memory_limit : str
        Above it DuckDB spills to disk, for example ``'2GB'``.
    objects : ObjectStore, optional
        Where ``s3://`` files are read from and written to.
    """

    name = "duckdb"
    _quote = '"'

    def __init__(self, memory_limit: str = "2GB", objects: ObjectStore | None = None) -> None:
        super().__init__()
        self._objects = objects
        self._spill = ScratchFolder("duckdb")
        self._backend = ibis.duckdb.connect(
            memory_limit=memory_limit,
            # Rows in the lake have no order, and preserving one would cost memory.
            preserve_insertion_order=False,
        )
        # Not above: to Ibis, engines opened alike are equal, and so are their expressions.
        self._backend.raw_sql(f"SET temp_directory = '{self._spill.path}'")
        self._backend.raw_sql("SET TimeZone = 'UTC'")
        # A window has a small file for each month of history, and each query would read every footer again.
        self._backend.raw_sql("SET parquet_metadata_cache = true")
        self._held: list[str] = []
        self._few = False
        self._begin_small()

    def _read(self, table: TableSchema, files: Sequence[str], *, hive: bool) -> ir.Table:
        schema = table.ibis_with_month if hive else table.ibis
        arrow = table.arrow_with_month if hive else table.arrow
        if not files:
            return self.from_arrow(arrow.empty_table())
        name = next(self._names)
        if self._objects is not None and is_s3(files[0]):
            copies = [self._copied(self._objects, file) for file in files]
            if None in copies:
                self._backend.con.register(name, dataset_over(files, self._objects.filesystem(), arrow, hive=hive))
                # Reading from S3 is waiting, whatever the size.
                self._weigh(_ONE_THREAD)
                self._held.append(f'VIEW "{name}"')
                return self._table(name, schema)
            files = [str(copy) for copy in copies]
        self._weigh(sum(map(os.path.getsize, files)))
        self._backend.raw_sql(f'CREATE VIEW "{name}" AS {query_over(table, files, hive=hive)}')
        self._held.append(f'VIEW "{name}"')
        return self._table(name, schema)

    def from_arrow(self, table: pa.Table) -> ir.Table:
        """Hand a small table to the engine."""
        name = next(self._names)
        self._weigh(table.nbytes)
        self._backend.con.register(name, table)
        self._held.append(f'VIEW "{name}"')
        return self._table(name, ibis.Schema.from_pyarrow(table.schema))

    def cache(self, expression: ir.Table) -> ir.Table:
        """Compute once what a step reads several times; kept until ``release``."""
        name = next(self._names)
        schema = expression.schema()
        # A temporary table spills to disk above the memory limit, like any other.
        self._backend.raw_sql(f'CREATE TEMPORARY TABLE "{name}" AS {self._typed(expression, schema)}')
        self._held.append(f'TABLE "{name}"')
        return self._table(name, schema)

    def release(self) -> None:
        """Drop what ``cache`` and ``from_arrow`` hold: the step is over."""
        for what in self._held:
            self._backend.raw_sql(f"DROP {what}")
        self._held.clear()
        # Arrow keeps what a step used for the next one, which DuckDB and NumPy cannot use.
        pa.default_memory_pool().release_unused()
        self._begin_small()
        # The next month's tables get the names of this one's, so that its queries are the same.
        self._names = self._fresh_names()

    def _weigh(self, size: int) -> None:
        """Use every core as soon as what the step reads is more than a little."""
        self._weight += size
        if self._few and self._weight >= _ONE_THREAD:
            self._few = False
            self._backend.raw_sql("RESET threads")

    def _begin_small(self) -> None:
        self._weight = 0
        if not self._few:
            self._few = True
            self._backend.raw_sql("SET threads = 1")

    def write(self, expression: ir.Table, schema: TableSchema, path: str) -> None:
        """Compute ``expression`` into one parquet file, cast to ``schema``."""
        query = self._typed(expression.select(*schema.column_names), schema.ibis)
        if self._objects is None or not is_s3(path):
            self._copy(query, path)
            return
        local = self._place_of_copy(path)
        self._copy(query, str(local))
        self._objects.upload(local, path)
        if local.stat().st_size > _COPIED:
            local.unlink()

    def _copied(self, objects: ObjectStore, file: str) -> Path | None:
        """Return a local copy of a file on S3, None if it is large. The lake's files never change."""
        local = self._place_of_copy(file)
        if not local.exists():
            storage = Storage(file, objects)
            with storage.asking(file), storage.open(file) as stream:
                if stream.size() > _COPIED:
                    return None
                content = stream.read()
            begun = local.with_suffix(".begun")
            begun.write_bytes(content)
            begun.rename(local)
        return local

    def _place_of_copy(self, file: str) -> Path:
        local = self._spill.path / "copies" / file.removeprefix(S3)
        local.parent.mkdir(parents=True, exist_ok=True)
        return local

    def _copy(self, query: str, path: str) -> None:
        target = path.replace("'", "''")
        self._backend.raw_sql(
            f"COPY ({query}) TO '{target}' "
            f"(FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL {_LEVEL}, "
            f"ROW_GROUP_SIZE {_ROW_GROUP}, DICTIONARY_SIZE_LIMIT {_DICTIONARY})"
        )

    def collect(self, expression: ir.Table) -> pa.Table:
        """Compute a small result and bring it here."""
        found: pa.Table = self._backend.con.sql(self._sql(expression)).to_arrow_table()
        return found.cast(expression.schema().to_pyarrow())

    def _row(self, expression: ir.Table) -> tuple[Any, ...]:
        # Only a relation gives Arrow without a copy, and it is bound twice: a third more time for many measures.
        row: tuple[Any, ...] = self._backend.con.execute(self._sql(expression)).fetchall()[0]
        return row

    def stream(self, expression: ir.Table) -> Iterator[pa.RecordBatch]:
        """Compute a result of any size and bring it here, a batch at a time."""
        schema = expression.schema()
        # Ibis' own batches call a function that DuckDB 2 no longer has.
        found = self._backend.con.sql(self._typed(expression, schema)).to_arrow_reader(_ROW_GROUP)
        for batch in found:
            yield batch.cast(schema.to_pyarrow())

    def close(self) -> None:
        """Release memory and the spill folder."""
        self._backend.disconnect()
        self._spill.close()
