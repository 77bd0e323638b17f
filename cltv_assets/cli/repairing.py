"""``cltv repair``: goes back to the newest version of each table that can be read, and says what to run again."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import typer

from cltv_assets.cli.lake_state import out_of_step
from cltv_assets.cli.reading import open_lake
from cltv_assets.dagster_defs.instance import open_instance
from cltv_assets.dagster_defs.templates import load_settings
from cltv_assets.errors import LakeError
from cltv_assets.lake.log import look_at_log, set_aside
from cltv_assets.months import Month
from cltv_assets.tables import lake_schemas
from cltv_assets.tables.damage import Lost, commands


@dataclass(frozen=True)
class _Named:
    """A month that a lost log entry names."""

    table: str
    month: Month


def repair_logs(config: Path | None) -> None:
    """Move damaged parts of the tables' logs aside, and print which months are to be run again.

    Raises
    ------
    LakeError
        If nothing of a log stands, or the lake cannot be written.
    """
    settings = load_settings(config)
    lake = open_lake(settings)
    lake.check_writable()
    mended, lost = 0, list[Lost]()
    for schema in lake_schemas(settings.horizons_months):
        uri = lake.storage.uri(schema.name)
        try:
            lake.opener.newest(schema)
            continue
        except LakeError:
            damage = look_at_log(lake.storage, uri)
            if damage is None:
                raise
        if damage.standing is None:
            raise LakeError(
                f"No version of table {schema.name} ({uri}) stands: {damage.problem}.",
                f"Load a backup, or move {uri} away and run its months again.",
            )
        folder = set_aside(lake.storage, uri, damage)
        mended += 1
        typer.echo(
            f"{schema.name}: {damage.problem}. Version {damage.standing} stands; "
            f"{', '.join(damage.files)} moved to {folder}"
        )
        lost += [_Named(schema.name, month) for month in damage.months]
    if not mended:
        typer.echo("Every table's log can be read: there is nothing to repair. cltv status shows damaged files.")
        return
    # A torn entry names no month, but Dagster recorded what it published.
    with open_instance(settings) as instance:
        lost += out_of_step(settings, lake, instance)
    found = commands(settings, lost)
    for command in found:
        typer.echo(f"To make it again: {command}")
    if not found:
        typer.echo("Which month was lost is not known: look at cltv status, and run the month that ran last again.")
