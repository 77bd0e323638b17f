"""Published tables for the command line: read through the engine, without Dagster."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass

import ibis.expr.types as ir

from cltv_assets.engines import Engine, open_engine
from cltv_assets.errors import ConfigError, MissingMonthsError
from cltv_assets.lake import Lake
from cltv_assets.months import Month
from cltv_assets.schemas import TableSchema, all_tables
from cltv_assets.settings import Settings


@dataclass(frozen=True)
class LakeReader:
    """An engine over a lake."""

    settings: Settings
    engine: Engine
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

    def months(self, schema: TableSchema) -> list[Month]:
        """Return the published months of a table, oldest first."""
        possible = self.settings.first_month.until(self.settings.last_month())
        return sorted(self.lake.table(schema).published(possible))


def check_lake(settings: Settings) -> Lake:
    """Return the lake if it can be written and this version can read all its tables.

    Raises
    ------
    LakeError
        If it cannot.
    """
    lake = Lake(settings.lake_root)
    lake.check_writable()
    for schema in all_tables(settings.horizons_months):
        lake.table(schema).version()
    return lake


@contextlib.contextmanager
def open_reader(settings: Settings) -> Iterator[LakeReader]:
    """Open an engine over the configured lake."""
    engine = open_engine(settings)
    try:
        yield LakeReader(settings, engine, Lake(settings.lake_root))
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
        try:
            return Month.parse(month)
        except ValueError as error:
            raise ConfigError(f"{error}.", "Try again with such a month.") from None
    published = reader.months(schema)
    if not published:
        raise MissingMonthsError(
            f"The lake {reader.lake.root} holds no month of {schema.name}.", "Materialise some first: cltv run"
        )
    return published[-1]
