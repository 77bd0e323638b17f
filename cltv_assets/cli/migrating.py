"""``cltv migrate``: brings the lake of an older release forward, and one of other horizons to the configured ones."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from pathlib import Path

import typer
from rich.table import Column, Table

from cltv_assets.cli.configuration import settings_to_read
from cltv_assets.cli.format_steps import STEPS
from cltv_assets.cli.reading import open_lake
from cltv_assets.cli.terminal import open_console
from cltv_assets.dagster_defs.automation.state import latest
from cltv_assets.dagster_defs.instance import open_instance
from cltv_assets.dagster_defs.naming import Names
from cltv_assets.lake import FORMAT_VERSION
from cltv_assets.lake.migrations import Fate, TablePlan, carry_out, plan
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.tables import lake_schemas


def migrate_lake(config: Path | None, dry_run: bool) -> None:
    """Migrate every table of an older release or of other horizons, and say what to do next.

    Raises
    ------
    LakeError
        If a table is of a newer release, not ours, or cannot be written.
    """
    settings = settings_to_read(config)
    lake = open_lake(settings)
    # Also months without rows, and months after an `end_month` that was set since.
    today = Month.of(dt.datetime.now(settings.zone).date())
    possible = list(settings.first_month.until(max(today, settings.first_month)))
    planned = plan(lake, lake_schemas(settings.horizons_months), STEPS, possible)
    if not planned:
        typer.echo(f"{lake.root} has format version {FORMAT_VERSION}: there is nothing to migrate.")
        return
    _show(planned)
    renewed = [table for table in planned if table.fate is Fate.RENEW]
    if dry_run:
        _say_horizons(planned)
        typer.echo("Nothing was changed. Without --dry-run each table is migrated in one commit.")
        return
    lake.check_writable()
    # Dagster first: if this is interrupted, the lake still shows what is left to migrate.
    _forget_materialisations(settings, renewed)
    for table in planned:
        carry_out(lake, table, possible)
    typer.echo(f"{lake.root} has format version {FORMAT_VERSION} now.")
    _say_horizons(planned)
    if renewed:
        old = ", ".join(f"{table.table.name} {table.version}" for table in renewed)
        typer.echo(f"Until cltv vacuum the old rows can be read as these Delta versions: {old}.")
        typer.echo(
            "Next: cltv model, which makes the emptied tables' months again from what was kept. With environment: "
            "production and automation.trigger: due the daemon does it by itself."
        )


def _show(planned: Sequence[TablePlan]) -> None:
    whole = [Column(header, no_wrap=True) for header in ("table", "format", "months")]
    shown = Table(*whole, "what becomes of them", box=None)
    for table in planned:
        months = f"{len(table.months)}, {table.months[0]} to {table.months[-1]}" if table.months else "none"
        fate = f"{table.fate.value}: the table {table.reason}" if table.reason else table.fate.value
        columns = {column.name: column for column in table.table.columns}
        if new := sorted(name for name in table.lacking if columns[name].horizon not in table.new_horizons):
            fate += f", with new columns: {', '.join(new)}"
        if relaxed := sorted(name for name in table.relaxed if columns[name].nullable):
            fate += f"; may be null from now on: {', '.join(relaxed)}"
        if table.new_horizons:
            fate += f"; new columns for horizons of months: {_listed(table.new_horizons)}"
        if table.gone_horizons:
            fate += f"; no longer shows those for: {_listed(table.gone_horizons)}"
        shown.add_row(table.table.name, f"{table.written} to {FORMAT_VERSION}", months, fate)
    open_console(at_least=110).print(shown)


def _say_horizons(planned: Sequence[TablePlan]) -> None:
    """Say what the months that were made for other horizons have, and how they get the new ones."""
    changed = [table for table in planned if table.fate is Fate.KEEP and (table.new_horizons or table.gone_horizons)]
    months = sorted({month for table in changed for month in table.months})
    if not months:
        return
    new = sorted({horizon for table in changed for horizon in table.new_horizons})
    text = (
        f"{len(months)} months, {months[0]} to {months[-1]}, were made for other horizons_months and stay as they are"
    )
    if new:
        text += f"; their columns for {_listed(new)} months are null"
    typer.echo(
        f"{text}. `cltv model --from {months[-1]} --to {months[-1]}` makes the newest of them again for the configured "
        "ones, `cltv model` all, from what is kept, without the source."
    )


def _listed(horizons: Sequence[int]) -> str:
    return ", ".join(map(str, horizons))


def _forget_materialisations(settings: Settings, renewed: Sequence[TablePlan]) -> None:
    """Remove the emptied tables' months from Dagster's records, so that its automation makes them again."""
    names = Names(settings.asset_prefix)
    if not renewed:
        return
    with open_instance(settings) as instance:
        keys = [names.key(table.table.name) for table in renewed]
        instance.wipe_assets([key for key in keys if latest(instance, key)])
