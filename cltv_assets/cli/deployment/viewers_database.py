"""The database role of the viewers' webserver: it reads Dagster's tables, and no query of it takes long."""

from __future__ import annotations

from typing import Any

ROLE = "dagster_viewer"

#: The only thing that the read-only webserver writes: how it found an asset's partitions, so as not to count them anew.
#: Without the right, Dagster's answer to a question for them is an error.
CACHE = ("asset_keys", "cached_status_data")

#: Of a query that names no other bound.
SECONDS = 10


def make_role(connection: Any, password: str) -> None:
    """Make the role unless it exists, and give it its password and exactly these rights.

    Parameters
    ----------
    connection : psycopg2 connection
        Of the tables' owner, who may make roles.
    password : str
        The role's password; only its hash is sent.
    """
    from psycopg2 import sql
    from psycopg2.extensions import encrypt_password

    role, (table, column) = sql.Identifier(ROLE), map(sql.Identifier, CACHE)
    hashed = encrypt_password(password, ROLE, connection, "scram-sha-256")
    with connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (ROLE,))
        if cursor.fetchone() is None:
            cursor.execute(sql.SQL("CREATE ROLE {}").format(role))
        for statement in (
            "ALTER ROLE {role} LOGIN NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION PASSWORD {hashed}",
            "ALTER ROLE {role} SET statement_timeout = {bound}",
            "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}",
            # Tables that an upgrade adds.
            "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO {role}",
            "GRANT UPDATE ({column}) ON {table} TO {role}",
        ):
            values = {"hashed": sql.Literal(hashed), "bound": sql.Literal(f"{SECONDS}s")}
            cursor.execute(sql.SQL(statement).format(role=role, table=table, column=column, **values))
