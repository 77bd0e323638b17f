"""What tools for campaigns use of each customer: value, next order, churn state, segments and what to do."""

from __future__ import annotations

from cltv_assets.tables.common_checks import money_given
from cltv_assets.tables.customer_scores.checks import (
    days_possible,
    everyone_scored,
    probabilities_ordered,
    spend_whole,
    states_known,
    values_add_up,
)
from cltv_assets.tables.customer_scores.columns import CHURN_STATES, scores_schema
from cltv_assets.tables.customer_scores.score import LAST_MONTHS, make
from cltv_assets.tables.customer_scores.steadiness import churn_states_steady
from cltv_assets.tables.highlights import Highlights
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.purchase_days import PURCHASE_DAYS
from cltv_assets.tables.purchase_model.columns import PURCHASE_MODEL
from cltv_assets.tables.rfm_summary import RFM_SUMMARY
from cltv_assets.tables.table import ALL_HISTORY, CUSTOMER_ANALYTICS, ENGINE, PREDICTION, Input, Table


def month_highlights(run: MonthRun) -> Highlights:
    """Return the customers of each churn state."""
    scores = run.inputs["customer_scores"]
    rows = run.engine.collect(scores.group_by("churn_state").aggregate(customers=scores.count())).to_pylist()
    found = {row["churn_state"]: row["customers"] for row in rows}
    return Highlights({state.replace(" ", "_"): found.get(state, 0) for state in CHURN_STATES})


TABLE = Table(
    schema=scores_schema,
    inputs=lambda _settings: (
        LAST_MONTHS,
        Input(RFM_SUMMARY.name),
        Input(PURCHASE_MODEL.name),
        Input(PURCHASE_DAYS.name, ALL_HISTORY),
    ),
    make=make,
    checks=(
        everyone_scored,
        money_given("historic_value"),
        spend_whole,
        values_add_up,
        probabilities_ordered,
        days_possible,
        states_known,
        churn_states_steady,
    ),
    highlights=month_highlights,
    group=PREDICTION,
    owner=CUSTOMER_ANALYTICS,
    kinds=(ENGINE, "deltalake"),
    half="model",
)
