"""Dagster definitions of the graph, a module a stage. No logic: that is in ``steps``."""

from __future__ import annotations

import dagster as dg

from cltv_assets.assets.evaluation import evaluation_assets
from cltv_assets.assets.ingestion import ingestion_assets
from cltv_assets.assets.modelling import modelling_assets
from cltv_assets.assets.preparation import preparation_assets
from cltv_assets.checks import checks_of
from cltv_assets.partitions import monthly_partitions
from cltv_assets.settings import Settings


def all_assets(settings: Settings) -> list[dg.AssetsDefinition]:
    """Return every asset, in the order of the graph."""
    partitions = monthly_partitions(settings)
    checks = checks_of(settings.horizons_months)
    return [
        *ingestion_assets(partitions, checks),
        *preparation_assets(settings, partitions, checks),
        *modelling_assets(settings, partitions, checks),
        *evaluation_assets(settings, partitions, checks),
    ]
