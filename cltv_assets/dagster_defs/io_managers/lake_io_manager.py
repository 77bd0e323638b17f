"""Publishes staged months, and reads windows of months lazily.

An asset hands over a month that was written and audited already; handling the
output is the one atomic commit. An input gives an Ibis expression over the months
of its window: one snapshot, one range, no rows moved. A month that was never published
stops the run: history with a hole would give wrong answers in silence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import dagster as dg
import ibis.expr.types as ir

from cltv_assets.columns import TableSchema
from cltv_assets.dagster_defs.failures import faults_as_failures
from cltv_assets.dagster_defs.naming import Names
from cltv_assets.dagster_defs.partitions import input_of
from cltv_assets.dagster_defs.resources import PLATFORM, Platform
from cltv_assets.lake import StagedMonth
from cltv_assets.months import Month
from cltv_assets.tables.table import Input


@dataclass(frozen=True)
class LakeWindow:
    """Reads the months of an upstream table that a month is made from.

    Parameters
    ----------
    platform : Platform
    schema : TableSchema
    given : Input
        Which months.
    """

    platform: Platform
    schema: TableSchema
    given: Input

    def of(self, month: Month) -> ir.Table:
        """Return the upstream months of ``month`` as one lazy table.

        Raises
        ------
        LakeError
            If one of them was never published.
        """
        table = self.platform.lake.table(self.schema)
        months = self.given.months(month, self.platform.settings.first_month)
        if self.given.holes:
            months = sorted(table.published(months))
        else:
            table.require(months)
        return self.platform.engine.read_lake(self.schema, table.files(months))


def publish(platform: Platform, staged: StagedMonth, run_id: str) -> dict[str, Any]:
    """Publish a staged month and return what its materialisation says of it.

    Raises
    ------
    dagster.Failure
        If the lake refused it.
    """
    table = platform.lake.table(staged.schema)
    with faults_as_failures():
        published = table.publish(staged, {"dagster_run_id": run_id})
        rows = sum(table.row_counts(table.months()).values())
    return {
        # Of the whole table: what the asset's page shows first.
        "dagster/row_count": rows,
        "dagster/uri": published.uri,
        "dagster/partition_row_count": published.rows,
        "table_version": published.version,
        "bytes": published.bytes,
    }


class LakeIOManager(dg.IOManager):
    """Adapter of the lake.

    Parameters
    ----------
    platform : Platform
    schemas : mapping of str to TableSchema
        Tables by asset name.
    """

    def __init__(self, platform: Platform, schemas: Mapping[str, TableSchema]) -> None:
        self._platform = platform
        self._schemas = schemas

    def handle_output(self, context: dg.OutputContext, obj: StagedMonth) -> None:
        """Publish a staged month."""
        context.add_output_metadata(publish(self._platform, obj, context.run_id or ""))

    def load_input(self, context: dg.InputContext) -> LakeWindow:
        """Return what reads the upstream months of any month; nothing is read yet."""
        table = Names.table(context.asset_key)
        return LakeWindow(self._platform, self._schemas[table], input_of(table, context.definition_metadata))


def lake_io_manager(schemas: Mapping[str, TableSchema], names: Names) -> dg.IOManagerDefinition:
    """Return the IO manager over the run's ``platform``."""
    platform_key = names.name(PLATFORM)

    @dg.io_manager(required_resource_keys={platform_key}, description="Delta tables, one folder a table.")
    def lake(context: dg.InitResourceContext) -> LakeIOManager:
        platform: Any = getattr(context.resources, platform_key)
        return LakeIOManager(platform, schemas)

    return lake
