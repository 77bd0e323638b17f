"""Builds the definitions from settings: for the code location, tests, CLI and components."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg
from dagster_shared.utils.warnings import BetaWarning, PreviewWarning

from cltv_assets.dagster_defs.automation import automate, monthly_schedule, sensors_of
from cltv_assets.dagster_defs.executor import cltv_executor
from cltv_assets.dagster_defs.graph import all_assets
from cltv_assets.dagster_defs.io_managers import lake_io_manager
from cltv_assets.dagster_defs.naming import Names
from cltv_assets.dagster_defs.resources import LAKE, PIPES, PLATFORM, S3, SPARK, platform_resource, s3_resource
from cltv_assets.files.object_store import uses_s3
from cltv_assets.settings import Settings
from cltv_assets.tables import all_schemas

#: The job that materialises a month of the whole graph; `Names` puts the prefix before it.
MONTH_JOB = "cltv_month"
#: The job that looks whether all months are there.
ON_TIME_JOB = "cltv_on_time"


def build_definitions(settings: Settings, **overrides: Any) -> dg.Definitions:
    """Return the graph for ``settings``.

    Parameters
    ----------
    settings : Settings
    **overrides
        Resources to put in place of the usual ones, by plain key (``platform``, ``lake``, ``s3``,
        ``spark``, ``pipes``).

    Returns
    -------
    dagster.Definitions
    """
    with _settled_on():
        return _build(settings, overrides)


def build_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """Return the assets alone, in the order of the graph, without their automation."""
    with _settled_on():
        return all_assets(settings)


@contextlib.contextmanager
def _settled_on() -> Iterator[None]:
    """Keep quiet about what Dagster may still change; the lock pins the version that is tested.

    That is: checks by month, backfill policies, conditions of our own, windows at the start of history.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", BetaWarning)
        warnings.simplefilter("ignore", PreviewWarning)
        yield


def _build(settings: Settings, overrides: Mapping[str, Any]) -> dg.Definitions:
    names = Names(settings.asset_prefix)
    automated = automate(settings, all_assets(settings))
    assets = automated.assets
    schemas = {schema.name: schema for schema in all_schemas(settings.horizons_months)}
    month = dg.define_asset_job(
        names.name(MONTH_JOB),
        # Not all(): a deployment may hold other graphs.
        # Nor `on_time`, which says nothing about a month that is just being made.
        selection=dg.AssetSelection.assets(*(key for asset in assets for key in asset.keys))
        - dg.AssetSelection.checks(*automated.checks),
        description="A month of the whole graph, from delivered lines to predictions and report.",
    )
    on_time = dg.define_asset_job(
        names.name(ON_TIME_JOB),
        selection=dg.AssetSelection.checks(*automated.checks),
        description="Looks whether every month is there that should be by now.",
    )
    resources: dict[str, Any] = {PLATFORM: platform_resource(settings), LAKE: lake_io_manager(schemas, names)}
    if uses_s3(settings):
        resources[S3] = s3_resource(settings)
    if settings.engine == "spark":
        # dagster-pyspark is not part of the embedded installation.
        from cltv_assets.dagster_defs.resources.spark import spark_resource

        resources[SPARK] = spark_resource(settings)
    if settings.pipes.kind:
        from cltv_assets.dagster_defs.resources.pipes import pipes_resource

        resources[PIPES] = pipes_resource(settings)
    return dg.Definitions(
        assets=assets,
        asset_checks=automated.checks,
        sensors=sensors_of(settings, automated, month),
        schedules=[monthly_schedule(settings, month)],
        jobs=[month, on_time],
        resources={names.name(key): value for key, value in (resources | dict(overrides)).items()},
        # Embedded: one process, because most of a process's time here is its imports.
        executor=cltv_executor,
    )
