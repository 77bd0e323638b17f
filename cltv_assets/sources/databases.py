"""Sessions of databases that only read: PostgreSQL, MySQL and MariaDB, SQLite, DuckDB.

PostgreSQL is read by ADBC, which takes the rows from a binary COPY straight into Arrow, and DuckDB
by its own Arrow reader. Ibis' backends for PostgreSQL, MySQL and SQLite make a Python tuple of every row
on the way to Arrow. MySQL and SQLite have no column-wise protocol, so their rows are taken as text.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pyarrow as pa
import pyarrow.compute as pc

from cltv_assets.errors import SourceError
from cltv_assets.files.scratch import ScratchFolder, process_folder
from cltv_assets.settings import Settings
from cltv_assets.sources.parquet_files import as_text
from cltv_assets.sources.place import Place
from cltv_assets.sources.tables import Column, Engine, Session
from cltv_assets.sources.warehouses import WAREHOUSES, Warehouse, connected

#: Rows of a batch where rows come as Python objects.
_ROWS = 20_000


def database_of(settings: Settings) -> Engine | Warehouse:
    """Return the database that ``source`` names.

    Raises
    ------
    SourceError
        If the variable is not set, or its URL is of an unknown database.
    """
    source = settings.source
    if source.url_variable is None:
        path = settings.source_path
        named = _named(path, source.table)
        try:
            with Path(path).open("rb") as file:
                head = file.read(16)
        except OSError as error:
            raise SourceError(
                f"source.path {path} cannot be read: {error.strerror}.",
                "Set it to a database file of SQLite or DuckDB.",
            ) from None
        form = form_of(head)
        if form == "sqlite" or not head:
            return _Sqlite(Place(named, _rows(settings, '"'), "source.path"), path)
        if form == "duckdb":
            return _DuckDB(Place(named, _rows(settings, '"'), "source.path"), path)
        raise SourceError(
            f"source.path {path} is no database file of SQLite or DuckDB.", "Set source.kind to its form."
        )
    variable = source.url_variable
    url = os.environ.get(variable, "").strip()
    if not url:
        raise SourceError(
            f"The environment variable {variable} (source.url_variable) is not set.",
            "Set it to the database's URL, such as postgresql://user:password@host/database.",
        )
    scheme, found, rest = url.partition("://")
    kind = scheme.partition("+")[0].lower()
    named = _named(f"the database of {variable}", source.table)
    if kind in ("postgres", "postgresql", "redshift") and found:
        place = Place(named, _rows(settings, '"'), variable, _secrets(url))
        return _PostgreSQL(place, f"postgresql://{rest}")
    if kind in ("mysql", "mariadb") and found:
        return _MySQL(Place(named, _rows(settings, "`"), variable, _secrets(url)), url)
    if kind in WAREHOUSES and found:
        return Warehouse(Place(named, "", variable, _secrets(url)), partial(connected, url))
    raise SourceError(
        f"The URL in {variable} (source.url_variable) is of no known database.",
        f"Begin it with postgresql://, mysql://, mariadb://, {', '.join(f'{name}://' for name in WAREHOUSES)}; for "
        "SQLite and DuckDB set source.path; from another database export Parquet files.",
    )


def form_of(head: bytes) -> str | None:
    """Return what a file's first bytes say: ``sqlite``, ``duckdb``, or None for no such database."""
    return "sqlite" if head.startswith(b"SQLite format 3\0") else "duckdb" if head[8:12] == b"DUCK" else None


def _named(where: str, table: str | None) -> str:
    return f"{where}, table '{table}'" if table else f"{where}, source.query"


def _secrets(url: str) -> tuple[str, ...]:
    """Return what of a URL must not be shown, the longest first."""
    found = {url, url.partition("://")[2]}
    # Not urlsplit: it raises for some of the URLs that a driver refuses with a message that holds them.
    user, at, _ = url.partition("://")[2].rpartition("@")
    if at and (password := user.partition(":")[2]):
        found |= {password, unquote(password)}
    told = re.findall(r"(?i)[?&;]\w*(?:pass|pwd|token|secret|key|credential)\w*=([^&;]*)", url)
    found |= {*told, *map(unquote, told)}
    return tuple(sorted(filter(None, found), key=len, reverse=True))


def _rows(settings: Settings, quote: str) -> str:
    source = settings.source
    if source.table:
        return ".".join(quote + part.replace(quote, quote * 2) + quote for part in source.table.split("."))
    # A comment at the query's end must not take the bracket.
    return f"(\n{(source.query or '').strip().rstrip(';')}\n) AS source_rows"


def _package(name: str, extra: str) -> Any:
    import importlib

    try:
        return importlib.import_module(name)
    except ImportError:
        raise SourceError(
            f"The package {name} is missing, which reads this database.",
            f"Install it: pip install 'cltv-assets[{extra}]'.",
        ) from None


def _quoted(name: str, quote: str) -> str:
    return quote + name.replace(quote, quote * 2) + quote


class _PostgreSQL(Engine):
    quote, total, text_times = '"', "SUM(CAST({} AS NUMERIC))", False
    instant = "TIMESTAMP WITH TIME ZONE '{}+00'"

    def __init__(self, place: Place, url: str) -> None:
        self._place, self._url, self.name = place, url, place.name

    @contextmanager
    def session(self) -> Iterator[Session]:
        driver = _package("adbc_driver_postgresql.dbapi", "postgresql")
        with self._place.guarded(driver.Error):
            connection = driver.connect(self._url)
        with closing(connection):
            yield _PostgreSQLSession(self._place, connection, driver.Error)


class _PostgreSQLSession:
    def __init__(self, place: Place, connection: Any, error: type[Exception]) -> None:
        self._place, self._connection, self._error = place, connection, error
        with self._place.guarded(error), connection.cursor() as cursor:
            cursor.execute("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
            connection.commit()
            cursor.execute("SET TIME ZONE 'UTC'")

    def columns(self) -> Mapping[str, Column]:
        with self._place.guarded(self._error), self._connection.cursor() as cursor:
            cursor.execute(self._place.asked("SELECT * FROM {rows} LIMIT 0"))
            schema = cursor.fetch_record_batch().schema
        return {field.name: self._column(field) for field in schema}

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        with self._place.guarded(self._error), self._connection.cursor() as cursor:
            cursor.execute(self._place.asked(sql))
            table = cursor.fetch_arrow_table()
            # The text of a value, because a newest change may be infinity, which Python cannot hold.
            texts = [as_text(_stored(column.combine_chunks())).to_pylist() for column in table.columns]
            return list(zip(*texts, strict=True))

    def read(self, sql: str) -> Iterator[pa.RecordBatch]:
        with self._place.guarded(self._error), self._connection.cursor() as cursor:
            cursor.execute(self._place.asked(sql))
            yield from cursor.fetch_record_batch()

    @staticmethod
    def _column(field: pa.Field) -> Column:
        spelled = _quoted(field.name, '"')
        stored = (field.metadata or {}).get(b"POSTGRESQL:type", b"").decode()
        if stored == "numeric":
            return Column(pa.decimal128(38, 9), spelled)
        if stored == "money":
            # The driver would give whole cents.
            return Column(pa.decimal128(38, 9), f"CAST({spelled} AS NUMERIC)")
        if isinstance(field.type, pa.BaseExtensionType):
            return Column(pa.string(), f"CAST({spelled} AS TEXT)")
        return Column(field.type, spelled)


def _stored(values: pa.Array) -> pa.Array:
    return values.storage if isinstance(values, pa.ExtensionArray) else values


class _DuckDB(Engine):
    quote, total, text_times = '"', "SUM(TRY_CAST({} AS DECIMAL(38, 4)))", False
    instant = "TIMESTAMP WITH TIME ZONE '{}+00'"

    def __init__(self, place: Place, path: str) -> None:
        self._place, self._path, self.name = place, path, place.name

    @contextmanager
    def session(self) -> Iterator[Session]:
        import duckdb

        with self._place.guarded(duckdb.Error):
            connection = duckdb.connect(self._path, read_only=True)
        with closing(connection):
            yield DuckDBSession(self._place, connection)


class DuckDBSession:
    """A session of DuckDB, whose table may be one that it holds or one that it was shown."""

    def __init__(self, place: Place, connection: Any) -> None:
        self._place, self._connection = place, connection
        # By default large sorts spill beside the database, or into the current folder. Changed only once, because
        # DuckDB refuses that after the first spill.
        spill = str(process_folder())
        if connection.execute("SELECT current_setting('temp_directory')").fetchone() != (spill,):
            connection.execute(f"SET temp_directory = '{spill}'")

    def columns(self) -> Mapping[str, Column]:
        """Return the table's columns by name."""
        import duckdb

        with self._place.guarded(duckdb.Error):
            schema = self._connection.sql(self._place.asked("SELECT * FROM {rows} LIMIT 0")).to_arrow_table().schema
        found = {}
        for field in schema:
            spelled = _quoted(field.name, '"')
            if isinstance(field.type, pa.BaseExtensionType):
                found[field.name] = Column(pa.string(), f"CAST({spelled} AS VARCHAR)")
            else:
                found[field.name] = Column(field.type, spelled)
        return found

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the few rows of a query."""
        import duckdb

        with self._place.guarded(duckdb.Error):
            found: list[tuple[Any, ...]] = self._connection.execute(self._place.asked(sql)).fetchall()
            return found

    def read(self, sql: str) -> Iterator[pa.RecordBatch]:
        """Yield the rows of a query as they come."""
        import duckdb

        with self._place.guarded(duckdb.Error):
            yield from self._connection.sql(self._place.asked(sql)).to_arrow_reader(100_000)


class Copy:
    """One state of a table in a database file of DuckDB's: copied once, and then asked again and again."""

    def __init__(self) -> None:
        self._scratch: ScratchFolder | None = None
        self._held: tuple[Any, ...] = ()

    @contextmanager
    def opened(self, state: Any, rows: Callable[[], pa.RecordBatchReader]) -> Iterator[Any]:
        """Give a connection to the rows of a state, which are its table ``source_rows``."""
        import duckdb

        self._scratch = self._scratch or ScratchFolder("table")
        file = str(self._scratch.path / "snapshot.duckdb")
        if self._held != (state,):
            with closing(duckdb.connect(file)) as connection:
                connection.register("snapshot", rows())
                connection.execute("CREATE OR REPLACE TABLE source_rows AS SELECT * FROM snapshot")
            self._held = (state,)
        with closing(duckdb.connect(file, read_only=True)) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            yield connection


class _Sqlite(Engine):
    quote, total, text_times = '"', "SUM({})", True
    instant = "'{}'"

    def __init__(self, place: Place, path: str) -> None:
        self._place, self._path, self.name = place, path, place.name

    @contextmanager
    def session(self) -> Iterator[Session]:
        with self._place.guarded(sqlite3.Error):
            connection = sqlite3.connect(f"{Path(self._path).absolute().as_uri()}?mode=ro", uri=True)
        with closing(connection):
            yield _SqliteSession(self._place, connection)


class _SqliteSession:
    def __init__(self, place: Place, connection: sqlite3.Connection) -> None:
        self._place, self._connection = place, connection

    def columns(self) -> Mapping[str, Column]:
        # A column's declared type says little about its values, so look at them.
        with self._place.guarded(sqlite3.Error):
            head = self._connection.execute(self._place.asked("SELECT * FROM {rows} LIMIT 0")).description
            names = [_quoted(column[0], '"') for column in head]
            kinds = ", ".join(f"group_concat(DISTINCT typeof({name}))" for name in names)
            (found,) = self.ask(f"SELECT {kinds} FROM {{rows}}")  # noqa: S608
        return {
            column[0]: Column(_sqlite_type(set((kind or "").split(","))), name)
            for column, name, kind in zip(head, names, found, strict=True)
        }

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        with self._place.guarded(sqlite3.Error):
            return self._connection.execute(self._place.asked(sql)).fetchall()

    def read(self, sql: str) -> Iterator[pa.RecordBatch]:
        with self._place.guarded(sqlite3.Error):
            cursor = self._connection.execute(self._place.asked(sql))
            while rows := cursor.fetchmany(_ROWS):
                yield _batch([_sqlite_text(values) for values in zip(*rows, strict=True)])


def _sqlite_type(kinds: set[str]) -> pa.DataType:
    kinds -= {"null", ""}
    if kinds and kinds <= {"integer", "real"}:
        return pa.float64() if "real" in kinds else pa.int64()
    return pa.binary() if "blob" in kinds else pa.string()


def _sqlite_text(values: Sequence[Any]) -> pa.Array:
    try:
        return pa.array(values, pa.string())
    except pa.ArrowException:
        floats = iter(
            as_text(pa.array([value for value in values if isinstance(value, float)], pa.float64())).to_pylist()
        )
        texts = [next(floats) if isinstance(v, float) else v if v is None else str(v) for v in values]
        return pa.array(texts, pa.string())


class _MySQL(Engine):
    quote, total, text_times = "`", "SUM(CAST({} AS DECIMAL(65, 4)))", False
    instant = "TIMESTAMP '{}'"

    def __init__(self, place: Place, url: str) -> None:
        self._place, self._url, self.name = place, url, place.name

    @contextmanager
    def session(self) -> Iterator[Session]:
        driver = _package("pymysql", "mysql")
        cursors = _package("pymysql.cursors", "mysql")
        try:
            parts = urlsplit(self._url)
            port = parts.port or 3306
        except ValueError:
            raise SourceError(
                f"The URL in {self._place.variable} cannot be read.",
                "Write mysql://user:password@host:3306/database, with %40 for @ and %2F for / in the password.",
            ) from None
        tls = parse_qs(parts.query).get("ssl_ca", [None])[0]
        with self._place.guarded(driver.Error):
            connection = driver.connect(
                host=parts.hostname,
                port=port,
                user=unquote(parts.username or ""),
                password=unquote(parts.password or ""),
                database=unquote(parts.path.strip("/")) or None,
                ssl_ca=tls,
                charset="utf8mb4",
                # Values stay the text that the server sends, and rows are not collected here.
                conv=driver.converters.encoders,
                cursorclass=cursors.SSCursor,
                init_command="SET SESSION time_zone = '+00:00'",
            )
        try:
            yield _MySQLSession(self._place, connection, driver)
        finally:
            # Not close(): it would first take all rows that are still on their way.
            connection._force_close()


class _MySQLSession:
    def __init__(self, place: Place, connection: Any, driver: Any) -> None:
        self._place, self._connection, self._driver = place, connection, driver
        self.ask("SET SESSION TRANSACTION READ ONLY")

    def columns(self) -> Mapping[str, Column]:
        with self._place.guarded(self._driver.Error), self._connection.cursor() as cursor:
            cursor.execute(self._place.asked("SELECT * FROM {rows} LIMIT 0"))
            fields = cursor._result.fields
            return {field.name: Column(_mysql_type(field), _quoted(field.name, "`")) for field in fields}

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        with self._place.guarded(self._driver.Error), self._connection.cursor() as cursor:
            cursor.execute(self._place.asked(sql))
            return list(cursor.fetchall())

    def read(self, sql: str) -> Iterator[pa.RecordBatch]:
        with self._place.guarded(self._driver.Error), self._connection.cursor() as cursor:
            cursor.execute(self._place.asked(sql))
            types = [_mysql_type(field) for field in cursor._result.fields]
            while rows := cursor.fetchmany(_ROWS):
                columns = zip(*rows, strict=True)
                yield _batch([_mysql_text(values, type_) for values, type_ in zip(columns, types, strict=True)])


def _mysql_type(field: Any) -> pa.DataType:
    code, binary = field.type_code, field.charsetnr == 63
    if code in (1, 2, 3, 8, 9, 13):
        return pa.int64()
    if code in (0, 246):
        return pa.decimal128(38, 9)
    plain = {4: pa.float32(), 5: pa.float64(), 7: pa.timestamp("us", "UTC"), 12: pa.timestamp("us"), 10: pa.date32()}
    return plain.get(code) or (pa.binary() if binary else pa.string())


def _mysql_text(values: Sequence[Any], type_: pa.DataType) -> pa.Array:
    texts = pa.array(values, pa.string())
    if pa.types.is_floating(type_):
        return as_text(texts.cast(type_))
    if pa.types.is_timestamp(type_):
        texts = pc.replace_substring_regex(texts, r"\.0+$", "")
        return pc.binary_join_element_wise(texts, "+00:00", "") if type_.tz else texts
    return texts


def _batch(columns: Sequence[pa.Array]) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays(list(columns), names=[f"c{at}" for at in range(len(columns))])
