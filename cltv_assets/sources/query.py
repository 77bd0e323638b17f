"""A query over delivered files: each named path is a table of text, and the query's rows are the lines.

It sees the named tables and nothing else: no files, no network. Everything in them is text as delivered, so a query
casts what it calculates with. Where the engine has machines, these run it (``spread_query``), and otherwise DuckDB. Its
SQL is DuckDB's on both engines: DuckDB says in any case, of the tables' columns alone, whether the query is right and
which types its columns have.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cltv_assets.duckdb_messages import said_in
from cltv_assets.errors import SourceError
from cltv_assets.files.scratch import ScratchFolder
from cltv_assets.files.storage import Storage
from cltv_assets.settings import Source
from cltv_assets.sources.files import SourceFile
from cltv_assets.sources.header import find_columns, other_places
from cltv_assets.sources.parquet_files import as_text, can_be_text
from cltv_assets.sources.parts import ROW_GROUP
from cltv_assets.sources.reading import CuttingReader, Lines, Reader, columns_of
from cltv_assets.sources.spreading import Work

#: What messages call the query, and the ``source_file`` of its rows.
QUERY = "source.query"
_SHOWN = 200


class Delivery(Protocol):
    """The files of one named path."""

    storage: Storage

    @property
    def reader_for(self) -> Callable[[Source], Reader]:
        """What opens a file with some settings."""
        ...

    def list_files(self) -> list[SourceFile]:
        """List the files as they are now."""
        ...


@dataclass(frozen=True)
class QueryTable:
    """A named path as a table: its files, their columns, and what reads all of them."""

    files: Sequence[SourceFile]
    columns: Sequence[str]
    storage: Storage
    reader: Reader


class Machines(Protocol):
    """Runs a query on other machines."""

    def rows(
        self, file: SourceFile, query: str, tables: Mapping[str, QueryTable], types: Sequence[pa.DataType]
    ) -> Iterator[pa.RecordBatch] | None:
        """Yield the query's rows in the order of their values; None if there are no machines that can."""
        ...


class QueryReader:
    """Reads the rows of a query over several deliveries.

    Parameters
    ----------
    deliveries : mapping of str to Delivery
        By the name that the query has for each.
    memory_limit : str
        Above it DuckDB spills to disk.
    machines : Machines
        What runs it, if not DuckDB.
    source : Source
        The settings.
    """

    suffixes: tuple[str, ...] = ()

    def __init__(
        self, deliveries: Mapping[str, Delivery], memory_limit: str, machines: Machines, source: Source
    ) -> None:
        self._deliveries = deliveries
        self._memory_limit = memory_limit
        self._machines = machines
        self._source = source
        self._query = (source.query or "").strip().removesuffix(";")

    def as_file(self) -> SourceFile:
        """Return the query as one file, which changes with every file that it reads."""
        listed = {name: delivery.list_files() for name, delivery in self._deliveries.items()}
        state = [(name, file.name, file.size, file.mtime_ns) for name, files in listed.items() for file in files]
        digest = hashlib.sha256(repr((self._query, state)).encode()).digest()
        size = sum(file.size for files in listed.values() for file in files)
        return SourceFile(QUERY, QUERY, None, size, int.from_bytes(digest[:7], "big"))

    def columns(self, file: SourceFile) -> tuple[str, ...]:  # noqa: ARG002
        """Return the names of the query's columns; the files' headers are read, and not their lines."""
        return tuple(self._schema(self._tables()).names)

    def read(self, file: SourceFile) -> Iterator[Lines]:
        """Yield the query's rows in the order of their values, so that the same files give the same numbers."""
        tables = self._tables()
        schema = self._schema(tables)
        places = find_columns(schema.names, self._source.wanted, QUERY)
        for name, at in places.items():
            if not can_be_text(schema.types[at]):
                raise SourceError(
                    f"{QUERY}, column '{name}': its type {schema.types[at]} holds no plain values.",
                    "Return a text, number, date or timestamp there.",
                )
        others = other_places(schema.names, self._source)
        places |= {name: at for name, at in others.items() if can_be_text(schema.types[at])}
        first = 1
        rows = self._machines.rows(file, self._query, tables, schema.types)
        for batch in self._rows(tables) if rows is None else rows:
            numbers = pa.array(np.arange(first, first + batch.num_rows), pa.int64())
            first += batch.num_rows
            yield Lines(numbers, {name: as_text(batch.column(at)) for name, at in places.items()})

    def _schema(self, tables: Mapping[str, QueryTable]) -> pa.Schema:
        with self._result(tables, "LIMIT 0", full=False) as result:
            found: pa.Schema = result.to_arrow_reader().schema
            # Arrow's names may differ from DuckDB's.
            return pa.schema(list(zip(result.columns, found.types, strict=True)))

    def _rows(self, tables: Mapping[str, QueryTable]) -> Iterator[pa.RecordBatch]:
        with self._result(tables, "ORDER BY ALL", full=True) as result, _explained():
            yield from result.to_arrow_reader(ROW_GROUP)

    def _tables(self) -> dict[str, QueryTable]:
        """List each delivery's files, which must have the same columns."""
        tables = {}
        for name, delivery in self._deliveries.items():
            files = delivery.list_files()
            headers = columns_of(delivery.reader_for(self._source.wanting(())), files)
            files = list(headers)
            columns = headers[files[0]]
            for file, own in headers.items():
                if odd := sorted(set(own) ^ set(columns)):
                    raise SourceError(
                        f"{file.address}: its columns differ from those of the other files of source.paths.{name}: "
                        f"{', '.join(odd)}.",
                        "Give files of another form a name of their own in source.paths.",
                    )
            reader = delivery.reader_for(self._source.wanting(columns))
            tables[name] = QueryTable(files, columns, delivery.storage, reader)
        return tables

    @contextmanager
    def _result(self, tables: Mapping[str, QueryTable], rest: str, *, full: bool) -> Iterator[duckdb.DuckDBPyRelation]:
        """Give the query's result in a database that holds the tables, empty or full, and can reach nothing else."""
        with _explained(above=0):
            statements = duckdb.extract_statements(self._query)
            if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                raise SourceError(f"{QUERY} is not one SELECT.", "Give a single query that only reads.")
        config: dict[str, Any] = {"memory_limit": self._memory_limit, "python_enable_replacements": False}
        with (
            ScratchFolder("query") as folder,
            duckdb.connect(str(folder / "query.duckdb"), config=config) as connection,
        ):
            for name, table in tables.items():
                columns = ", ".join(f"{_quoted(column)} VARCHAR" for column in table.columns)
                with _explained():
                    connection.execute(f"CREATE TABLE {_quoted(name)} ({columns})")
                for batch in texts(table.columns, table.reader, ((file, None) for file in table.files)) if full else ():
                    connection.register("delivered", pa.Table.from_batches([batch]))
                    connection.execute(f"INSERT INTO {_quoted(name)} SELECT * FROM delivered")  # noqa: S608 - quoted
                    connection.unregister("delivered")
            connection.execute("SET enable_external_access = false")
            connection.execute("SET lock_configuration = true")
            with _explained():
                # This says where in the query an error is.
                connection.execute(f"EXPLAIN\n{self._query}")
                # On lines of its own, because the query may end in a comment.
                result = connection.sql(f"SELECT * FROM (\n{self._query}\n) {rest}")  # noqa: S608 - that is its purpose
            yield result


def texts(columns: Sequence[str], reader: Reader, works: Iterable[Work]) -> Iterator[pa.RecordBatch]:
    """Yield all columns of files or stretches of them; refuse lines that could not be split: no table can hold them."""
    for file, stretch in works:
        for lines in reader.read(file, stretch) if isinstance(reader, CuttingReader) else reader.read(file):
            if lines.texts is not None and lines.texts.null_count < len(lines.texts):
                at = pc.index(pc.is_valid(lines.texts), True).as_py()
                raise SourceError(
                    f"{file.address}, line {lines.numbers[at]}: it could not be split into the header's columns.",
                    "A query needs whole lines: mend it, or set source.ragged: pad, source.quoting or source.escape.",
                    quoted=f"It reads {lines.texts[at].as_py()[:_SHOWN]!r}.",
                )
            found = (lines.columns[name] for name in columns)
            arrays = [pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text) for text in found]
            yield pa.RecordBatch.from_arrays(arrays, names=list(columns))


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@contextmanager
def _explained(above: int = 1) -> Iterator[None]:
    """Raise what DuckDB says of the query, which so many lines stand above, with its line and column."""
    try:
        yield
    except duckdb.Error as error:
        said = said_in(str(error), above)
        where = f", {said.place}" if said.place else ""
        # These are about the query's own words, others may be about a value.
        if isinstance(error, duckdb.ParserException | duckdb.BinderException | duckdb.CatalogException):
            remedy = said.near or "Correct the query; its tables are those of source.paths."
            raise SourceError(f"{QUERY}{where}: {said.problem}.", remedy) from None
        remedy = "Mend the value, or use TRY_CAST: a line without a value is rejected, and counted."
        if not isinstance(error, duckdb.ConversionException):
            remedy = said.near or "Correct the query, or the value."
        kind = type(error).__name__
        raise SourceError(f"{QUERY}{where}: {kind}.", remedy, quoted=f"It says: {said.problem}.") from None
