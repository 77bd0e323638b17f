"""Compares predictions made some months ago, and naive baselines, with what then happened."""

from __future__ import annotations

from cltv_assets.settings import Settings
from cltv_assets.tables.holdout_evaluation.checks import (
    beats_naive,
    bias_within_bounds,
    coverage_as_promised,
    origins_match,
    totals_within_interval,
)
from cltv_assets.tables.holdout_evaluation.columns import HOLDOUT_EVALUATION
from cltv_assets.tables.holdout_evaluation.evaluate import make
from cltv_assets.tables.holdout_evaluation.highlights import month_highlights
from cltv_assets.tables.holdout_evaluation.outcomes import YEAR
from cltv_assets.tables.purchase_days import PURCHASE_DAYS
from cltv_assets.tables.purchase_model.columns import PURCHASE_MODEL
from cltv_assets.tables.segment_summary import SEGMENT_SUMMARY
from cltv_assets.tables.table import CUSTOMER_ANALYTICS, ENGINE, EVALUATION, Input, Table


def _inputs(settings: Settings) -> list[Input]:
    nearest, farthest = settings.horizons_months[0], settings.horizons_months[-1]
    # The predictions made at the end of the month in which a horizon began.
    said = ("cltv_predictions", PURCHASE_MODEL.name, SEGMENT_SUMMARY.name)
    return [
        # A month may lack predictions; those that exist are evaluated.
        *(Input(name, farthest, nearest, holes=True) for name in said),
        # The horizon, and the year before it, which a baseline needs.
        Input(PURCHASE_DAYS.name, farthest + YEAR - 1),
    ]


TABLE = Table(
    schema=HOLDOUT_EVALUATION,
    inputs=_inputs,
    make=make,
    checks=(
        origins_match,
        beats_naive,
        bias_within_bounds,
        coverage_as_promised,
        totals_within_interval,
    ),
    highlights=month_highlights,
    negative_numbers=True,
    group=EVALUATION,
    owner=CUSTOMER_ANALYTICS,
    kinds=(ENGINE, "deltalake"),
    renewed={2: "has other metrics and baselines"},
    half="model",
)
