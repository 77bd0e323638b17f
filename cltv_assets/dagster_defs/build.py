"""Builds the definitions from settings: for the code location, tests, CLI and components."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator, Mapping
from typing import Any

import dagster as dg

from cltv_assets.dagster_defs.automation import automate, monthly_schedule, sensors_of
from cltv_assets.dagster_defs.customising import Custom
from cltv_assets.dagster_defs.executor import cltv_executor
from cltv_assets.dagster_defs.graph import all_assets
from cltv_assets.dagster_defs.io_managers import DEMO, lake_io_manager
from cltv_assets.dagster_defs.naming import Names
from cltv_assets.dagster_defs.remote.pipes_resource import pipes_resource
from cltv_assets.dagster_defs.resources import LAKE, PIPES, S3, SPARK, s3_resource
from cltv_assets.files.object_store import uses_s3
from cltv_assets.settings import Settings

#: The job that materialises a month of the whole graph; `Names` puts the prefix before it.
MONTH_JOB = "cltv_month"
#: The job that checks whether all months are there.
ON_TIME_JOB = "cltv_on_time"


def build_definitions(settings: Settings, *, custom: Custom | None = None, **overrides: Any) -> dg.Definitions:
    """Return the graph for ``settings``.

    Parameters
    ----------
    settings : Settings
        They choose assets, resources, sensors and names.
    custom : Custom, optional
        What a project changes of the graph.
    **overrides
        Resources that replace the usual ones, by plain key (``lake``, ``s3``,
        ``spark``, ``pipes``).

    Returns
    -------
    dagster.Definitions
    """
    with _settled_on():
        return _build(settings, custom or Custom(), overrides)


def build_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """Return the assets alone, in the order of the graph, without their automation."""
    with _settled_on():
        return all_assets(settings)


@contextlib.contextmanager
def _settled_on() -> Iterator[None]:
    """Hide Dagster's warnings about features that may still change; the lock pins the tested version.

    They are checks by month, backfill policies, our own conditions, and windows at the start of
    history.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", dg.BetaWarning)
        warnings.simplefilter("ignore", dg.PreviewWarning)
        yield


def _build(settings: Settings, custom: Custom, overrides: Mapping[str, Any]) -> dg.Definitions:
    names = Names(settings.asset_prefix)
    # Whoever opens the UI must see whose data these are.
    demo = DEMO if settings.source.kind == "cdnow" else ""
    assets = all_assets(settings, custom)
    custom = custom.with_deps(assets)
    automated = automate(settings, all_assets(settings, custom) if custom.deps else assets)
    assets = [definition.map_asset_specs(custom.finished) for definition in automated.assets]
    month = dg.define_asset_job(
        names.name(MONTH_JOB),
        # Not all(): a deployment may hold other graphs.
        # Not `on_time` either: it says nothing about the month being made.
        selection=dg.AssetSelection.assets(*(key for asset in assets for key in asset.keys))
        - dg.AssetSelection.checks(*automated.checks),
        description=f"{demo}A month of the whole graph, from delivered lines to predictions and report.",
    )
    on_time = dg.define_asset_job(
        names.name(ON_TIME_JOB),
        selection=dg.AssetSelection.checks(*automated.checks),
        description="Looks whether every month is there that should be by now.",
    )
    resources = _resources(settings) | dict(overrides)
    return dg.Definitions(
        assets=assets,
        asset_checks=automated.checks,
        sensors=sensors_of(settings, automated, month),
        schedules=[monthly_schedule(settings, month)],
        jobs=[month, on_time],
        resources={names.name(key): value for key, value in resources.items()},
        # One process, because a process for each step would spend most of its time on imports.
        executor=cltv_executor if custom.own_executor else None,
    )


def _resources(settings: Settings) -> dict[str, Any]:
    """Return the resources by plain key; packages of extras are imported only if the settings need them."""
    found: dict[str, Any] = {}
    if uses_s3(settings):
        found[S3] = s3_resource(settings)
    if settings.engine == "spark":
        from cltv_assets.dagster_defs.resources.spark import spark_resource

        found[SPARK] = spark_resource(settings)
    found[LAKE] = lake_io_manager(settings, **found)
    if settings.pipes.kind:
        found[PIPES] = pipes_resource(settings)
    return found
