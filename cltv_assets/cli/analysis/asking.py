"""One question in SQL over the lake's published tables: a DuckDB that holds them and can reach nothing else.

The statement is not trusted. DuckDB may read and write no file at all, and its configuration is
locked: Arrow opens the lake's files for it, for reading. To allow DuckDB the lake's files by
``allowed_paths`` would not do, because who may read a file there may overwrite it too, and
``WITH x AS (COPY … TO …) SELECT`` passes for a SELECT.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import duckdb
import pyarrow as pa

from cltv_assets.cli.analysis.printing import Rows
from cltv_assets.cli.analysis.published import CATALOGUE, CURRENT, PublishedTable, catalogue
from cltv_assets.columns import MONTH
from cltv_assets.duckdb_messages import said_in
from cltv_assets.engines.duckdb_files import dataset_over
from cltv_assets.errors import CltvError, EngineError, LakeError, QueryError
from cltv_assets.files.scratch import ScratchFolder
from cltv_assets.files.storage import Storage
from cltv_assets.files.store_faults import fault_of, from_store
from cltv_assets.foreign import visible

#: Rows that come at once.
_BATCH = 10_000
_READS = "A question is one SELECT (or FROM, WITH, VALUES, PIVOT, DESCRIBE, SUMMARIZE, SHOW TABLES, EXPLAIN)"
#: What only looks. PIVOT without given values is MULTI, as is writing what it gives.
_LOOKING = {duckdb.StatementType.SELECT, duckdb.StatementType.EXPLAIN}


@contextmanager
def asked(query: str, tables: Sequence[PublishedTable], storage: Storage, memory_limit: str) -> Iterator[Rows]:
    """Give the rows of one query over the tables.

    Parameters
    ----------
    query : str
        One statement that reads.
    tables : sequence of PublishedTable
        What it may name.
    storage : Storage
        How their files are reached.
    memory_limit : str
        Above it DuckDB spills to a temporary folder.

    Raises
    ------
    QueryError
        If it is wrong, or does anything but read these tables.
    LakeError
        If a file of the lake is gone or cannot be read.
    EngineError
        If memory and disk do not suffice.
    """
    config: dict[str, Any] = {"memory_limit": memory_limit, "python_enable_replacements": False}
    with (
        ScratchFolder("sql") as spill,
        duckdb.connect(config=config) as connection,
    ):
        connection.execute(f"SET temp_directory = '{spill}'")
        # As the engine that made the tables counts days.
        connection.execute("SET TimeZone = 'UTC'")
        for table in tables:
            for name, files, _ in table.views():
                arrow = table.schema.arrow_with_month
                rows = dataset_over(files, storage.filesystem, arrow, hive=True) if files else arrow.empty_table()
                connection.register(name, rows)
        connection.register(CATALOGUE, catalogue(tables))
        connection.execute("SET enable_external_access = false")
        connection.execute("SET lock_configuration = true")
        with _explained(query, tables, storage):
            _only_reads(query)
            reader = _run(connection, query)
        yield Rows(reader.schema, _batches(reader, query, tables, storage))


def _only_reads(query: str) -> None:
    """Refuse at once, and in plain words, what the locked database would refuse or forget."""
    statements = duckdb.extract_statements(query)
    if len(statements) != 1:
        raise QueryError(
            f"There are {len(statements)} statements." if statements else "There is no statement.", f"{_READS}."
        )
    kind = statements[0].type
    if kind in _LOOKING:
        return
    if kind.name == "MULTI":
        # What gives rows can stand in a FROM, and nothing else can.
        bare = query.strip().rstrip(";")
        try:
            duckdb.extract_statements(f"SELECT * FROM (\n{bare}\n)")  # noqa: S608 - it is parsed, not run
            return
        except duckdb.Error:
            pass
    what = "The statement" if kind.name == "MULTI" else kind.name.replace("_", " ")
    raise QueryError(f"{what} does not only read.", f"{_READS}; nothing can be written.")


def _run(connection: duckdb.DuckDBPyConnection, query: str) -> pa.RecordBatchReader:
    try:
        return connection.sql(query).to_arrow_reader(_BATCH)
    except (duckdb.BinderException, duckdb.CatalogException):
        # It fails in the same way, but only a statement that is executed says where the unknown name stands.
        connection.execute(query)
        raise


def _batches(
    reader: pa.RecordBatchReader, query: str, tables: Sequence[PublishedTable], storage: Storage
) -> Iterator[pa.RecordBatch]:
    with _explained(query, tables, storage):
        yield from reader


@contextmanager
def _explained(query: str, tables: Sequence[PublishedTable], storage: Storage) -> Iterator[None]:
    """Raise what DuckDB says as an error that tells the user what to do.

    Rows come through Arrow, which passes DuckDB's words on in an error of its own.
    """
    try:
        yield
    except duckdb.InterruptException:
        raise KeyboardInterrupt from None
    except (duckdb.Error, OSError) as error:
        raise _error_of(error, query, tables, storage) from error


def _error_of(error: Exception, query: str, tables: Sequence[PublishedTable], storage: Storage) -> CltvError:
    text = str(error)
    kind = text.partition(" Error: ")[0]
    if kind == "Out of Memory":
        return EngineError(
            f"The query needs more memory than there is: {visible(text.splitlines()[0])}.",
            "Ask for fewer rows or months, raise duckdb_memory_limit, or make room for temporary files.",
        )
    if "reading the stream registered" in text or kind == text:
        if not storage.local and from_store(error):
            return fault_of(error, storage.root)
        return LakeError(
            f"A file of the lake {storage.root} cannot be read: {visible(text.splitlines()[0])}.",
            "If a vacuum or another run removed it meanwhile, ask again.",
        )
    said = said_in(text)
    problem = said.problem.removeprefix(f"{kind} Error: ")
    where = f"{said.place[0].upper()}{said.place[1:]}: " if said.place else ""
    if kind == "Permission" or "configuration has been locked" in text:
        return QueryError(
            visible(f"{where}A question reads the lake's tables and nothing else: {problem}."), f"{_READS}."
        )
    # A query spans lines, and a message may quote it.
    problem = " ".join(f"{where}{problem}.".split())
    return QueryError(visible(problem), visible(_remedy(kind, said.near, problem, query, tables)))


def _remedy(kind: str, near: str, problem: str, query: str, tables: Sequence[PublishedTable]) -> str:
    """Say what there is in place of what is not there."""
    names = [name for table in tables for name, _, _ in table.views()]
    if unknown := re.search(r"[Tt]able (?:with name )?\"?([^\s\"]+)\"? (?:does not exist|not found)", problem):
        close = difflib.get_close_matches(unknown[1].lower(), [*names, CATALOGUE], 1)
        guess = f"Did you mean {close[0]}? " if close else ""
        there = ", ".join(table.schema.name for table in tables)
        return f"{guess}There are {there}, each also as {CURRENT}<table>, and {CATALOGUE}."
    if kind == "Binder" and re.search(r"column.* (not found|does not exist)|not have a column", problem):
        columns = " ".join(
            f"{table.schema.name} has {', '.join((*table.schema.column_names, MONTH))}."
            for table in tables
            if re.search(rf"\b(?:{CURRENT})?{table.schema.name}\b", query, re.IGNORECASE)
        )
        if columns:
            return f"{near} {columns}".strip()
    if kind == "Conversion":
        return "TRY_CAST gives null where a value cannot be converted."
    return near or "Correct the query; docs/analysis.md has examples, docs/data_dictionary.md every column."
