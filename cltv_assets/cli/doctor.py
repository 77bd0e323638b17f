"""``cltv doctor``: looks at configuration, source and lake before a run does."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rich.console import Console

from cltv_assets.cli.reading import check_lake, configured_source
from cltv_assets.errors import CltvError
from cltv_assets.instance import dagster_home, open_instance
from cltv_assets.runner import months_between
from cltv_assets.schemas import all_tables
from cltv_assets.settings import Settings
from cltv_assets.settings_file import load_settings


def examine(config: Path | None) -> None:
    """Print a finding a line; exit with the code of the first problem.

    Raises
    ------
    SystemExit
        With the exit code of the first problem, if there is one.
    """
    console = Console(width=max(100, Console().width))
    try:
        settings = load_settings(config)
        months_between(settings, None, None)
    except CltvError as error:
        _bad(console, "configuration", error)
        raise SystemExit(error.exit_code) from None
    _good(console, "configuration", f"{settings.first_month} to {settings.last_month()}, {settings.time_zone}")
    code = 0
    examinations: list[tuple[str, Callable[[Settings], str]]] = [
        ("source", _source),
        ("lake", _lake),
        ("engine", _engine),
        ("dagster", _dagster),
    ]
    for name, look in examinations:
        try:
            _good(console, name, look(settings))
        except CltvError as error:
            _bad(console, name, error)
            code = code or error.exit_code
    if code:
        raise SystemExit(code)
    console.print("Nothing is wrong. Next: cltv run", highlight=False)


def _good(console: Console, name: str, text: str) -> None:
    console.print(f"[green]ok[/]     {name}: {text}", highlight=False, soft_wrap=True)


def _bad(console: Console, name: str, error: CltvError) -> None:
    console.print("[red]wrong[/]  ", end="")
    console.print(f"{name}: {error}", markup=False, highlight=False, soft_wrap=True)


def _source(settings: Settings) -> str:
    report = configured_source(settings).inspect()
    text = f"{report.files:,} files, {report.bytes:,} bytes at {report.path}"
    if report.sampled_lines:
        unusable = report.malformed + report.undatable + report.future
        text += f"; of {report.sampled_lines:,} sampled lines {unusable:,} have no usable date"
        if report.first_month and report.last_month:
            text += f", the others run from {report.first_month} to {report.last_month}"
    if report.last_month and report.last_month.shift(2) < settings.last_month():
        text += f"; months go on to {settings.last_month()}: if the data end before, set end_month"
    if report.missing_deliveries:
        text += f"; no delivery for {', '.join(month.key for month in report.missing_deliveries)}"
    return text


def _lake(settings: Settings) -> str:
    lake = check_lake(settings)
    months = list(settings.first_month.until(settings.last_month()))
    held = {}
    for schema in all_tables(settings.horizons_months):
        held[schema.name] = len(lake.table(schema).published(months))
    fullest = max(held.values(), default=0)
    return f"{lake.root} is writable and holds {fullest} of {len(months)} months"


def _engine(settings: Settings) -> str:
    if settings.engine == "duckdb":
        return f"duckdb, spilling to disk above {settings.duckdb_memory_limit}"
    from cltv_assets.engines.spark_session import spark_session

    where = settings.spark.remote or settings.spark.master or "local[*]"
    # Started for real: what is wrong with Java, jars or the cluster shows nowhere else.
    with spark_session(settings) as lease:
        return f"spark {lease.session().version} at {where.partition(';')[0]}"


def _dagster(settings: Settings) -> str:
    with open_instance(settings):
        return f"instance at {dagster_home(settings)}"
