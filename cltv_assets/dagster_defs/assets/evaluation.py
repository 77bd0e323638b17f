"""How wrong earlier predictions were, and the month's report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import dagster as dg

from cltv_assets.checks import Check
from cltv_assets.dagster_defs.assets.lake_asset import Input, lake_asset
from cltv_assets.dagster_defs.assets.policy import backfill_policy
from cltv_assets.dagster_defs.assets.report_asset import report_asset
from cltv_assets.dagster_defs.naming import Names
from cltv_assets.dagster_defs.partitions import Window
from cltv_assets.schemas import HOLDOUT_EVALUATION, PURCHASE_DAYS, PURCHASE_MODEL, SEGMENT_SUMMARY
from cltv_assets.settings import Settings
from cltv_assets.steps import evaluate
from cltv_assets.transforms.holdout import YEAR


def evaluation_assets(
    settings: Settings,
    partitions: dg.PartitionsDefinition[str],
    checks: Mapping[str, Sequence[Check]],
    names: Names,
) -> list[dg.AssetsDefinition]:
    """Return ``holdout_evaluation`` and ``cltv_report``."""
    nearest, farthest = settings.horizons_months[0], settings.horizons_months[-1]
    # What was said at the end of the month in which a horizon began.
    told = ("cltv_predictions", PURCHASE_MODEL.name, SEGMENT_SUMMARY.name)
    return [
        lake_asset(
            [HOLDOUT_EVALUATION],
            lambda run, _platform: {HOLDOUT_EVALUATION.name: evaluate.evaluate(run)},
            checks,
            partitions,
            names,
            [
                # A month may lack predictions of its own; those that exist are evaluated.
                *(Input(name, Window(farthest, nearest, holes=True)) for name in told),
                # The horizon, and the year before it for a baseline.
                Input(PURCHASE_DAYS.name, Window(farthest + YEAR - 1)),
            ],
            backfill_policy(settings),
        ),
        report_asset(settings, partitions, names),
    ]
