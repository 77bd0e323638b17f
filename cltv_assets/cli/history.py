"""Removes a customer's rows from Dagster's event log, which keeps previews of tables and examples of checks.

Dagster offers no way to change recorded metadata, and without its event a month would
count as missing. So only the rows are removed, inside the events; the events, their order
and every other number stay.
"""

from __future__ import annotations

import contextlib
import csv
import json
import sqlite3
from typing import Any

import dagster as dg

from cltv_assets.dagster_defs.instance_state import event_databases, is_sql, rewrite_events
from cltv_assets.errors import ConfigError


def shown_in_history(
    instance: dg.DagsterInstance, keys: set[dg.AssetKey], customer: str, *, remove: bool = False
) -> int:
    """Return how many recorded events show rows of the customer; with ``remove``, take the rows out.

    Parameters
    ----------
    instance : DagsterInstance
        The instance whose events are searched.
    keys : set of AssetKey
        Assets of this graph. Another graph may have a customer of the same id.
    customer : str
        The id, as it stands in the tables.
    remove : bool
        Change the events, instead of only counting them.

    Raises
    ------
    ConfigError
        If the instance keeps its events where they cannot be changed, or is in use and locked.
    """
    if not is_sql(instance):
        raise ConfigError(
            f"Dagster's events are kept by {type(instance.event_log_storage).__name__}, which offers no way to change "
            "them.",
            "Ask its operator to delete the runs whose previews show the customer.",
        )
    ours = {key.to_string() for key in keys}
    found = 0
    for connect, file in event_databases(instance):
        with connect() as connection:
            changed = _without_customer(connection, ours, customer, remove)
        found += changed
        if remove and file is not None:
            # Even if nothing was found: an interrupted attempt may have left its rows in free pages.
            forget_free_pages(file)
    return found


def _without_customer(connection: Any, ours: set[str], customer: str, remove: bool) -> int:
    found = 0

    def rewrite(asset: str | None, event: Any) -> Any | None:
        nonlocal found
        cleaned = _cleaned(event, customer) if asset is None or asset in ours else None
        found += cleaned is not None
        return cleaned if remove else None

    # A part that a line of CSV spells alike, as JSON writes it: letters beyond ASCII are escaped.
    part = max(customer.split('"'), key=len)
    rewrite_events(connection, json.dumps(part)[1:-1], rewrite)
    return found


def _cleaned(value: Any, customer: str) -> Any | None:
    """Return a decoded event without the customer's rows, or None if it shows none."""
    touched = False

    def walk(inner: Any) -> Any:
        nonlocal touched
        if isinstance(inner, dict):
            return {key: walk(item) for key, item in inner.items()}
        if isinstance(inner, list):
            return [walk(item) for item in inner]
        if isinstance(inner, str) and "|" in inner:
            lines = inner.split("\n")
            kept = [line for line in lines if not _shows(line, customer)]
            touched = touched or len(kept) < len(lines)
            return "\n".join(kept)
        return inner

    cleaned = walk(value)
    return cleaned if touched else None


def _shows(line: str, customer: str) -> bool:
    """Return whether a line of a Markdown table has the customer in a cell."""
    if not line.startswith("|"):
        return False
    cells = [cell.strip().replace("\\|", "|") for cell in line.strip().strip("|").split(" | ")]
    as_text = customer.replace("\n", " ")
    # A cell may hold a whole line that could not be split.
    return any(
        as_text in {cell, *_fields(cell, ","), *_fields(cell, ";"), *cell.replace(",", " ").replace(";", " ").split()}
        for cell in cells
    )


def _fields(line: str, delimiter: str) -> list[str]:
    # A quoted line break of the delivery may have left its carriage return, which csv refuses outside quotes.
    return [field.strip() for row in csv.reader([line.replace("\r", " ")], delimiter=delimiter) for field in row]


def forget_free_pages(file: str) -> None:
    """Delete what a SQLite file keeps of removed rows: free pages and the write-ahead log.

    Raises
    ------
    ConfigError
        If another process holds a lock on it.
    """
    try:
        with contextlib.closing(sqlite3.connect(file, timeout=30, isolation_level=None)) as database:
            database.execute("VACUUM")
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    except sqlite3.OperationalError as error:
        raise ConfigError(
            f"Dagster's {file} is in use: {error}.", "Stop runs and the daemon, then give the same command again."
        ) from error
