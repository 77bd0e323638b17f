"""Removes a customer from Dagster's event log, which holds what earlier releases recorded: rows and quoted lines.

What this release records is of no single customer, see `tables/recording.py`. Dagster offers no way to change recorded
metadata, and without its event a month would count as missing. So only rows and quotations are removed, inside the
events; the events, their order and every other number stay.
"""

from __future__ import annotations

import contextlib
import re
import sqlite3
from typing import Any

import dagster as dg

from cltv_assets.dagster_defs.instance_state import event_databases, is_sql, rewrite_events
from cltv_assets.errors import ConfigError
from cltv_assets.lake.spellings import Spellings

#: What stands in place of a customer's id.
ERASED = "erased"
#: Where events hold sentences, which quoted ids and lines in earlier releases.
_IN_WORDS = {"description", "message", "user_message", "text"}


def shown_in_history(
    instance: dg.DagsterInstance, keys: set[dg.AssetKey], customer: Spellings, *, remove: bool = False
) -> int:
    """Return how many recorded events show rows of the customer; with ``remove``, take the rows out.

    Parameters
    ----------
    instance : DagsterInstance
        The instance whose events are searched.
    keys : set of AssetKey
        Assets of this graph. Another graph may have a customer of the same id.
    customer : Spellings
        The id, and what else stands for it.
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


def _without_customer(connection: Any, ours: set[str], customer: Spellings, remove: bool) -> int:
    found = 0

    def rewrite(asset: str | None, event: Any) -> Any | None:
        nonlocal found
        cleaned = _cleaned(event, customer) if asset is None or asset in ours else None
        found += cleaned is not None
        return cleaned if remove else None

    rewrite_events(connection, rewrite)
    return found


def _cleaned(value: Any, customer: Spellings) -> Any | None:
    """Return a decoded event without the customer's rows and quotations, or None if it has none."""
    touched = False

    def walk(inner: Any, key: str = "") -> Any:
        nonlocal touched
        if isinstance(inner, dict):
            return {name: walk(item, name) for name, item in inner.items()}
        if isinstance(inner, list):
            return [walk(item, key) for item in inner]
        if not isinstance(inner, str):
            return inner
        lines = inner.split("\n")
        kept = [line for line in lines if not _shows(line, customer)]
        cleaned = "\n".join(kept)
        if key in _IN_WORDS:
            cleaned = customer.without(cleaned, ERASED)
        touched = touched or cleaned != inner
        return cleaned

    cleaned = walk(value)
    return cleaned if touched else None


def _shows(line: str, customer: Spellings) -> bool:
    """Return whether a line of a Markdown table has the customer in a cell, also in a whole line that is one."""
    if not line.startswith("| "):
        return False
    # A cell's own bars are escaped.
    return any(customer.in_cell(cell.strip()) for cell in re.split(r"(?<!\\)\|", line.strip()))


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
