"""``cltv report``: opens a month's report in the browser."""

from __future__ import annotations

import tempfile
import webbrowser
from pathlib import Path

import typer

from cltv_assets.cli.reading import open_lake
from cltv_assets.dagster_defs.templates import load_settings
from cltv_assets.errors import ConfigError, MissingMonthsError
from cltv_assets.months import Month
from cltv_assets.report import REPORT, REPORT_FILE


def open_report(config: Path | None, month: str | None, show: bool) -> None:
    """Say where a month's report lies and open it.

    Parameters
    ----------
    config : Path or None
    month : str or None
        ``YYYY-MM``; by default the newest.
    show : bool
        Whether to open it; without a browser its place is all there is.

    Raises
    ------
    ConfigError
        If ``month`` is no month.
    MissingMonthsError
        If there is no such report.
    """
    files = open_lake(load_settings(config)).files(REPORT.name)
    if month is None:
        published = files.months(REPORT_FILE)
        if not published:
            raise MissingMonthsError(f"There is no report under {files.uri}.", "Materialise a month first: cltv run")
        wanted = max(published)
    else:
        try:
            wanted = Month.parse(month)
        except ValueError as error:
            raise ConfigError(f"{error}.", "Try again with such a month.") from None
    content = files.read(wanted, REPORT_FILE)
    typer.echo(files.path(wanted, REPORT_FILE))
    if not show:
        return
    local = Path(files.path(wanted, REPORT_FILE))
    if "://" in files.uri:
        # A browser cannot read the store with this process's keys.
        local = Path(tempfile.mkdtemp(prefix="cltv-report-")) / f"{wanted}.html"
        local.write_bytes(content)
    if not webbrowser.open(local.as_uri()):
        typer.echo(f"There is no browser here. Open {local} in one.", err=True)
