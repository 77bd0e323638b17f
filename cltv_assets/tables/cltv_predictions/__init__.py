"""What each customer is expected to buy and to be worth after the month's end."""

from __future__ import annotations

from cltv_assets.settings import Settings
from cltv_assets.tables.cltv_predictions.checks import (
    covers_population,
    intervals_and_horizons,
    money_predicted,
    money_whole,
    no_outlier_carries,
    possible,
    prediction_drift,
    predictions_made,
    probabilities,
    someone_may_have_left,
    watched_in_predictions,
)
from cltv_assets.tables.cltv_predictions.columns import predictions_schema
from cltv_assets.tables.cltv_predictions.highlights import month_highlights
from cltv_assets.tables.cltv_predictions.month_ahead import month_ahead_error
from cltv_assets.tables.cltv_predictions.order_values import order_values_fit_frequency
from cltv_assets.tables.cltv_predictions.predict import make
from cltv_assets.tables.drift import distribution_drift
from cltv_assets.tables.purchase_days import PURCHASE_DAYS
from cltv_assets.tables.purchase_model.columns import PURCHASE_MODEL
from cltv_assets.tables.repeat_customers import REPEAT_CUSTOMERS
from cltv_assets.tables.rfm_summary import RFM_SUMMARY
from cltv_assets.tables.spend_model.columns import SPEND_MODEL
from cltv_assets.tables.table import ALL_HISTORY, CUSTOMER_ANALYTICS, ENGINE, PREDICTION, Input, Table


def _inputs(settings: Settings) -> list[Input]:
    population = [Input(REPEAT_CUSTOMERS.name)] if settings.population == "repeat" else []
    # All days, because order values may count at today's level.
    days = Input(PURCHASE_DAYS.name, ALL_HISTORY)
    return [Input(RFM_SUMMARY.name), Input(PURCHASE_MODEL.name), Input(SPEND_MODEL.name), days, *population]


TABLE = Table(
    schema=predictions_schema,
    inputs=_inputs,
    make=make,
    checks=(
        probabilities,
        intervals_and_horizons,
        possible,
        covers_population,
        predictions_made,
        money_predicted,
        money_whole,
        someone_may_have_left,
        no_outlier_carries,
        order_values_fit_frequency,
        distribution_drift(predictions_schema, watched_in_predictions),
        month_ahead_error,
        prediction_drift,
    ),
    highlights=month_highlights,
    group=PREDICTION,
    owner=CUSTOMER_ANALYTICS,
    kinds=(ENGINE, "deltalake"),
    renewed={2: "has RFM segments; the interval of value is another one"},
    half="model",
)
