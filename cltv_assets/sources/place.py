"""Where a table is, and what its errors say: in words, with a remedy, and without credentials."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from cltv_assets.errors import SourceError

#: What is wrong by PostgreSQL's SQLSTATE, MySQL's number, or words of the message.
_CAUSES = (
    ("vacuumed", r"Object at location .* not found",
     "A file of that version is gone", "It was vacuumed: name a newer source.version, or none."),
    ("password", r"^28|^1045$|authentication failed|no password supplied",
     "The user or the password is not accepted", "Correct the URL in {variable}."),
    ("rights", r"^42501$|^114[23]$|^1044$|permission denied|not authorized",
     "The user may not read it", "Grant SELECT on it to the user of the URL, or correct source.table."),
    ("table", r"^42P01$|^1146$|no such table|Table with name .* does not exist|Catalog Error",
     "There is no such table", "Correct source.table or source.query; a table of another schema is schema.table."),
    ("column", r"^42703$|^1054$|no such column|Binder Error",
     "There is no such column", "Correct source.query."),
    ("write", r"^25006$|^1792$|read-only|readonly",
     "It would write, and sessions only read", "Write source.query as one SELECT."),
    ("syntax", r"^42601$|^1064$|syntax error|Parser Error",
     "It is not valid SQL", "Write source.query as one SELECT, and run it in the database's own client."),
    ("reach", r"^08|^200[235]$|Connection refused|could not translate|timeout|[Ff]ailed to connect|Can't connect",
     "The database does not answer", "Start it, let this machine reach it, or correct the URL in {variable}."),
)  # fmt: skip


@dataclass(frozen=True)
class Place:
    """Where a table is.

    Parameters
    ----------
    name : str
        For messages.
    rows : str
        The table or query in SQL.
    variable : str
        The setting or variable to correct if it cannot be reached.
    secrets : tuple of str
        Must be in no message.
    """

    name: str
    rows: str
    variable: str
    secrets: tuple[str, ...] = ()

    def asked(self, sql: str) -> str:
        """Return a query with the table in place of ``{rows}``."""
        return sql.replace("{rows}", self.rows)

    @contextmanager
    def guarded(self, *kinds: type[Exception]) -> Iterator[None]:
        """Turn a driver's errors into a ``SourceError`` without credentials."""
        try:
            yield
        except SourceError:
            raise
        except kinds as error:
            # DuckDB colours what it quotes.
            text = " ".join(re.sub(r"\x1b\[[\d;]*m", "", str(error)).split())
            number = error.args[0] if error.args and isinstance(error.args[0], int) else None
            # MySQL's SQLSTATEs are coarser than its numbers.
            code = str(number or getattr(error, "sqlstate", None) or "")
            for secret in self.secrets:
                text = text.replace(secret, "***")
            text = text.split("Query was:")[0].strip()
            for _, pattern, problem, remedy in _CAUSES:
                if re.search(pattern, code) or re.search(pattern, text):
                    raise SourceError(
                        f"{self.name}: {problem} ({text}).", remedy.format(variable=self.variable)
                    ) from None
            # It may be about a value.
            kind = " ".join(filter(None, (type(error).__name__, code)))
            raise SourceError(
                f"{self.name} cannot be read ({kind}).", "See the database's log.", quoted=f"It says: {text}."
            ) from None
