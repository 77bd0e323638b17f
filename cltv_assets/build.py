"""Builds the definitions from settings: for the code location, tests, CLI and components."""

from __future__ import annotations

from typing import Any

import dagster as dg

from cltv_assets.assets import all_assets
from cltv_assets.io_managers import lake_io_manager
from cltv_assets.resources import platform_resource, s3_resource, uses_s3
from cltv_assets.schemas import all_tables
from cltv_assets.settings import Settings

#: The job that materialises a month of the whole graph.
MONTH_JOB = "cltv_month"


def build_definitions(settings: Settings, **overrides: Any) -> dg.Definitions:
    """Return the graph for ``settings``.

    Parameters
    ----------
    settings : Settings
    **overrides
        Resources to put in place of the usual ones, by key (``platform``, ``lake``, ``s3``, ``spark``, ``pipes``).

    Returns
    -------
    dagster.Definitions
    """
    schemas = {schema.name: schema for schema in all_tables(settings.horizons_months)}
    month = dg.define_asset_job(
        MONTH_JOB,
        selection=dg.AssetSelection.all(),
        description="A month of the whole graph, from delivered lines to predictions and report.",
    )
    resources: dict[str, Any] = {"platform": platform_resource(settings), "lake": lake_io_manager(schemas)}
    if uses_s3(settings):
        resources["s3"] = s3_resource(settings)
    if settings.engine == "spark":
        # dagster-pyspark is not part of the embedded installation.
        from cltv_assets.resources.spark import spark_resource

        resources["spark"] = spark_resource(settings)
    if settings.pipes.kind:
        from cltv_assets.resources.pipes import pipes_resource

        resources["pipes"] = pipes_resource(settings)
    return dg.Definitions(
        assets=all_assets(settings),
        jobs=[month],
        resources=resources | overrides,
        # Embedded: one process, because most of a process's time here is its imports.
        executor=dg.in_process_executor,
    )
