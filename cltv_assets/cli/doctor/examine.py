"""``cltv doctor``: looks at everything before a run or a deploy does."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from rich.console import Console

from cltv_assets import __version__
from cltv_assets.cli.configuration import settings_to_read
from cltv_assets.cli.doctor import Finding, State, failed, ok, warning
from cltv_assets.cli.doctor.bucket import look_at_store
from cltv_assets.cli.doctor.damage import look_for_damage
from cltv_assets.cli.doctor.delivery import look_at_source, look_beside_source
from cltv_assets.cli.doctor.instance import look_at_instance
from cltv_assets.cli.doctor.versions import look_at_versions
from cltv_assets.cli.reading import check_lake
from cltv_assets.cli.runner import months_between
from cltv_assets.cli.terminal import open_console
from cltv_assets.dagster_defs.resources import object_store_for
from cltv_assets.errors import CltvError
from cltv_assets.files.object_store import is_s3
from cltv_assets.lake import FORMAT_VERSION
from cltv_assets.settings import Settings
from cltv_assets.settings.deprecations import CltvDeprecation
from cltv_assets.settings.file import settings_files
from cltv_assets.tables import all_schemas

_COLOURS = {State.OK: "green", State.WARNING: "yellow", State.FAILED: "red"}


def examine(config: Path | None, as_json: bool = False) -> None:
    """Show each finding as a line as soon as it is known; exit with the code of the first that failed.

    Raises
    ------
    SystemExit
        With the exit code of the first problem, if there is one.
    """
    console = open_console(at_least=100)
    found = []
    for finding in findings(config):
        found.append(finding)
        if not as_json:
            _show(console, finding)
    code = next((finding.exit_code for finding in found if finding.state is State.FAILED), 0)
    if as_json:
        document = {
            "version": __version__,
            "ok": not code,
            "findings": [
                {"name": one.name, "state": one.state.value, "text": one.text, "remedy": one.remedy} for one in found
            ],
        }
        sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    elif not code:
        number = sum(finding.state is State.WARNING for finding in found)
        count = f" {number} warning{'s' if number > 1 else ''}." if number else ""
        console.print(f"Nothing is wrong.{count} Next: cltv run")
    if code:
        raise SystemExit(code)


def findings(config: Path | None) -> Iterator[Finding]:
    """Yield what is found, the configuration first: without it nothing else can be checked."""
    try:
        with warnings.catch_warnings(record=True) as warned:
            warnings.simplefilter("always", CltvDeprecation)
            settings = settings_to_read(config)
        months_between(settings, None, None)
    except CltvError as error:
        yield failed("configuration", error)
        return
    files = ", ".join(str(file) for file in settings_files(config, settings.environment)) or "the demo's"
    yield ok(
        "configuration",
        f"{files}; {settings.environment}; {settings.first_month} to {settings.last_month()}, {settings.time_zone}",
    )
    for one in warned:
        if issubclass(one.category, CltvDeprecation):
            yield warning("deprecated", str(one.message), "Use the new name.")
    yield from look_at_source(settings)
    yield from look_beside_source(settings)
    yield _finding("lake", _lake, settings)
    yield from look_for_damage(settings)
    yield from _store(settings)
    yield _finding("engine", _engine, settings)
    yield from look_at_instance(settings)
    yield from look_at_versions()


def _finding(name: str, look: Callable[[Settings], str], settings: Settings) -> Finding:
    try:
        return ok(name, look(settings))
    except CltvError as error:
        return failed(name, error)


def _show(console: Console, finding: Finding) -> None:
    console.print(f"{finding.state.value:<8}", style=_COLOURS[finding.state], end="")
    remedy = f" {finding.remedy}" if finding.remedy else ""
    stop = "." if remedy and not finding.text.endswith((".", "!", "?")) else ""
    console.print(f"{finding.name}: {finding.text}{stop}{remedy}", soft_wrap=True)


def _lake(settings: Settings) -> str:
    lake = check_lake(settings)
    months = list(settings.first_month.until(settings.last_month()))
    held = {}
    for schema in all_schemas(settings.horizons_months):
        held[schema.name] = len(lake.table(schema).published(months))
    fullest = max(held.values(), default=0)
    return f"{lake.root} is writable and holds {fullest} of {len(months)} months; format version {FORMAT_VERSION}"


def _engine(settings: Settings) -> str:
    if settings.engine == "duckdb":
        return f"duckdb, spilling to disk above {settings.duckdb_memory_limit}"
    from cltv_assets.engines.spark_session import spark_session

    where = settings.spark.remote or settings.spark.master or "local[*]"
    # A real session: only one shows what is wrong with Java, jars or the cluster.
    with spark_session(settings) as lease:
        return f"spark {lease.session().version} at {where.partition(';')[0]}"


def _store(settings: Settings) -> Iterator[Finding]:
    if not is_s3(settings.lake_uri):
        return
    try:
        objects = object_store_for(settings)
        if objects is not None:
            yield from look_at_store(objects, settings.lake_root, settings.environment == "production")
    except CltvError as error:
        yield failed("bucket", error)
