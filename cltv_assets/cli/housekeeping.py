"""``cltv vacuum`` and ``cltv adopt``: maintenance of the whole lake."""

from __future__ import annotations

from pathlib import Path

import typer

from cltv_assets.cli.configuration import settings_to_read
from cltv_assets.cli.reading import open_lake
from cltv_assets.lake import Lake
from cltv_assets.report import REPORT
from cltv_assets.settings import Settings
from cltv_assets.tables import lake_schemas


def vacuum_lake(config: Path | None, keep_days: int) -> None:
    """Delete files that no reader needs, and print how many."""
    settings = settings_to_read(config)
    lake = open_lake(settings)
    lake.check_writable()
    typer.echo(f"{_count(delete_unread(lake, settings, 24 * keep_days))} deleted from {lake.root}")


def delete_unread(lake: Lake, settings: Settings, older_than_hours: int) -> int:
    """Delete replaced and left-over files of all tables and reports; return how many."""
    tables = sum(lake.table(schema).vacuum(older_than_hours) for schema in lake_schemas(settings.horizons_months))
    return tables + lake.files(REPORT.name).vacuum(older_than_hours) + lake.vacuum_landings(older_than_hours)


def adopt_lake(config: Path | None) -> None:
    """Hand every table of the lake over to the configured graph."""
    settings = settings_to_read(config)
    lake = open_lake(settings)
    lake.check_writable()
    adopted = sum(lake.table(schema).adopt() for schema in lake_schemas(settings.horizons_months))
    graph = f"the graph '{settings.asset_prefix}'" if settings.asset_prefix else "the graph without a prefix"
    if not adopted:
        typer.echo(f"{lake.root} belongs to {graph} already.")
        return
    typer.echo(
        f"{adopted} tables of {lake.root} belong to {graph} now. Dagster knows nothing of their months under these "
        "names: run the months again, or report their materialisations in its UI."
    )


def _count(files: int) -> str:
    return "1 file" if files == 1 else f"{files:,} files"
