"""Damage to the lake: published files that are gone or have another size, months that Dagster knows otherwise."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg

from cltv_assets.cli.doctor import Finding, failed, ok
from cltv_assets.cli.lake_state import out_of_step
from cltv_assets.cli.reading import open_lake
from cltv_assets.errors import LakeError
from cltv_assets.settings import Settings
from cltv_assets.tables import lake_schemas
from cltv_assets.tables.damage import commands, error_of

#: Months that a finding names.
_SHOWN = 3


def look_for_damage(settings: Settings) -> Iterator[Finding]:
    """Yield whether every published file is there, with its size."""
    try:
        lake = open_lake(settings)
        looked = [lake.table(schema).verify(contents=False) for schema in lake_schemas(settings.horizons_months)]
    except LakeError:
        # The finding about the lake says why it cannot be opened.
        return
    damage = [one for table in looked for one in table.damage]
    if damage:
        yield failed("files", error_of(settings, damage))
    else:
        files = sum(table.files for table in looked)
        yield ok("files", f"all {files:,} published files are there, with their sizes; cltv verify reads them too")


def look_at_records(settings: Settings, instance: dg.DagsterInstance) -> Iterator[Finding]:
    """Yield whether what the lake has published is what Dagster recorded."""
    try:
        found = out_of_step(settings, open_lake(settings), instance)
    except LakeError:
        return
    if not found:
        yield ok("records", "Dagster recorded what the lake has published")
        return
    more = f" And {len(found) - _SHOWN} more." if len(found) > _SHOWN else ""
    yield failed(
        "records",
        LakeError(
            " ".join(one.sentence for one in found[:_SHOWN]) + more,
            f"Run it again: {', then '.join(commands(settings, found))}",
        ),
    )
