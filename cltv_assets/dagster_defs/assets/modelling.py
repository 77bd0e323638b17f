"""From customers to models and predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import dagster as dg

from cltv_assets.checks import Check
from cltv_assets.dagster_defs.assets.lake_asset import Input, lake_asset
from cltv_assets.dagster_defs.assets.policy import backfill_policy
from cltv_assets.dagster_defs.naming import Names
from cltv_assets.dagster_defs.partitions import ALL_HISTORY, Window
from cltv_assets.schemas import (
    PURCHASE_DAYS,
    PURCHASE_MODEL,
    REPEAT_CUSTOMERS,
    RFM_SUMMARY,
    SEGMENT_MOVEMENT,
    SEGMENT_SUMMARY,
    SPEND_MODEL,
    cltv_predictions,
)
from cltv_assets.settings import Settings
from cltv_assets.steps import fit, predict, segments


def modelling_assets(
    settings: Settings,
    partitions: dg.PartitionsDefinition[str],
    checks: Mapping[str, Sequence[Check]],
    names: Names,
) -> list[dg.AssetsDefinition]:
    """Return the two models, the predictions and the segments."""
    predictions = cltv_predictions(settings.horizons_months)
    population = [Input(REPEAT_CUSTOMERS.name)] if settings.population == "repeat" else []
    # This month and the one before, which need not be there.
    two_months = Input(predictions.name, Window(1, 0, holes=True))
    return [
        lake_asset(
            [PURCHASE_MODEL],
            lambda run, _platform: {PURCHASE_MODEL.name: fit.purchase_model(run)},
            checks,
            partitions,
            names,
            [Input(RFM_SUMMARY.name), Input(PURCHASE_DAYS.name, ALL_HISTORY)],
            backfill_policy(settings),
        ),
        lake_asset(
            [SPEND_MODEL],
            lambda run, _platform: {SPEND_MODEL.name: fit.spend_model(run)},
            checks,
            partitions,
            names,
            [Input(RFM_SUMMARY.name)],
            backfill_policy(settings),
        ),
        lake_asset(
            [predictions],
            lambda run, _platform: {predictions.name: predict.predict(run)},
            checks,
            partitions,
            names,
            [Input(RFM_SUMMARY.name), Input(PURCHASE_MODEL.name), Input(SPEND_MODEL.name), *population],
            backfill_policy(settings),
        ),
        lake_asset(
            [SEGMENT_SUMMARY],
            lambda run, _platform: {SEGMENT_SUMMARY.name: segments.make_summary(run)},
            checks,
            partitions,
            names,
            [two_months, Input(PURCHASE_MODEL.name), Input(SPEND_MODEL.name)],
            backfill_policy(settings),
        ),
        # Not in one step with the summary: ARCHITECTURE.md, "Two tables of one step".
        lake_asset(
            [SEGMENT_MOVEMENT],
            lambda run, _platform: {SEGMENT_MOVEMENT.name: segments.make_movement(run)},
            checks,
            partitions,
            names,
            [two_months],
            backfill_policy(settings),
        ),
    ]
