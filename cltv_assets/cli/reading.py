"""The lake, its tables and the source, as the commands read them.

Tables are always read by the embedded engine, whichever engine wrote them, so that a look
at the newest month does not wait for a cluster.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

import ibis.expr.types as ir

from cltv_assets.cli.runner import parse_month
from cltv_assets.columns import TableSchema
from cltv_assets.dagster_defs.resources import object_store_for
from cltv_assets.engines.duckdb_engine import DuckDBEngine
from cltv_assets.errors import MissingMonthsError
from cltv_assets.lake import Lake
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.sources import TransactionSource, open_source
from cltv_assets.tables import lake_schemas
from cltv_assets.tables.cltv_predictions.columns import horizons_of, predictions_schema
from cltv_assets.tables.damage import damage_explained


@dataclass(frozen=True)
class LakeReader:
    """Reads published months of the lake with the embedded engine."""

    settings: Settings
    engine: DuckDBEngine
    lake: Lake

    def month(self, schema: TableSchema, month: Month) -> ir.Table:
        """Return one published month of a table.

        Raises
        ------
        MissingMonthsError
            If it was never published.
        """
        table = self.lake.table(schema)
        table.require([month])
        return self.engine.read_lake(schema, table.files([month]))

    def as_made(self, month: Month) -> LakeReader:
        """Return a reader for the horizons that a month was made for, where ``horizons_months`` was changed since."""
        return replace(self, settings=settings_as_made(self.settings, self.lake, month))

    def months(self, schema: TableSchema) -> list[Month]:
        """Return the published months of a table, oldest first."""
        possible = self.settings.first_month.until(self.settings.last_month())
        return sorted(self.lake.table(schema).published(possible))


def settings_as_made(settings: Settings, lake: Lake, month: Month) -> Settings:
    """Return the settings with the horizons of a month's predictions; as they are where it has none."""
    found = horizons_of(lake.table(predictions_schema(settings.horizons_months)).columns(month))
    return settings.model_copy(update={"horizons_months": found}) if found else settings


def open_lake(settings: Settings) -> Lake:
    """Return the configured lake, without reading from it."""
    return Lake(settings.lake_root, object_store_for(settings), settings.asset_prefix)


def configured_source(settings: Settings) -> TransactionSource:
    """Return the configured source, without reading from it."""
    return open_source(settings, objects=object_store_for(settings))


def check_lake(settings: Settings) -> Lake:
    """Return the lake if it can be written and this version can read all its tables.

    Raises
    ------
    LakeError
        If it cannot.
    """
    lake = open_lake(settings)
    lake.check_writable()
    for schema in lake_schemas(settings.horizons_months):
        lake.table(schema).check()
    return lake


@contextlib.contextmanager
def open_reader(settings: Settings) -> Iterator[LakeReader]:
    """Open an engine over the configured lake."""
    objects = object_store_for(settings)
    engine = DuckDBEngine(settings.duckdb_memory_limit, objects)
    lake = Lake(settings.lake_root, objects, settings.asset_prefix)
    try:
        with damage_explained(settings, lake):
            yield LakeReader(settings, engine, lake)
    finally:
        engine.close()


def named_or_newest(reader: LakeReader, schema: TableSchema, month: str | None) -> Month:
    """Return the named month, or the newest published one.

    Raises
    ------
    ConfigError
        If the name is no month.
    MissingMonthsError
        If nothing is published.
    """
    if month is not None:
        return parse_month(month)
    published = reader.months(schema)
    if not published:
        raise MissingMonthsError(
            f"The lake {reader.lake.root} holds no month of {schema.name}.", "Materialise some first: cltv run"
        )
    return published[-1]
