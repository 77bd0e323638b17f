"""The persistent Dagster instance of the command line: the one that the UI shows."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import dagster as dg
import sqlalchemy as sa
import yaml

from cltv_assets.dagster_defs.instance_state import are_made, calm_sqlite, mend_heads
from cltv_assets.dagster_defs.run_owner import end_killed_runs, unwritable
from cltv_assets.errors import CltvError, ConfigError
from cltv_assets.files.locks import hold
from cltv_assets.files.scratch import remove_orphans
from cltv_assets.settings import Settings
from cltv_assets.settings.component_file import COMPONENT_FILES, project_root

#: The ``dagster.yaml`` of a new instance; ``deploy/dagster.yaml`` is the same.
_INSTANCE_YAML = "instance.yaml"
#: Locked while the databases are made.
_OPENING = ".opening"
#: What SQLite says of a folder that is full or must not be written.
_FULL_OR_READ_ONLY = re.compile("disk is full|readonly database|unable to open database|disk I/O error")


def dagster_home(settings: Settings) -> Path:
    """Return ``$DAGSTER_HOME``, else ``.dagster`` beside the configuration; for a component, in its project's root."""
    named = os.environ.get("DAGSTER_HOME")
    is_component = any((settings.home / name).is_file() for name in COMPONENT_FILES)
    beside = project_root(settings.home) if is_component else settings.home
    return (Path(named).expanduser() if named else beside / ".dagster").resolve()


def prepare_home(home: Path) -> None:
    """Make the instance's folder and its ``dagster.yaml`` if they are missing.

    Raises
    ------
    ConfigError
        If the folder cannot be made.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
        if not (home / "dagster.yaml").exists():
            # Another process may read it at this moment.
            draft = home / f"dagster.yaml.{os.getpid()}"
            draft.write_bytes(resources.files("cltv_assets").joinpath(_INSTANCE_YAML).read_bytes())
            draft.replace(home / "dagster.yaml")
    except OSError as error:
        raise unwritable(home, error.strerror or str(error)) from None


@contextlib.contextmanager
def open_instance(settings: Settings) -> Iterator[dg.DagsterInstance]:
    """Open the persistent instance; make it if there is none, and end what killed processes left.

    Raises
    ------
    ConfigError
        If its folder cannot be written, or its database is broken; `LostDatabaseError` if that cannot be reached, now
        or later.
    EngineError
        If there is no place for temporary files.
    """
    home = dagster_home(settings)
    prepare_home(home)
    remove_orphans()
    # Dagster also reads the variable itself, for example for compute logs.
    os.environ["DAGSTER_HOME"] = str(home)
    with _naming_lost_database(home), calm_sqlite(), _opened(home) as instance:
        end_killed_runs(instance)
        yield instance


class LostDatabaseError(ConfigError):
    """Dagster's database is away, or does not do what it is asked."""


@contextlib.contextmanager
def _naming_lost_database(home: Path) -> Iterator[None]:
    """Say what an operator can do about a database that is full or away, in place of a fault of this package."""
    try:
        yield
    except CltvError:
        # It has said what is wrong: with a source in a database, for example.
        raise
    except Exception as error:
        cause: BaseException | None = error
        # Dagster's storages tell of it in errors of their own.
        while cause is not None and not isinstance(cause, (sa.exc.OperationalError, sa.exc.InterfaceError)):
            cause = cause.__cause__
        if cause is None:
            raise
        reason = str(cause.orig).partition("\n")[0]
        if _FULL_OR_READ_ONLY.search(reason):
            raise unwritable(home, reason) from error
        raise LostDatabaseError(
            f"Dagster's database cannot be used: {reason}. Months that were published stay.",
            f"Look whether it runs and has room ({home}/dagster.yaml says where it is), then give the command again.",
        ) from error


def _opened(home: Path) -> dg.DagsterInstance:
    """Open an instance; one process at a time while its databases are made.

    Of two that make them at once, one may take the other's half-made ones for those of an old release.
    """
    try:
        if not _has_storage(home) and not are_made(home):
            with hold(home / _OPENING):
                mend_heads(home)
                # Those that waited meanwhile find them made.
                if not are_made(home):
                    return dg.DagsterInstance.from_config(str(home))
        return dg.DagsterInstance.from_config(str(home))
    except OSError as error:
        raise unwritable(home, error.strerror or str(error)) from error


def _has_storage(home: Path) -> bool:
    """Return whether ``dagster.yaml`` names a storage, such as PostgreSQL."""
    named = yaml.safe_load((home / "dagster.yaml").read_text(encoding="utf-8")) or {}
    return any(key in named for key in ("storage", "run_storage", "event_log_storage", "schedule_storage"))
