"""Sessions of databases that are written to: PostgreSQL, MySQL and MariaDB, DuckDB.

Names of tables and columns that come here are checked, or our own; values go by the drivers.
"""
# ruff: noqa: S608

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs, quote

import pyarrow as pa

from cltv_assets.errors import ConfigError

#: Temporary table with the rows to write.
STAGED = "cltv_export_rows"
#: Rows of one statement where a database takes them as text.
_ROWS = 2_000
#: Of texts in MySQL: ids differ by case, and a text that changes only in case has changed.
_BINARY = "CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"


@dataclass(frozen=True)
class Server:
    """Where a database is.

    Parameters
    ----------
    address : tuple
        Host and port.
    user, password : str or None
        None for the driver's own way.
    database : str
        Its name.
    query : str
        The URL's parameters.
    variable : str
        Environment variable of the password.
    """

    address: tuple[str | None, int | None]
    user: str | None
    password: str | None
    database: str
    query: str
    variable: str

    @contextmanager
    def guarded(self, *kinds: type[Exception]) -> Iterator[None]:
        """Turn a driver's errors into one that a user can act on, without the password."""
        try:
            yield
        except kinds as error:
            text = " ".join(str(error).split())
            for secret in filter(None, (self.password, quote(self.password or "", safe=""))):
                text = text.replace(secret, "***")
            raise ConfigError(
                f"The database {self.database} on {self.address[0]} refuses: {text}.",
                "Nothing was written. The user needs the rights to create temporary tables and, for a table that is "
                f"not there, tables; the password comes from {self.variable}.",
            ) from None


class Session(ABC):
    """A connection in a transaction."""

    quote: ClassVar[str] = '"'
    types: ClassVar[dict[str, str]] = {}

    @abstractmethod
    def execute(self, sql: str) -> None:
        """Run a statement."""

    @abstractmethod
    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        """Return the few rows of a query."""

    @abstractmethod
    def columns(self, table: str) -> list[str] | None:
        """Return a table's columns; None where there is no such table."""

    @abstractmethod
    def stage(self, rows: pa.RecordBatchReader, key: Sequence[str]) -> None:
        """Put the rows into the temporary table."""

    @abstractmethod
    def commit(self) -> None:
        """Make everything visible."""

    @abstractmethod
    def lock(self, table: str) -> None:
        """Keep other exports away until the end."""

    def named(self, name: str) -> str:
        """Return a name as SQL spells it."""
        return ".".join(f"{self.quote}{part}{self.quote}" for part in name.split("."))

    def type_of(self, field: pa.Field, *, key: bool) -> str:  # noqa: ARG002 - some types differ for keys
        """Return a column's type."""
        if pa.types.is_decimal(field.type):
            return f"DECIMAL({field.type.precision}, {field.type.scale})"
        return self.types[str(field.type)]

    def update(self, table: str, columns: Sequence[str], same: str) -> str:
        """Return the statement that changes the rows that differ."""
        given = ", ".join(f"{self.named(name)} = s.{self.named(name)}" for name in columns)
        return f"UPDATE {self.named(table)} AS t SET {given} FROM {STAGED} AS s WHERE {same}"

    def differs(self, columns: Sequence[str]) -> str:
        """Return the condition that a row ``t`` is not as ``s`` says."""
        return " OR ".join(f"t.{self.named(name)} IS DISTINCT FROM s.{self.named(name)}" for name in columns)


class Database(ABC):
    """What holds a table."""

    @abstractmethod
    def session(self) -> AbstractContextManager[Session]:
        """Open a session; without a commit nothing of it stays."""


def _package(name: str, extra: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise ConfigError(
            f"The package {name} is missing, which writes to this database.",
            f"Install it: pip install 'cltv-assets[{extra}]'.",
        ) from None


@dataclass(frozen=True)
class DuckDB(Database):
    """A database file of DuckDB's; made if it is not there."""

    path: str

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Open a session; without a commit nothing of it stays."""
        import duckdb

        server = Server((self.path, None), None, None, Path(self.path).name, "", "nowhere")
        with server.guarded(duckdb.Error):
            connection = duckdb.connect(self.path)
            with closing(connection):
                connection.execute("BEGIN")
                yield _DuckDBSession(connection)


class _DuckDBSession(Session):
    types: ClassVar = {
        "string": "VARCHAR",
        "int32": "INTEGER",
        "int64": "BIGINT",
        "double": "DOUBLE",
        "bool": "BOOLEAN",
        "date32[day]": "DATE",
        "timestamp[us, tz=UTC]": "TIMESTAMPTZ",
    }

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def execute(self, sql: str) -> None:
        self._connection.execute(sql)

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = self._connection.execute(sql).fetchall()
        return found

    def columns(self, table: str) -> list[str] | None:
        schema, _, name = table.rpartition(".")
        found = self.ask(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = "
            + (f"'{schema}'" if schema else "current_schema()")
            + f" AND table_name = '{name}' ORDER BY ordinal_position"
        )
        return [column for (column,) in found] or None

    def stage(self, rows: pa.RecordBatchReader, key: Sequence[str]) -> None:  # noqa: ARG002
        self._connection.register("cltv_given", rows)
        self.execute(f"CREATE TEMPORARY TABLE {STAGED} AS SELECT * FROM cltv_given")

    def lock(self, table: str) -> None:
        """Do nothing: a process that writes holds the file."""

    def commit(self) -> None:
        self.execute("COMMIT")


@dataclass(frozen=True)
class PostgreSQL(Database):
    """A server of PostgreSQL."""

    server: Server

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Open a session; without a commit nothing of it stays."""
        driver = _package("adbc_driver_postgresql.dbapi", "postgresql")
        server = self.server
        host, port = server.address
        user = quote(server.user or "", safe="")
        user += f":{quote(server.password, safe='')}" if server.password else ""
        place = f"{f'[{host}]' if host and ':' in host else host}{f':{port}' if port else ''}"
        url = f"postgresql://{user}{'@' if user else ''}{place}/{quote(server.database, safe='')}"
        url += f"?{server.query}" if server.query else ""
        with server.guarded(driver.Error), closing(driver.connect(url)) as connection:
            yield _PostgreSQLSession(connection)


class _PostgreSQLSession(Session):
    types: ClassVar = {
        "string": "TEXT",
        "int32": "INTEGER",
        "int64": "BIGINT",
        "double": "DOUBLE PRECISION",
        "bool": "BOOLEAN",
        "date32[day]": "DATE",
        "timestamp[us, tz=UTC]": "TIMESTAMPTZ",
    }

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def execute(self, sql: str) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(sql)

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())

    def columns(self, table: str) -> list[str] | None:
        if not self.ask(f"SELECT to_regclass('{self.named(table)}') IS NOT NULL")[0][0]:
            return None
        with self._connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {self.named(table)} LIMIT 0")
            return list(cursor.fetch_arrow_table().schema.names)

    def lock(self, table: str) -> None:
        # Two exports at once would both insert a new customer. Readers go on.
        self.execute(f"LOCK TABLE {self.named(table)} IN SHARE ROW EXCLUSIVE MODE")

    def stage(self, rows: pa.RecordBatchReader, key: Sequence[str]) -> None:
        with self._connection.cursor() as cursor:
            cursor.adbc_ingest(STAGED, rows, mode="create", temporary=True)
        self.execute(f"CREATE INDEX ON {STAGED} ({', '.join(map(self.named, key))})")
        self.execute(f"ANALYZE {STAGED}")

    def commit(self) -> None:
        self._connection.commit()


@dataclass(frozen=True)
class MySQL(Database):
    """A server of MySQL or MariaDB."""

    server: Server

    @contextmanager
    def session(self) -> Iterator[Session]:
        """Open a session; without a commit nothing of it stays."""
        driver = _package("pymysql", "mysql")
        server = self.server
        tls = parse_qs(server.query).get("ssl_ca", [None])[0]
        with server.guarded(driver.Error):
            connection = driver.connect(
                host=server.address[0],
                port=server.address[1] or 3306,
                user=server.user or "",
                password=server.password or "",
                database=server.database,
                charset="utf8mb4",
                ssl_ca=tls,
            )
            with closing(connection):
                yield _MySQLSession(connection)


class _MySQLSession(Session):
    quote: ClassVar = "`"
    types: ClassVar = {
        "string": f"TEXT {_BINARY}",
        "int32": "INTEGER",
        "int64": "BIGINT",
        "double": "DOUBLE",
        "bool": "BOOLEAN",
        "date32[day]": "DATE",
        "timestamp[us, tz=UTC]": "DATETIME(6)",
    }

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def execute(self, sql: str) -> None:
        with self._connection.cursor() as cursor:
            cursor.execute(sql)

    def ask(self, sql: str) -> list[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())

    def type_of(self, field: pa.Field, *, key: bool) -> str:
        # A key has a length.
        if key and pa.types.is_string(field.type):
            return f"VARCHAR(255) {_BINARY} NOT NULL"
        return super().type_of(field, key=key)

    def columns(self, table: str) -> list[str] | None:
        schema, _, name = table.rpartition(".")
        found = self.ask(
            "SELECT column_name FROM information_schema.columns WHERE table_schema = "
            + (f"'{schema}'" if schema else "DATABASE()")
            + f" AND table_name = '{name}' ORDER BY ordinal_position"
        )
        return [column for (column,) in found] or None

    def lock(self, table: str) -> None:
        # The table's own locks of rows do not keep two exports from inserting the same new customer.
        if self.ask("SELECT GET_LOCK('cltv " + table[:50] + "', 60)")[0][0] != 1:
            raise ConfigError(f"Another export writes to {table}.", "Wait until it has ended.")

    def stage(self, rows: pa.RecordBatchReader, key: Sequence[str]) -> None:
        fields = ", ".join(f"{self.named(f.name)} {self.type_of(f, key=f.name in key)}" for f in rows.schema)
        keys = ", ".join(map(self.named, key))
        self.execute(f"CREATE TEMPORARY TABLE {STAGED} ({fields}, PRIMARY KEY ({keys})) ENGINE = InnoDB")
        places = ", ".join(["%s"] * len(rows.schema))
        with self._connection.cursor() as cursor:
            for batch in rows:
                for first in range(0, batch.num_rows, _ROWS):
                    values = zip(*(column.to_pylist() for column in batch.slice(first, _ROWS).columns), strict=True)
                    cursor.executemany(f"INSERT INTO {STAGED} VALUES ({places})", list(values))

    def update(self, table: str, columns: Sequence[str], same: str) -> str:
        given = ", ".join(f"t.{self.named(name)} = s.{self.named(name)}" for name in columns)
        return f"UPDATE {self.named(table)} AS t JOIN {STAGED} AS s SET {given} WHERE {same}"

    def differs(self, columns: Sequence[str]) -> str:
        return " OR ".join(f"NOT (t.{self.named(name)} <=> s.{self.named(name)})" for name in columns)

    def commit(self) -> None:
        self._connection.commit()
