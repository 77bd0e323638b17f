"""What a new customer is worth, from the first order on, as of a month's end."""

from __future__ import annotations

from cltv_assets.settings import Settings
from cltv_assets.tables.customer_attributes import attribute_inputs
from cltv_assets.tables.new_customer_value.checks import (
    holdout_near,
    horizons_rise,
    money_whole,
    orders_from_probabilities,
    possible,
)
from cltv_assets.tables.new_customer_value.columns import NEW_CUSTOMER_VALUE
from cltv_assets.tables.new_customer_value.highlights import month_highlights
from cltv_assets.tables.new_customer_value.make import make
from cltv_assets.tables.purchase_days import PURCHASE_DAYS
from cltv_assets.tables.purchase_model.columns import PURCHASE_MODEL
from cltv_assets.tables.rfm_summary import RFM_SUMMARY
from cltv_assets.tables.spend_model.columns import SPEND_MODEL
from cltv_assets.tables.table import CUSTOMER_ANALYTICS, ENGINE, PREDICTION, Input, Table


def _inputs(settings: Settings) -> list[Input]:
    longest = settings.horizons_months[-1]
    # This month, and those that horizons began with; of these a month may lack models.
    said = (RFM_SUMMARY.name, PURCHASE_MODEL.name, SPEND_MODEL.name)
    return [
        *(Input(name, longest, holes=True) for name in said),
        *attribute_inputs(settings, longest),
        # The cohort acquired two horizons ago is the naive forecast.
        Input(PURCHASE_DAYS.name, 2 * longest),
    ]


TABLE = Table(
    schema=NEW_CUSTOMER_VALUE,
    inputs=_inputs,
    make=make,
    checks=(possible, money_whole, horizons_rise, orders_from_probabilities, holdout_near),
    highlights=month_highlights,
    group=PREDICTION,
    owner=CUSTOMER_ANALYTICS,
    kinds=(ENGINE, "deltalake"),
    half="model",
)
