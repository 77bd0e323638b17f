"""What ``cltv status`` and ``cltv doctor`` say of damage to the lake, and of months that Dagster knows otherwise."""

from __future__ import annotations

from collections.abc import Collection

import dagster as dg

from cltv_assets.cli.lake_state import out_of_step
from cltv_assets.lake import Lake
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.tables import lake_schemas
from cltv_assets.tables.damage import Lost, commands, sentences

#: Sentences of one kind; a lake without its files would fill the screen.
_SHOWN = 20


def damage_lines(
    settings: Settings,
    lake: Lake,
    instance: dg.DagsterInstance,
    months: Collection[Month] | None = None,
    given: str = "",
) -> list[str]:
    """Return what is damaged, a sentence each, and then the commands that mend it; nothing if nothing is.

    Every file that the tables' newest versions name is looked for, with one listing of each table; ``cltv verify``
    reads them, too. ``months`` are all by default. ``given`` are the options that the
    commands must repeat.
    """
    lost: list[Lost] = []
    said: list[str] = []
    for schema in lake_schemas(settings.horizons_months):
        damage = lake.table(schema).verify(months, contents=False).damage
        lost += damage
        said += sentences(damage)
    astray = [one for one in out_of_step(settings, lake, instance) if months is None or one.month in months]
    lost += astray
    said += [one.sentence for one in astray]
    if not said:
        return []
    more = [f"And {len(said) - _SHOWN} more."] if len(said) > _SHOWN else []
    return [*said[:_SHOWN], *more, *(f"To make it again: {command}" for command in commands(settings, lost, given))]
