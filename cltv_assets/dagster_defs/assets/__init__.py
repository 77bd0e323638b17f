"""Dagster definitions of the graph, a module a stage. No logic: that is in ``steps``."""

from __future__ import annotations

import dagster as dg

from cltv_assets.checks import checks_of
from cltv_assets.dagster_defs.assets.evaluation import evaluation_assets
from cltv_assets.dagster_defs.assets.ingestion import ingestion_assets
from cltv_assets.dagster_defs.assets.modelling import modelling_assets
from cltv_assets.dagster_defs.assets.policy import kinds_of
from cltv_assets.dagster_defs.assets.preparation import preparation_assets
from cltv_assets.dagster_defs.assets.remote_preparation import remote_preparation
from cltv_assets.dagster_defs.naming import Names
from cltv_assets.dagster_defs.partitions import monthly_partitions
from cltv_assets.settings import Settings


def all_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """Return every asset, in the order of the graph."""
    names = Names(settings.asset_prefix)
    partitions = monthly_partitions(settings)
    checks = checks_of(settings.horizons_months)
    if settings.pipes.kind:
        prepared = [remote_preparation(partitions, checks, names)]
    else:
        prepared = [
            *ingestion_assets(partitions, checks, names),
            *preparation_assets(settings, partitions, checks, names),
        ]
    assets = [
        *prepared,
        *modelling_assets(settings, partitions, checks, names),
        *evaluation_assets(settings, partitions, checks, names),
    ]
    # Of the deployment rather than of the stage, hence for all of them here.
    return list(
        dg.map_asset_specs(lambda spec: spec.merge_attributes(kinds=kinds_of(names.table(spec.key), settings)), assets)
    )
