"""The persistent Dagster instance of the command line: the one that the UI shows.

Dagster opens a SQLite database anew for each of its several writes an event. Three
things make that slow on a laptop and none is needed: a full disk synchronisation at
every commit, folding the write-ahead log back into the database whenever the last
connection closes, and compiling the same few statements each time, because the cache of
compiled statements goes with the SQLAlchemy engine. Here engines and their pools of
connections are kept while months run, and commits are synchronised as SQLite recommends
for write-ahead logs: a power cut may cost the last events of a run's history, never the
database, and no data of the lake. Forty check results took 11 s without and 2 s with
it.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import dagster as dg
import sqlalchemy as sa
from dagster._core.storage.event_log.sqlite import sqlite_event_log
from dagster._core.storage.runs.sqlite import sqlite_run_storage

from cltv_assets.errors import ConfigError
from cltv_assets.settings import Settings
from cltv_assets.settings.component_file import COMPONENT_FILES, project_root

#: What a fresh instance of ours says; ``deploy/dagster.yaml`` is the same.
_INSTANCE_YAML = "instance.yaml"


def dagster_home(settings: Settings) -> Path:
    """Return ``$DAGSTER_HOME``, else ``.dagster`` beside the configuration; for a component, in its project's root."""
    named = os.environ.get("DAGSTER_HOME")
    is_component = any((settings.home / name).is_file() for name in COMPONENT_FILES)
    beside = project_root(settings.home) if is_component else settings.home
    return (Path(named).expanduser() if named else beside / ".dagster").resolve()


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
            (home / "dagster.yaml").write_bytes(resources.files("cltv_assets").joinpath(_INSTANCE_YAML).read_bytes())
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
    with calm_sqlite(), dg.DagsterInstance.from_config(str(home)) as instance:
        yield instance


@contextlib.contextmanager
def calm_sqlite() -> Iterator[None]:
    """Let Dagster's SQLite storages keep their connections while months run."""
    engines: dict[str, sa.Engine] = {}

    def kept_engine(url: str, **options: Any) -> sa.Engine:
        if url not in engines:
            # A pool and not one connection: Dagster nests its transactions, and an inner one on
            # the same connection would take the outer one's writes back.
            engine = sa.create_engine(url, **options | {"poolclass": sa.QueuePool})
            sa.event.listen(engine, "connect", _relax_commits)
            # Dagster disposes of an engine after each use; here that happens once, at the end.
            setattr(engine, "dispose", lambda: None)  # noqa: B010 - the type says it is no attribute
            engines[url] = engine
        return engines[url]

    # Dagster offers no setting for this: its storages take the function from their own module.
    storages: tuple[Any, ...] = (sqlite_event_log, sqlite_run_storage)
    own = [storage.create_engine for storage in storages]
    for storage in storages:
        storage.create_engine = kept_engine
    try:
        yield
    finally:
        for storage, function in zip(storages, own, strict=True):
            storage.create_engine = function
        for engine in engines.values():
            sa.Engine.dispose(engine)


def _relax_commits(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA synchronous = NORMAL")
