"""Dagster definitions of the graph, a module a stage. No logic: that is in ``steps``."""

from __future__ import annotations

import dagster as dg

from cltv_assets.assets.evaluation import evaluation_assets
from cltv_assets.assets.ingestion import ingestion_assets
from cltv_assets.assets.modelling import modelling_assets
from cltv_assets.assets.preparation import preparation_assets
from cltv_assets.assets.remote_preparation import remote_preparation
from cltv_assets.checks import checks_of
from cltv_assets.partitions import monthly_partitions
from cltv_assets.settings import Settings


def all_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """Return every asset, in the order of the graph."""
    partitions = monthly_partitions(settings)
    checks = checks_of(settings.horizons_months)
    if settings.pipes.kind:
        prepared = [remote_preparation(partitions, checks)]
    else:
        prepared = [*ingestion_assets(partitions, checks), *preparation_assets(settings, partitions, checks)]
    return [
        *prepared,
        *modelling_assets(settings, partitions, checks),
        *evaluation_assets(settings, partitions, checks),
    ]
