"""Dagster's instance: its database, the daemon, sensors and schedules."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dagster as dg

from cltv_assets.cli.doctor import Finding, failed, ok, warning
from cltv_assets.cli.doctor.damage import look_at_records
from cltv_assets.dagster_defs.build import build_definitions
from cltv_assets.dagster_defs.instance import LostDatabaseError, dagster_home, open_instance
from cltv_assets.dagster_defs.instance_state import chosen_in_the_ui
from cltv_assets.dagster_defs.run_owner import KILLED_RUNS_SENSOR
from cltv_assets.errors import ConfigError
from cltv_assets.foreign import without_credentials
from cltv_assets.settings import Settings

#: Seconds without a sign of life after which a daemon counts as silent; it gives one every 30.
_SILENT = 330
#: A variable that Dagster's configuration names and nobody has set.
_UNSET = re.compile(r"environment variable \"?(\w+)\"? which is not set")

#: A variable that ``dagster.yaml`` takes a value from.
_VARIABLE = re.compile(r"\benv: *['\"]?(\w+)")


def look_at_instance(settings: Settings) -> Iterator[Finding]:
    """Yield findings about database, daemon, sensors and schedules."""
    home = dagster_home(settings)
    try:
        with open_instance(settings) as instance:
            yield _database(instance, settings)
            yield _schema(instance)
            yield from look_at_records(settings, instance)
            yield _daemon(instance, settings)
            yield from _automation(instance, settings)
    except LostDatabaseError as error:
        yield _cannot_be_opened(error.__cause__ or error, home)
    except ConfigError as error:
        yield failed("dagster", error)
    except Exception as error:
        # Drivers, Dagster's configuration and its storages each have errors of their own.
        yield _cannot_be_opened(error, home)


def _cannot_be_opened(error: BaseException, home: Path) -> Finding:
    problem = f"The instance at {home} cannot be opened: {_reason(error, home)}."
    remedy = "Look at dagster.yaml there, at the variables that it names, and whether the database answers."
    return failed("database", ConfigError(problem, remedy))


def _database(instance: dg.DagsterInstance, settings: Settings) -> Finding:
    storage: Any = instance.run_storage
    kind = type(storage).__name__.removesuffix("RunStorage")
    # A query, which fails if the database does not answer or may not be read.
    runs = instance.get_runs_count()
    where = f"{kind}, {runs:,} runs, instance at {dagster_home(settings)}"
    if settings.environment == "production" and kind.startswith("Sqlite"):
        return warning(
            "database",
            f"{where}: SQLite serves one machine",
            "For several people or machines use PostgreSQL, as deploy/dagster-production.yaml does.",
        )
    return ok("database", where)


def _schema(instance: dg.DagsterInstance) -> Finding:
    """Compare the database's revision with the one that the installed Dagster needs."""
    storages: dict[str, Any] = {
        "runs": instance.run_storage,
        "events": instance.event_log_storage,
        "schedules": instance.schedule_storage,
    }
    behind, current = [], ""
    for name, storage in storages.items():
        revisions = storage.alembic_version() if storage is not None else None
        if not revisions:
            continue
        current, newest = revisions
        if current != newest:
            behind.append(f"{name} {current or 'none'} instead of {newest}")
    if behind:
        return failed(
            "schema",
            ConfigError(
                f"The database's schema is not that of Dagster {dg.__version__}: {', '.join(behind)}.",
                "Stop the daemon and run dagster instance migrate; if the database is the newer one, install its "
                "Dagster.",
            ),
        )
    return ok("schema", f"of Dagster {dg.__version__} (revision {current})")


def _daemon(instance: dg.DagsterInstance, settings: Settings) -> Finding:
    beats = instance.get_daemon_heartbeats()
    if not beats:
        if settings.environment == "production":
            return warning(
                "daemon", "none has run on this instance yet", "Start dagster-daemon run: nothing is made without it."
            )
        return ok("daemon", "none has run on this instance yet")
    # Dagster's own judgement waits for half an hour.
    since = time.time() - _SILENT
    silent = sorted(
        kind for kind in instance.get_required_daemon_types() if kind not in beats or beats[kind].timestamp < since
    )
    if silent:
        return warning(
            "daemon",
            f"{', '.join(silent)} gave no sign of life for {_SILENT // 60} minutes",
            "Start dagster-daemon run again, unless it is stopped for this deploy.",
        )
    return ok("daemon", "alive")


def _automation(instance: dg.DagsterInstance, settings: Settings) -> Iterator[Finding]:
    """Yield whether sensors and schedules run as they should; a choice made in the UI overrides the default."""
    definitions = build_definitions(settings)
    chosen = chosen_in_the_ui(instance)
    running, stopped = [], []
    for found in (*(definitions.sensors or ()), *(definitions.schedules or ())):
        by_default = found.default_status.value == "RUNNING"
        status = chosen.get(found.name, "DECLARED_IN_CODE")
        if status == "RUNNING" or (status == "DECLARED_IN_CODE" and by_default):
            # It makes no months, so where only this one runs, nothing happens by itself.
            if not found.name.endswith(KILLED_RUNS_SENSOR):
                running.append(found.name)
        elif by_default:
            stopped.append(found.name)
    if stopped:
        yield warning(
            "automation",
            f"{', '.join(stopped)} should run in {settings.environment} and was stopped in the UI",
            "Start it under Automation, or leave it if that is meant.",
        )
    elif running:
        yield ok("automation", f"running: {', '.join(running)}")
    else:
        yield ok("automation", f"nothing runs by itself in {settings.environment}")
    if settings.environment == "production" and not any(name.endswith("cltv_alerts") for name in (*running, *stopped)):
        yield warning(
            "alerts",
            "nobody hears of failed and late months",
            f"Set ${settings.automation.webhook_variable} to the address of a webhook.",
        )


def _reason(error: BaseException, home: Path) -> str:
    """Return why an instance cannot be opened, in one line and without passwords."""
    if isinstance(error, dg.DagsterInvalidConfigError):
        # The error's own text begins with pages about the right form.
        message = "\n".join(str(getattr(one, "message", one)) for one in error.errors)
        if unset := sorted(set(_UNSET.findall(message))):
            return f"not set: {', '.join(unset)}"
        return f"dagster.yaml is wrong: {_without_secrets(message, home)}"
    return f"{type(error).__name__}: {_without_secrets(str(error), home)}"


def _without_secrets(text: str, home: Path) -> str:
    """Leave out users and passwords of addresses, and what the variables hold that ``dagster.yaml`` names."""
    configured = home / "dagster.yaml"
    names = _VARIABLE.findall(configured.read_text(encoding="utf-8")) if configured.is_file() else ()
    named = {name: os.environ.get(name, "") for name in names}
    for name, value in sorted(named.items(), key=lambda item: len(item[1]), reverse=True):
        if value:
            text = re.sub(rf"(?<!\w){re.escape(value)}(?!\w)", f"(${name})", text)
    return " ".join(without_credentials(text).split())[:400]
