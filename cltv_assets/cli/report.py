"""``cltv report``: opens a month's report in the browser, and draws its pictures if they are not there yet."""

from __future__ import annotations

import webbrowser
from pathlib import Path

import typer

from cltv_assets.cli.configuration import settings_to_read
from cltv_assets.cli.reading import open_lake, settings_as_made
from cltv_assets.cli.runner import parse_month, run_months
from cltv_assets.dagster_defs.instance import open_instance
from cltv_assets.errors import LakeError, MissingMonthsError
from cltv_assets.files.scratch import kept_folder
from cltv_assets.foreign import visible
from cltv_assets.months import Month
from cltv_assets.report import REPORT, REPORT_FILE, is_drawn
from cltv_assets.settings import Settings
from cltv_assets.tables.damage import damage_explained


def open_report(config: Path | None, month: str | None, show: bool) -> None:
    """Print where a month's report is, and open it.

    Raises
    ------
    ConfigError
        If ``month`` is no month.
    MissingMonthsError
        If there is no such report.
    """
    settings = settings_to_read(config)
    lake = open_lake(settings)
    files = lake.files(REPORT.name)
    published = files.months(REPORT_FILE) if month is None else ()
    if month is None and not published:
        raise MissingMonthsError(f"There is no report under {files.uri}.", "Materialise a month first: cltv run")
    wanted = max(published) if month is None else parse_month(month)
    content = files.read(wanted, REPORT_FILE)
    try:
        drawn = is_drawn(content.decode())
    except UnicodeDecodeError as error:
        raise LakeError(
            f"The report of {wanted} ({files.path(wanted, REPORT_FILE)}) is damaged: {error}.",
            f"Make it again: cltv run --from {wanted} --to {wanted} --select {REPORT.name}",
        ) from None
    if not drawn:
        with damage_explained(settings, lake):
            made = settings_as_made(settings, lake, wanted)
        _draw(made, wanted)
        content = files.read(wanted, REPORT_FILE)
    typer.echo(files.path(wanted, REPORT_FILE))
    if not show:
        return
    local = Path(files.path(wanted, REPORT_FILE))
    if "://" in files.uri:
        # A browser cannot read the store with this process's keys.
        local = kept_folder() / f"{wanted}.html"
        local.write_bytes(content)
    if not webbrowser.open(local.as_uri()):
        typer.echo(f"There is no browser here. Open {local} in one.", err=True)


def _draw(settings: Settings, month: Month) -> None:
    """Make a month's report again, with its pictures."""
    with open_instance(settings) as instance:
        (result,) = run_months(settings, [month], instance, [REPORT.name])
    if not result.succeeded:
        typer.echo(visible(f"The pictures of {month} could not be drawn: {' '.join(result.errors)}"), err=True)
