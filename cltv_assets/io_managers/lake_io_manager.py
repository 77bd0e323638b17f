"""Publishes staged months, and reads windows of months lazily.

An asset hands over a month that was written and audited already; handling the
output is the one atomic commit. Loading an input gives an Ibis expression over
the months that the partition mapping asks for: one snapshot, one range, no rows
moved. A month that was never published stops the run: history with a hole would
give wrong answers in silence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import dagster as dg
import ibis.expr.types as ir

from cltv_assets.failures import faults_as_failures
from cltv_assets.lake import StagedMonth
from cltv_assets.partitions import month_of
from cltv_assets.resources import Platform
from cltv_assets.schemas import TableSchema

#: Input metadata: read the months that exist instead of insisting on all.
ALLOW_MISSING = {"missing_months": "allow"}


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
        with faults_as_failures():
            published = self._platform.lake.table(obj.schema).publish(obj, {"dagster_run_id": context.run_id or ""})
        context.add_output_metadata(
            {
                "dagster/uri": published.uri,
                "dagster/partition_row_count": published.rows,
                "table_version": published.version,
                "bytes": published.bytes,
            }
        )

    def load_input(self, context: dg.InputContext) -> ir.Table:
        """Return the upstream months as one lazy table."""
        schema = self._schemas[context.asset_key.path[-1]]
        table = self._platform.lake.table(schema)
        months = [month_of(key) for key in context.asset_partition_keys]
        with faults_as_failures():
            if (context.definition_metadata or {}).get("missing_months") == "allow":
                months = sorted(table.published(months))
            else:
                table.require(months)
            return self._platform.engine.read_lake(schema, table.files(months))


def lake_io_manager(schemas: Mapping[str, TableSchema]) -> dg.IOManagerDefinition:
    """Return the IO manager over the run's ``platform``."""

    @dg.io_manager(required_resource_keys={"platform"}, description="Delta tables, one folder a table.")
    def lake(context: dg.InitResourceContext) -> LakeIOManager:
        platform: Any = context.resources.platform
        return LakeIOManager(platform, schemas)

    return lake
