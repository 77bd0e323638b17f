"""What of a table's rows may be recorded with Dagster's events: nothing of one customer, and no line as delivered.

Events stay for years, in a database that others read and that alerts and logs quote. So a preview shows no row of a
customer, and a check that found lines names file, line and column; whoever may read the delivery looks there. What
stands in a line is kept in the lake alone, where `cltv forget` erases it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

#: Rows with one of these are of one customer, or a line.
_OF_ONE = frozenset({"customer_id", "transaction_id", "source_line", "source_text"})
#: What may be told of such a row: where it stands, which column is meant, why it was found, and how many there are.
_TOLD = frozenset(
    {"source_file", "source_line", "column", "finding", "reason", "table_name", "check_name", "sample", "lines", "rows"}
)
#: Customers from which a value of an attribute may be recorded: one that fewer have may tell who they are.
FEW = 10
#: Lines that a message names.
_NAMED = 3


def recordable(columns: Collection[str]) -> list[str]:
    """Return those columns of a table whose values may be recorded."""
    return [name for name in columns if name in _TOLD or _OF_ONE.isdisjoint(columns)]


def recordable_rows(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return rows with the columns that may be recorded; none if there is no such column."""
    names = recordable(list(dict.fromkeys(name for row in rows for name in row)))
    return [{name: row.get(name) for name in names} for row in rows] if names else []


def places(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return a sentence on where some rows stand in the delivery; empty where that is not known."""
    what = {id(row): row.get("column") or row.get("finding") for row in rows}
    found = dict.fromkeys(
        f"{row['source_file']} line {row['source_line']}" + (f" ({what[id(row)]})" if what[id(row)] else "")
        for row in rows
        if row.get("source_file") and row.get("source_line") is not None
    )
    return f" See {', '.join(list(found)[:_NAMED])}." if found else ""
