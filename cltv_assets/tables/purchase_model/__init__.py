"""Models of how often customers buy and when they stop, fitted on all customers."""

from __future__ import annotations

from cltv_assets.models.purchase.registry import PURCHASE_MODELS, REGULAR_MODELS
from cltv_assets.tables.fitted_models import (
    converged,
    model_fitted,
    parameter_drift,
    parameters_possible,
)
from cltv_assets.tables.purchase_days import PURCHASE_DAYS
from cltv_assets.tables.purchase_model.checks import (
    all_customers_included,
    dropout_identified,
    fitted_on_all_customers,
    weights_add_up,
)
from cltv_assets.tables.purchase_model.columns import PURCHASE_MODEL
from cltv_assets.tables.purchase_model.fit import make
from cltv_assets.tables.purchase_model.highlights import month_highlights
from cltv_assets.tables.purchase_model.older_customers import history_begins
from cltv_assets.tables.rfm_summary import RFM_SUMMARY
from cltv_assets.tables.table import ALL_HISTORY, CUSTOMER_ANALYTICS, MODELLING, Input, Table

TABLE = Table(
    schema=PURCHASE_MODEL,
    inputs=lambda _settings: (Input(RFM_SUMMARY.name), Input(PURCHASE_DAYS.name, ALL_HISTORY)),
    make=make,
    checks=(
        converged,
        weights_add_up,
        parameters_possible({name: each.parameter_names for name, each in (PURCHASE_MODELS | REGULAR_MODELS).items()}),
        fitted_on_all_customers,
        all_customers_included,
        model_fitted,
        dropout_identified,
        history_begins,
        parameter_drift(PURCHASE_MODEL, ("r", "alpha", "a", "b", "s", "beta")),
    ),
    highlights=month_highlights,
    negative_numbers=True,
    group=MODELLING,
    owner=CUSTOMER_ANALYTICS,
    kinds=("scipy", "deltalake"),
    renewed={2: "has columns for more models, the season and the choice among them"},
    half="model",
)
