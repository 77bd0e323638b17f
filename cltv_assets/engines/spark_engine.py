"""The engine for more than one machine: Ibis on Spark, compiled to SQL.

Tables are computed without Python. Only large deliveries are parsed by functions of this package
on the executors (`workers`). Works with a classic session and through Spark Connect alike.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import ibis
import ibis.expr.types as ir
import pyarrow as pa

from cltv_assets import errors
from cltv_assets.columns import MONTH, TableSchema
from cltv_assets.engines.engine import Engine, Rows, RunQuery, RunTasks
from cltv_assets.engines.spark_config import MAGIC_COMMITTER, literal_path, s3a_conf, spark_path
from cltv_assets.engines.spark_faults import explain, is_sparks, spark_faults
from cltv_assets.errors import CltvError, NoWorkersError, StatementError
from cltv_assets.files.object_store import Credentials, ObjectStore, bucket_of, is_s3

#: Bytes of shuffled rows that become one file; parquet compresses them to between a quarter and a half.
_ROWS_TO_A_FILE = "768m"
#: A result that needs no shuffle is written as its partitions are, if they are few and neither tiny nor larger than
#: that: a shuffle would take a third of the write. The bytes are of rows, as Spark estimates them.
_FEW_FILES, _LARGE_ENOUGH = 8, 4 << 20
#: How executors say that they cannot run this package.
_LACKING = re.compile(r"No module named '[\w.]+'|PYTHON_VERSION_MISMATCH|Can't get attribute '\w+'")
_INSTALL = "Install the driver's wheel of cltv-assets, with its Python version, on every worker (docs/scaling.md)."


class SparkEngine(Engine):
    """Ibis on a Spark session, which is made when first needed.

    Parameters
    ----------
    session : callable
        Returns the session. Whoever made it stops it.
    objects : ObjectStore, optional
        How classic sessions reach ``s3://``; a Connect server has credentials of its own.
    on_close : callable, optional
        Called when the engine is closed, for an owner of the session that ends with it.
    """

    name = "spark"
    _quote = "`"

    def __init__(
        self,
        session: Callable[[], Any],
        objects: ObjectStore | None = None,
        on_close: Callable[[], None] | None = None,
    ) -> None:
        # Sessions may be shared, so the names are unique to this engine.
        super().__init__(f"cltv_{uuid.uuid4().hex[:8]}")
        self._make_session = session
        self._objects = objects
        self._on_close = on_close
        self._views: list[str] = []
        self._cached: list[Any] = []
        self._told: dict[str, Credentials] = {}

    @cached_property
    def _session(self) -> Any:
        return self._make_session()

    @cached_property
    def _backend(self) -> Any:
        with spark_faults():
            return ibis.pyspark.connect(self._session)

    @cached_property
    def _is_remote(self) -> bool:
        return ".connect." in type(self._session).__module__

    def _read(self, table: TableSchema, files: Sequence[str], *, hive: bool) -> ir.Table:
        schema = table.ibis_with_month if hive else table.ibis
        if not files:
            return self.from_arrow((table.arrow_with_month if hive else table.arrow).empty_table())
        with spark_faults():
            for file in files:
                self._reach(file)
            reader = self._session.read.schema(_spark_schema(schema))
            if hive:
                reader = reader.option("basePath", spark_path(files[0].rpartition(f"/{MONTH}=")[0]))
            else:
                # Without this a folder's name would become a column.
                reader = reader.option("recursiveFileLookup", "true")
            frame = reader.parquet(*(literal_path(file) for file in files)).select(*map(self._quoted, schema.names))
            return self._view(frame, schema)

    def from_arrow(self, table: pa.Table) -> ir.Table:
        """Hand a small table to the engine."""
        schema = ibis.Schema.from_pyarrow(table.schema)
        with spark_faults():
            return self._view(self._session.createDataFrame(table, schema=_spark_schema(schema)), schema)

    def cache(self, expression: ir.Table) -> ir.Table:
        """Compute once what a step reads several times; kept until ``release``."""
        schema = expression.schema()
        with spark_faults():
            frame = self._persisted(self._session.sql(self._typed(expression, schema)))
            self._cached.append(frame)
            return self._view(frame, schema)

    @staticmethod
    def _persisted(frame: Any) -> Any:
        from pyspark import StorageLevel

        return frame.persist(StorageLevel.MEMORY_AND_DISK)

    def _view(self, frame: Any, schema: ibis.Schema) -> ir.Table:
        name = next(self._names)
        frame.createOrReplaceTempView(name)
        self._views.append(name)
        return self._table(name, schema)

    def release(self) -> None:
        """Drop what ``cache`` and ``from_arrow`` hold: the step is over."""
        views, cached = self._views, self._cached
        self._views, self._cached = [], []
        try:
            for frame in cached:
                frame.unpersist()
            for name in views:
                self._session.catalog.dropTempView(name)
        except Exception as error:
            # A session that is gone holds nothing, and the error that ended it is already being reported.
            if not is_sparks(error):
                raise

    def write(self, expression: ir.Table, schema: TableSchema, path: str) -> None:
        """Compute ``expression`` into a folder of parquet files, cast to ``schema``.

        The files have some hundred megabytes where there is that much: a small
        month has one or a few, an empty one has one without rows.
        """
        query = self._typed(expression.select(*schema.column_names), schema.ibis)
        options = {"spark.sql.adaptive.advisoryPartitionSizeInBytes": _ROWS_TO_A_FILE} | self._committer(path)
        with spark_faults(), contextlib.ExitStack() as after:
            self._reach(path)
            frame = self._session.sql(query)
            shuffled = "Exchange" in self._plan(frame, query)
            if shuffled:
                # The size asked for below would count for these exchanges too, and leave a large
                # aggregation a handful of tasks: they run before it is asked for.
                frame = self._persisted(frame)
                after.callback(frame.unpersist)
                frame.count()
            after.enter_context(_settings(self._session, options))
            if shuffled or not self._in_few_partitions(frame):
                # The hint adds an exchange whose partitions are cut and merged to the size that is asked for.
                frame = frame.hint("rebalance")
            frame.write.option("compression", "zstd").parquet(spark_path(path))

    def _committer(self, path: str) -> dict[str, str]:
        return MAGIC_COMMITTER if is_s3(path) and not self._is_remote else {}

    def _plan(self, frame: Any, query: str) -> str:
        if self._is_remote:
            plan: str = self._session.sql(f"EXPLAIN {query}").collect()[0][0]
            return plan
        # The plan that the frame itself will run, because another one takes as long to make.
        return str(frame._jdf.queryExecution().simpleString())

    def _in_few_partitions(self, frame: Any) -> bool:
        # A Connect server does not tell the number.
        if self._is_remote:
            return False
        partitions = int(frame.rdd.getNumPartitions())
        size = int(str(frame._jdf.queryExecution().optimizedPlan().stats().sizeInBytes()))
        largest = int(_ROWS_TO_A_FILE.removesuffix("m")) << 20
        return partitions <= _FEW_FILES and (partitions - 1) * _LARGE_ENOUGH <= size <= partitions * largest

    def collect(self, expression: ir.Table) -> pa.Table:
        """Compute a small result and bring it here."""
        with spark_faults():
            found: pa.Table = self._session.sql(self._sql(expression)).toArrow()
        return found.cast(expression.schema().to_pyarrow())

    def workers(self) -> RunTasks:
        """Return what runs tasks in the executors' Python processes."""
        return self._run_tasks

    def _run_tasks(self, task: Callable[[int], bytes], count: int) -> list[bytes]:
        frame = self._session.range(0, count, 1, count).mapInArrow(partial(_answers, task), "id long, answer binary")
        with spark_faults(), _of_executors():
            found: pa.Table = frame.toArrow()
        answers: list[bytes] = found.sort_by("id")["answer"].to_pylist()
        return answers

    def querier(self) -> RunQuery:
        """Return what runs a user's query on the executors, which read its tables."""
        return self._run_query

    def _run_query(self, query: str, tables: Mapping[str, Rows], types: Sequence[pa.DataType], path: str) -> None:
        schema = ibis.Schema.from_pyarrow(pa.schema([(f"c{at}", type_) for at, type_ in enumerate(types)]))
        to = self._backend.compiler.type_mapper.to_string
        typed = ", ".join(f"CAST({name} AS {to(type_)}) AS {name}" for name, type_ in schema.items())
        order = ", ".join(f"{name} NULLS LAST" for name in schema.names)
        of_the_step = self._views, self._cached
        self._views, self._cached = [], []
        try:
            with spark_faults(), _of_the_query(), _of_executors():
                self._reach(path)
                # Names of the query's own, whatever other views the session has.
                views = [f"{self._quoted(name)} AS (SELECT * FROM {self._rows(rows)})" for name, rows in tables.items()]  # noqa: S608
                # On lines of its own, because it may end in a comment.
                found = f"WITH {', '.join(views)} SELECT {typed} FROM (\n{query}\n) AS q({', '.join(schema.names)})"  # noqa: S608
                # Sorting looks at all rows twice, and reading the files costs most.
                frame = self._persisted(self._session.sql(found))
                self._cached.append(frame)
                frame.count()
                rows = self._session.sql(f"SELECT * FROM {self._view(frame, schema).get_name()} ORDER BY {order}")  # noqa: S608
                with _settings(self._session, self._committer(path)):
                    rows.write.option("compression", "zstd").parquet(spark_path(path))
        finally:
            self.release()
            self._views, self._cached = of_the_step

    def _rows(self, rows: Rows) -> str:
        """Return the name of a view of rows that the executors make."""
        columns, part, count = rows
        text = ibis.schema(dict.fromkeys(columns, "string"))
        numbers = self._session.range(0, count, 1, max(count, 1))
        return str(self._view(numbers.mapInArrow(partial(_part, part), _spark_schema(text)), text).get_name())

    def close(self) -> None:
        """Release what this engine made. The session is its owner's."""
        self.release()
        if self._on_close is not None:
            self._on_close()

    def _reach(self, path: str) -> None:
        """Tell the session how to reach a path's bucket, again when the credentials were renewed."""
        bucket = bucket_of(path)
        if bucket is None or self._objects is None or self._is_remote:
            return
        now = self._objects.credentials()
        if self._told.get(bucket) == now:
            return
        wanted = s3a_conf(self._objects, bucket)
        # The session may be older than this engine: months of one command share it.
        renewed = any(self._session.conf.get(key, None) not in (None, value) for key, value in wanted.items())
        for key, value in wanted.items():
            self._session.conf.set(key, value)
        if renewed:
            # Hadoop keeps a file system by bucket, with the keys it was opened with.
            self._session._jvm.org.apache.hadoop.fs.FileSystem.closeAll()
        self._told[bucket] = now


def _answers(task: Callable[[int], bytes], batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Run a task for the numbers of a partition. Runs on executors."""
    for batch in batches:
        for number in batch["id"].to_pylist():
            answer = pa.array([task(number)], pa.binary())
            yield pa.RecordBatch.from_arrays([pa.array([number], pa.int64()), answer], names=["id", "answer"])


def _part(
    part: Callable[[int], Iterator[pa.RecordBatch]], batches: Iterator[pa.RecordBatch]
) -> Iterator[pa.RecordBatch]:
    """Yield the rows of the parts that a partition has the numbers of. Runs on executors."""
    for batch in batches:
        for number in batch["id"].to_pylist():
            try:
                yield from part(number)
            except CltvError as error:
                told = json.dumps([type(error).__name__, error.problem, error.remedy, error.quoted])
                # Of an error Spark passes on a text, which it may quote and break.
                raise RuntimeError(f"cltv-error:{base64.b64encode(told.encode()).decode()};") from None


@contextlib.contextmanager
def _of_executors() -> Iterator[None]:
    """Raise the error that this package raised on an executor, or say that it is not there."""
    try:
        yield
    except Exception as error:
        text = str(error) if is_sparks(error) else ""
        if carried := re.search(r"cltv-error:([A-Za-z0-9+/=]+);", text):
            kind, problem, remedy, quoted = json.loads(base64.b64decode(carried[1]))
            raise getattr(errors, kind)(problem, remedy, quoted=quoted) from None
        if lacking := _LACKING.search(text):
            raise NoWorkersError(f"Spark's executors cannot run this package ({lacking[0]}).", _INSTALL) from None
        raise


@contextlib.contextmanager
def _of_the_query() -> Iterator[None]:
    """Raise what Spark says of a user's query, which one line stands above."""
    try:
        yield
    except Exception as error:
        text = str(error)
        said = re.search(r"\[([A-Z][A-Z0-9_]+)(?:\.\w+)*\] ([^\n]+)", text) if is_sparks(error) else None
        if said is None or explain(error) is not None:
            raise
        problem = re.split(r"\. (?:SQLSTATE|Use `|Correct the|If necessary|To tolerate)", said[2])[0].rstrip(".")
        place = None
        if at := re.search(r"== SQL[^\n]*\(line (\d+), position (\d+)\) ==\n[^\n]*\n *(\^+)", text):
            place = int(at[1]) - 1, int(at[2]), len(at[3])
        elif at := re.search(r"line (\d+),? pos (\d+)", text):
            place = int(at[1]) - 1, int(at[2]) + 1, 0
        if said[1].startswith(("CAST_", "CANNOT_PARSE", "NUMERIC_")):
            remedy = "Mend the value, or use TRY_CAST: a line without a value is rejected, and counted."
            raise StatementError(f"{said[1]}.", remedy, place, quoted=f"It says: {problem}.") from None
        remedy = "Spark cannot run that as DuckDB does: write it in another way, or set engine: duckdb."
        raise StatementError(f"{problem}.", remedy, place) from None


def _spark_schema(schema: ibis.Schema) -> Any:
    from ibis.backends.pyspark.datatypes import PySparkSchema

    return PySparkSchema.from_ibis(schema)


@contextlib.contextmanager
def _settings(session: Any, values: Mapping[str, str]) -> Iterator[None]:
    """Set session settings for one statement."""
    before = {key: session.conf.get(key, None) for key in values}
    for key, value in values.items():
        session.conf.set(key, value)
    try:
        yield
    finally:
        for key, value in before.items():
            if value is None:
                session.conf.unset(key)
            else:
                session.conf.set(key, value)
