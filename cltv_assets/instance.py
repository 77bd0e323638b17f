"""The persistent Dagster instance of the command line: the one that the UI shows.

Dagster opens a SQLite database anew for each of its several writes an event. Two
things make that slow on a laptop and neither is needed: a full disk
synchronisation at every commit, and folding the write-ahead log back into the
database whenever the last connection closes. Here one idle connection to each
database stays open while months run, and commits are synchronised as SQLite
recommends for write-ahead logs: a power cut may cost the last events of a run's
history, never the database, and no data of the lake.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import sqlalchemy as sa

from cltv_assets.errors import ConfigError
from cltv_assets.settings import Settings

#: What a fresh instance of ours says: nothing leaves the machine, no welcome dialog.
_INSTANCE_YAML = """\
# Dagster instance of cltv_assets.
telemetry:
  enabled: false
nux:
  enabled: false
"""


def dagster_home(settings: Settings) -> Path:
    """Return ``$DAGSTER_HOME``, else ``.dagster`` beside the configuration."""
    named = os.environ.get("DAGSTER_HOME")
    return (Path(named).expanduser() if named else settings.home / ".dagster").resolve()


def prepare_home(home: Path) -> None:
    """Make the instance's folder and its ``dagster.yaml`` where they are missing.

    Raises
    ------
    ConfigError
        If the folder cannot be made.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
        if not (home / "dagster.yaml").exists():
            (home / "dagster.yaml").write_text(_INSTANCE_YAML, encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"Dagster's folder {home} cannot be written: {error.strerror}.", "Set DAGSTER_HOME to a folder that can."
        ) from None


@contextlib.contextmanager
def open_instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """Open the persistent instance, making it where there is none.

    Raises
    ------
    ConfigError
        If its folder cannot be made.
    """
    home = dagster_home(settings)
    prepare_home(home)
    # Dagster also reads the variable itself, for example for compute logs.
    os.environ["DAGSTER_HOME"] = str(home)
    with _calm_sqlite(), dg.DagsterInstance.from_config(str(home)) as instance:
        yield instance


@contextlib.contextmanager
def _calm_sqlite() -> Iterator[None]:
    """Keep one idle connection to each SQLite database open, and relax its commits."""
    held: dict[str, sqlite3.Connection] = {}

    def connected(connection: Any, _record: Any) -> None:
        if not isinstance(connection, sqlite3.Connection):
            return
        connection.execute("PRAGMA synchronous = NORMAL")
        path = connection.execute("PRAGMA database_list").fetchone()[2]
        if path and path not in held:
            held[path] = sqlite3.connect(path, check_same_thread=False)
        elif path and connection.execute("PRAGMA journal_mode").fetchone()[0] == "wal":
            # A connection holds the log open only once it has read through it.
            held[path].execute("SELECT count(*) FROM sqlite_master").fetchone()

    sa.event.listen(sa.Engine, "connect", connected)
    try:
        yield
    finally:
        sa.event.remove(sa.Engine, "connect", connected)
        for connection in held.values():
            connection.close()
