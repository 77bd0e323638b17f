"""``cltv verify``: reads every published file and compares its bytes with what was published."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import typer
from rich.status import Status

from cltv_assets.cli.reading import open_lake
from cltv_assets.cli.runner import months_between
from cltv_assets.cli.terminal import open_console
from cltv_assets.dagster_defs.templates import load_settings
from cltv_assets.errors import ConfigError
from cltv_assets.lake.damage import Damage
from cltv_assets.lake.log import gaps
from cltv_assets.months import Month
from cltv_assets.tables import lake_schemas
from cltv_assets.tables.damage import commands, sentences


def verify_lake(config: Path | None, only: str | None, month: str | None) -> None:
    """Compare the files of all tables and months, or of those named, and exit with 1 if one is damaged.

    Raises
    ------
    ConfigError
        If there is no such table or month.
    LakeError
        If a table cannot be opened.
    """
    settings = load_settings(config)
    schemas = lake_schemas(settings.horizons_months)
    if only is not None and only not in {schema.name for schema in schemas}:
        raise ConfigError(f"There is no table '{only}'.", f"Choose among {', '.join(s.name for s in schemas)}.")
    months = None if month is None else months_between(settings, month, month)
    lake, console = open_lake(settings), open_console(at_least=100)
    files, found = 0, list[Damage]()
    for schema in schemas:
        if only not in (None, schema.name):
            continue
        table = lake.table(schema)
        with console.status(schema.name) as progress:
            looked = table.verify(months, looking=partial(_show, progress, schema.name))
            missing = gaps(lake.storage, table.uri)
        if not looked.files:
            continue
        files, found = files + looked.files, found + looked.damage
        said = f"{len(looked.damage)} damaged" if looked.damage else "in order"
        if looked.undigested:
            said += f"; {looked.undigested:,} have no digest, their size was compared only"
        if missing:
            # A newer checkpoint stands above them, or the table could not have been opened.
            said += f"; the log lacks the entries of versions {', '.join(map(str, missing))}, which nothing needs"
        console.print(f"{schema.name}: {_files(looked.files)}, {said}", soft_wrap=True)
    for line in sentences(found):
        console.print(line, markup=False, soft_wrap=True)
    for command in commands(settings, found):
        console.print(f"To make it again: {command}", markup=False, soft_wrap=True)
    if found:
        raise typer.Exit(1)
    console.print(f"{_files(files)} verified: nothing is damaged.")


def _show(progress: Status, table: str, month: Month) -> None:
    progress.update(f"{table} {month}")


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count:,} files"
