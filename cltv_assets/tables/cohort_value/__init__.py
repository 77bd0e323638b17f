"""What customers who came in the same month have brought by age, and what is expected of them."""

from __future__ import annotations

from cltv_assets.tables.cohort_value.checks import (
    attributes_add_up,
    cumulative_joins,
    falls_by_refunds_only,
    money_known,
    predicted_adds_up,
    realised_adds_up,
    rows_possible,
)
from cltv_assets.tables.cohort_value.columns import COHORT_VALUE
from cltv_assets.tables.cohort_value.highlights import month_highlights
from cltv_assets.tables.cohort_value.newest import newest_cohorts
from cltv_assets.tables.cohort_value.rows import make
from cltv_assets.tables.customer_attributes import attribute_inputs
from cltv_assets.tables.purchase_days import PURCHASE_DAYS
from cltv_assets.tables.purchase_model.columns import PURCHASE_MODEL
from cltv_assets.tables.rfm_summary import RFM_SUMMARY
from cltv_assets.tables.spend_model.columns import SPEND_MODEL
from cltv_assets.tables.table import ALL_HISTORY, CUSTOMER_ANALYTICS, ENGINE, PREDICTION, Input, Table

TABLE = Table(
    schema=COHORT_VALUE,
    inputs=lambda settings: (
        Input("cltv_predictions"),
        Input(RFM_SUMMARY.name),
        *attribute_inputs(settings),
        Input(PURCHASE_DAYS.name, ALL_HISTORY),
        Input(PURCHASE_MODEL.name),
        Input(SPEND_MODEL.name),
    ),
    make=make,
    checks=(
        realised_adds_up,
        predicted_adds_up,
        attributes_add_up,
        cumulative_joins,
        rows_possible,
        money_known,
        falls_by_refunds_only,
        newest_cohorts,
    ),
    highlights=month_highlights,
    group=PREDICTION,
    owner=CUSTOMER_ANALYTICS,
    kinds=(ENGINE, "deltalake"),
    half="model",
)
