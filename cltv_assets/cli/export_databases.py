"""Rows into a table of PostgreSQL, MySQL, MariaDB or DuckDB: inserted, changed or left, in one transaction.

The rows are first put into a temporary table. What is new and what changed is then found by the database itself, so
that tools which watch the table see changed rows only.
"""
# ruff: noqa: S608

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

import pyarrow as pa

from cltv_assets.cli.export_sessions import STAGED, Database, DuckDB, MySQL, PostgreSQL, Server, Session
from cltv_assets.errors import ConfigError

_DUCKDB = re.compile(r"(?P<path>.+\.duckdb)(?:/(?P<table>[^/]+))?")
_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)?", re.ASCII)


@dataclass(frozen=True)
class Changes:
    """What an export did to a table: rows ``inserted``, ``changed`` and found the ``same``, ``deleted`` and ``left``.

    Those that are left are not in the selection.
    """

    inserted: int
    changed: int
    same: int
    deleted: int
    left: int


def is_database(to: str) -> bool:
    """Whether a target is a database."""
    return bool(re.match(r"(postgres|postgresql|mysql|mariadb)://", to) or _DUCKDB.fullmatch(to))


def write_table(
    to: str,
    default_table: str,
    rows: pa.RecordBatchReader,
    key: Sequence[str],
    *,
    delete_missing: bool,
    password_variable: str,
) -> Changes:
    """Bring a table of a database up to the rows.

    Parameters
    ----------
    to : str
        ``postgresql://user@host:5432/database/table``, ``mysql://user@host:3306/database/table`` or
        ``file.duckdb/table``; the table may be left out.
    default_table : str
        Its name then.
    rows : pyarrow.RecordBatchReader
        What it should hold.
    key : sequence of str
        Columns that identify a row, in no two rows alike.
    delete_missing : bool
        Whether rows of the table whose key is not among the given ones are deleted.
    password_variable : str
        Environment variable that holds the password.

    Raises
    ------
    ConfigError
        If the database cannot be reached or refuses the rows. Then nothing of the table has changed.
    """
    database, table = _database_of(to, default_table, password_variable)
    if _NAME.fullmatch(table) is None:
        raise ConfigError(
            f"--to names the table {table!r}.", "Give a name of letters, digits and underscores, or schema.name."
        )
    with database.session() as session:
        return _bring_up(session, table, rows, list(key), delete_missing=delete_missing)


def _database_of(to: str, default_table: str, password_variable: str) -> tuple[Database, str]:
    if found := _DUCKDB.fullmatch(to):
        return DuckDB(found["path"]), found["table"] or default_table
    try:
        parts = urlsplit(to)
        address = (parts.hostname, parts.port)
    except ValueError:
        raise ConfigError(
            "The address of --to cannot be read.", "Write postgresql://user@host:5432/database/table."
        ) from None
    # Other users of the machine see a command's arguments, and shells keep them.
    if parts.password is not None or "password=" in parts.query:
        raise ConfigError(
            "The address of --to holds a password.",
            f"Take it out, and put it into the environment variable {password_variable}.",
        )
    path = [unquote(part) for part in parts.path.split("/") if part]
    if not 1 <= len(path) <= 2 or not parts.hostname:
        raise ConfigError(
            "--to names no database.", "Write postgresql://user@host:5432/database/table; the table may be left out."
        )
    password = os.environ.get(password_variable)
    if password and not parts.username:
        raise ConfigError("--to names no user.", "Write postgresql://user@host:5432/database/table.")
    kind = PostgreSQL if parts.scheme.startswith("postgres") else MySQL
    user = unquote(parts.username) if parts.username else None
    server = Server(address, user, password, path[0], parts.query, password_variable)
    return kind(server), path[1] if len(path) == 2 else default_table


def _bring_up(
    session: Session, table: str, rows: pa.RecordBatchReader, key: list[str], *, delete_missing: bool
) -> Changes:
    names = rows.schema.names
    there = session.columns(table)
    if there is None:
        wanted = [f"{session.named(f.name)} {session.type_of(f, key=f.name in key)}" for f in rows.schema]
        primary = ", ".join(map(session.named, key))
        session.execute(f"CREATE TABLE {session.named(table)} ({', '.join(wanted)}, PRIMARY KEY ({primary}))")
    elif missing := [name for name in names if name not in there]:
        raise ConfigError(
            f"The table {table} has no column {', '.join(missing)}.",
            "Add it there, leave it out with --columns, or write into a table that is not there yet.",
        )
    session.lock(table)
    session.stage(rows, key)
    target, values = session.named(table), [name for name in names if name not in key]
    match = " AND ".join(f"t.{session.named(name)} = s.{session.named(name)}" for name in key)
    differs = session.differs(values) if values else "1 = 0"
    new = f"NOT EXISTS (SELECT 1 FROM {target} AS t WHERE {match})"

    def count(sql: str) -> int:
        return int(session.ask(f"SELECT COUNT(*) FROM {sql}")[0][0])

    given = count(f"{STAGED} AS s")
    if delete_missing and not given:
        raise ConfigError(
            "No row is selected, and --delete-missing would empty the table.", "Correct --segment, or leave it out."
        )
    inserted = count(f"{STAGED} AS s WHERE {new}")
    changed = count(f"{target} AS t JOIN {STAGED} AS s ON {match} WHERE {differs}")
    gone = count(f"{target} AS t WHERE NOT EXISTS (SELECT 1 FROM {STAGED} AS s WHERE {match})")
    if changed:
        session.execute(session.update(table, values, f"{match} AND ({differs})"))
    if inserted:
        listed = ", ".join(map(session.named, names))
        session.execute(f"INSERT INTO {target} ({listed}) SELECT {listed} FROM {STAGED} AS s WHERE {new}")
    if gone and delete_missing:
        kept = " AND ".join(f"{target}.{session.named(name)} = s.{session.named(name)}" for name in key)
        session.execute(f"DELETE FROM {target} WHERE NOT EXISTS (SELECT 1 FROM {STAGED} AS s WHERE {kept})")
    session.commit()
    deleted = gone if delete_missing else 0
    return Changes(inserted, changed, given - inserted - changed, deleted, gone - deleted)
