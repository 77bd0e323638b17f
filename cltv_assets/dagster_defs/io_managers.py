"""Publishes staged months, and reads windows of months lazily.

An asset hands over a month that is already written and audited. Handling the output
publishes it in one atomic commit. An input is a lazy Ibis expression over the months of its
window, so that no rows are moved. A month that was never published stops the run, because
gaps in the history would silently give wrong results.
"""

# No `from __future__ import annotations` here: Dagster reads the annotations of resources that need others.

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, cast

import dagster as dg
import ibis.expr.types as ir
from pydantic import Field, PrivateAttr

from cltv_assets.columns import TableSchema
from cltv_assets.dagster_defs.failures import faults_as_failures
from cltv_assets.dagster_defs.naming import Names
from cltv_assets.dagster_defs.partitions import input_of, month_of
from cltv_assets.dagster_defs.resources import Platform, bound
from cltv_assets.files.object_store import ObjectStore, uses_s3
from cltv_assets.lake import StagedMonth
from cltv_assets.lake.opening import Handles
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.tables import all_schemas
from cltv_assets.tables.table import Input

#: Tag of a run that is one of several by the same command: the newest of their months.
NEWEST_MONTH = "cltv/newest_month"
#: Metadata of a materialisation: how often the month was published, which the table knows, too.
PUBLICATION = "publication"
#: Stands before what the UI says of a graph with the demo's transactions, which it has where nobody named others.
DEMO = "These are the settings of the demo (CDNOW): `cltv init` makes a cltv.yaml for your own data. "
_END_OF_RANGE = "dagster/asset_partition_range_end"


@dataclass(frozen=True)
class LakeWindow:
    """Reads the months of an upstream table that a month is made from.

    Parameters
    ----------
    platform : Platform
        The run's engine and lake.
    schema : TableSchema
        The upstream table.
    given : Input
        Which of its months are read.
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
    """Publish a staged month and return the metadata of its materialisation.

    Raises
    ------
    dagster.Failure
        If the lake refused it.
    """
    with faults_as_failures():
        table = platform.lake.table(staged.schema)
        published = table.publish(staged, {"dagster_run_id": run_id}, recorded=True)
        rows = table.rows()
    return {
        # Rows of the whole table, which the asset's page shows first.
        "dagster/row_count": rows,
        "dagster/uri": published.uri,
        "dagster/partition_row_count": published.rows,
        # As text: the UI plots every number along the months.
        "table_version": str(published.version),
        PUBLICATION: str(published.publication),
        "bytes": published.bytes,
    }


class LakeIOManager(dg.ConfigurableIOManager):
    """Publishes staged months, reads upstream months, and holds what a run works with.

    Assets reach engine, lake and source through ``platform``. Which subclass serves a graph
    follows from its settings: see `lake_io_manager`.
    """

    engine: str = Field(description="What computes the tables.")
    lake_uri: str = Field(description="Root of the Delta tables, one folder for each.")
    source: str = Field(description="Kind of the source, and where its files are.")
    time_zone: str = Field(description="Time zone of days and months.")
    settings: ClassVar[Settings]
    schemas: ClassVar[Mapping[str, TableSchema]]
    #: The runs of one command look for newer versions of tables that they hold open already.
    handles: ClassVar[Handles]
    _platform: Platform | None = PrivateAttr(default=None)

    @property
    def platform(self) -> Platform:
        """Engine, lake and source of the run, each opened on first use."""
        assert self._platform is not None, "only while a run has the resource"
        return self._platform

    def setup_for_execution(self, context: dg.InitResourceContext) -> None:
        """Make the platform; nothing is opened yet."""
        tags = context.run.tags if context.run else {}
        newest = tags.get(NEWEST_MONTH, tags.get(_END_OF_RANGE))
        self._platform = Platform(self.settings, self._objects(), self._session(), newest, self.handles)

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:  # noqa: ARG002 - Dagster's
        """Release what was opened."""
        self.platform.close()

    def handle_output(self, context: dg.OutputContext, obj: StagedMonth) -> None:
        """Publish a staged month."""
        context.add_output_metadata(publish(self.platform, obj, context.run_id or ""))

    def load_input(self, context: dg.InputContext) -> Any:
        """Return a reader of the upstream months, or their rows to an asset of the project's own that asks for them.

        It asks by the annotation ``pandas.DataFrame``.
        """
        table = Names.table(context.asset_key)
        # Not imported here, which would take half a second: who asks for a frame has it.
        pandas = sys.modules.get("pandas")
        if pandas is not None and context.dagster_type.typing_type is pandas.DataFrame:
            return self._rows(self.schemas[table], [month_of(key) for key in context.asset_partition_keys])
        return LakeWindow(self.platform, self.schemas[table], input_of(table, context.definition_metadata))

    def _rows(self, schema: TableSchema, months: Sequence[Month]) -> Any:
        with self.platform.step():
            table = self.platform.lake.table(schema)
            table.require(months)
            engine = self.platform.engine
            return engine.collect(engine.read_lake(schema, table.files(months))).to_pandas()

    def _objects(self) -> Callable[[], ObjectStore] | None:
        return None

    def _session(self) -> Callable[[], Any] | None:
        return None


class DuckDBIOManager(LakeIOManager):
    """Tables in local folders, computed by DuckDB in the run's process."""


class SparkIOManager(LakeIOManager):
    """Tables in folders that the cluster shares, computed by Spark."""

    spark: dg.ResourceDependency[Any]

    def _session(self) -> Callable[[], Any]:
        return lambda: self.spark.spark_session


class DuckDBS3IOManager(DuckDBIOManager):
    """Tables or source on S3, computed by DuckDB in the run's process."""

    s3: dg.ResourceDependency[Any]

    def _objects(self) -> Callable[[], ObjectStore]:
        return lambda: cast("ObjectStore", self.s3.object_store())


class SparkS3IOManager(SparkIOManager):
    """Tables or source on S3, computed by Spark."""

    s3: dg.ResourceDependency[Any]

    def _objects(self) -> Callable[[], ObjectStore]:
        return lambda: cast("ObjectStore", self.s3.object_store())


#: The class for each engine, without and with S3.
IO_MANAGERS: dict[tuple[str, bool], type[LakeIOManager]] = {
    ("duckdb", False): DuckDBIOManager,
    ("duckdb", True): DuckDBS3IOManager,
    ("spark", False): SparkIOManager,
    ("spark", True): SparkS3IOManager,
}


def lake_io_manager(settings: Settings, **needed: Any) -> LakeIOManager:
    """Return the IO manager that the settings call for.

    Parameters
    ----------
    settings : Settings
        The engine, and whether lake or source are on S3, choose the class.
    **needed
        The resources ``spark`` and ``s3``, if the class needs them.
    """
    chosen = IO_MANAGERS[settings.engine, uses_s3(settings)]
    schemas = {schema.name: schema for schema in all_schemas(settings.horizons_months)}
    source = " ".join(filter(None, (settings.source.kind, settings.source.path or settings.source.url_variable)))
    about = f"{DEMO if settings.source.kind == 'cdnow' else ''}{chosen.__doc__}"
    return bound(chosen, settings=settings, schemas=schemas, handles={}, __doc__=about)(
        engine=settings.engine, lake_uri=settings.lake_root, source=source, time_zone=settings.time_zone, **needed
    )
