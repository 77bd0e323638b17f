"""A query over delivered files: each named path is a table of text, and the query's rows are the lines.

DuckDB runs the query, whichever engine computes the tables, so it means the same on both. It sees the named
tables and nothing else: no files, no network. Everything in them is text as delivered, so a query casts what
it calculates with.
"""

from __future__ import annotations

import hashlib
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cltv_assets.errors import SourceError
from cltv_assets.settings import Source
from cltv_assets.sources.files import SourceFile
from cltv_assets.sources.header import find_columns
from cltv_assets.sources.parquet_files import as_text, can_be_text
from cltv_assets.sources.parts import ROW_GROUP
from cltv_assets.sources.reading import Lines, Reader

#: What messages call the query, and the ``source_file`` of its rows.
QUERY = "source.query"
_SHOWN = 200


class Delivery(Protocol):
    """The files of one named path."""

    @property
    def reader_for(self) -> Callable[[Source], Reader]:
        """What opens a file with some settings."""
        ...

    def list_files(self) -> list[SourceFile]:
        """List the files as they are now."""
        ...


class QueryReader:
    """Reads the rows of a query over several deliveries.

    Parameters
    ----------
    deliveries : mapping of str to Delivery
        By the name that the query has for each.
    memory_limit : str
        Above it DuckDB spills to disk.
    source : Source
        The settings.
    """

    suffixes: tuple[str, ...] = ()

    def __init__(self, deliveries: Mapping[str, Delivery], memory_limit: str, source: Source) -> None:
        self._deliveries = deliveries
        self._memory_limit = memory_limit
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
        with tempfile.TemporaryDirectory(prefix="cltv-query-") as folder, self._tables(folder, full=False) as tables:
            return tuple(self._result(tables, "LIMIT 0").columns)

    def read(self, file: SourceFile) -> Iterator[Lines]:  # noqa: ARG002
        """Yield the query's rows in the order of their values, so that the same files give the same numbers."""
        with tempfile.TemporaryDirectory(prefix="cltv-query-") as folder, self._tables(folder, full=True) as tables:
            result = self._result(tables, "ORDER BY ALL")
            with _explained():
                places = find_columns(result.columns, self._source.wanted, QUERY)
                first = 1
                for batch in result.to_arrow_reader(ROW_GROUP):
                    numbers = pa.array(np.arange(first, first + batch.num_rows), pa.int64())
                    first += batch.num_rows
                    yield Lines(numbers, {name: _text(name, batch.column(at)) for name, at in places.items()})

    def _result(self, tables: duckdb.DuckDBPyConnection, rest: str) -> duckdb.DuckDBPyRelation:
        with _explained(above=0):
            statements = duckdb.extract_statements(self._query)
            if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
                raise SourceError(f"{QUERY} is not one SELECT.", "Give a single query that only reads.")
        with _explained():
            # This says where in the query an error is.
            tables.execute(f"EXPLAIN\n{self._query}")
            # On lines of its own, because the query may end in a comment.
            return tables.sql(f"SELECT * FROM (\n{self._query}\n) {rest}")  # noqa: S608 - that is its purpose

    @contextmanager
    def _tables(self, folder: str, *, full: bool) -> Iterator[duckdb.DuckDBPyConnection]:
        """Open a database with a table for each delivery, empty or full, that can reach nothing else."""
        config: dict[str, Any] = {"memory_limit": self._memory_limit, "python_enable_replacements": False}
        with duckdb.connect(str(Path(folder) / "query.duckdb"), config=config) as connection:
            for name, delivery in self._deliveries.items():
                self._fill(connection, name, delivery, full=full)
            connection.execute("SET enable_external_access = false")
            connection.execute("SET lock_configuration = true")
            yield connection

    def _fill(self, connection: duckdb.DuckDBPyConnection, name: str, delivery: Delivery, *, full: bool) -> None:
        header: Sequence[str] | None = None
        for file in delivery.list_files():
            found = delivery.reader_for(self._source.wanting(())).columns(file)
            if header is None:
                header = found
                columns = ", ".join(f"{_quoted(column)} VARCHAR" for column in header)
                with _explained():
                    connection.execute(f"CREATE TABLE {_quoted(name)} ({columns})")
            elif set(found) != set(header):
                odd = sorted(set(found) ^ set(header))
                raise SourceError(
                    f"{file.address}: its columns differ from those of the other files of source.paths.{name}: "
                    f"{', '.join(odd)}.",
                    "Give files of another form a name of their own in source.paths.",
                )
            if full:
                lines = delivery.reader_for(self._source.wanting(found)).read(file)
                for batch in _batches(file, header, lines):
                    connection.register("delivered", batch)
                    connection.execute(f"INSERT INTO {_quoted(name)} SELECT * FROM delivered")  # noqa: S608 - quoted
                    connection.unregister("delivered")


def _batches(file: SourceFile, header: Sequence[str], read: Iterator[Lines]) -> Iterator[pa.Table]:
    """Yield all columns of a file; refuse lines that could not be split, which no table can hold."""
    for lines in read:
        if lines.texts is not None and lines.texts.null_count < len(lines.texts):
            at = pc.index(pc.is_valid(lines.texts), True).as_py()
            raise SourceError(
                f"{file.address}, line {lines.numbers[at]}: it could not be split into the header's columns: "
                f"{lines.texts[at].as_py()[:_SHOWN]!r}.",
                "A query needs whole lines: mend it, or set source.ragged: pad, source.quoting or source.escape.",
            )
        texts = [lines.columns[name] for name in header]
        arrays = [pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text) for text in texts]
        yield pa.Table.from_arrays(arrays, names=list(header))


def _text(name: str, values: pa.Array) -> pa.Array:
    if not can_be_text(values.type):
        raise SourceError(
            f"{QUERY}, column '{name}': its type {values.type} holds no plain values.",
            "Return a text, number, date or timestamp there.",
        )
    return as_text(values)


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@contextmanager
def _explained(above: int = 1) -> Iterator[None]:
    """Raise what DuckDB says of the query, which so many lines stand above, with its line and column."""
    try:
        yield
    except duckdb.Error as error:
        text = str(error)
        where = ""
        if found := re.search(r"\n\n(LINE (\d+): ).*\n( *)\^", text):
            where = f", line {int(found[2]) - above}, column {len(found[3]) - len(found[1]) + 1}"
        said = " ".join(re.split(r"\n\n|\nDid you mean", text)[0].split()).rstrip(".!")
        near = re.search(r'Candidate bindings: :? ?(.*)|(Did you mean "\w+")', text)
        if isinstance(error, duckdb.ConversionException):
            remedy = "Mend the value, or use TRY_CAST: a line without a value is rejected, and counted."
        elif near:
            remedy = f"{near[2]}?" if near[2] else f"Near it are {near[1]}."
        else:
            remedy = "Correct the query; its tables are those of source.paths."
        raise SourceError(f"{QUERY}{where}: {said}.", remedy) from None
