"""How much a purchase is worth: the Gamma-Gamma model, fitted on repeat customers."""

from __future__ import annotations

from cltv_assets.models import gamma_gamma
from cltv_assets.tables.fitted_models import (
    converged,
    model_fitted,
    one_model_chosen,
    parameter_drift,
    parameters_possible,
)
from cltv_assets.tables.fitted_rows import fitted_rows
from cltv_assets.tables.highlights import Highlights
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.purchase_days import PURCHASE_DAYS
from cltv_assets.tables.rfm_summary import RFM_SUMMARY
from cltv_assets.tables.spend_model.checks import (
    fitted_on_all_spenders,
    frequency_value_independent,
    mean_is_known,
    order_values_steady,
    order_values_vary,
)
from cltv_assets.tables.spend_model.columns import SPEND_MODEL
from cltv_assets.tables.spend_model.fit import make
from cltv_assets.tables.table import ALL_HISTORY, CUSTOMER_ANALYTICS, MODELLING, Input, Table


def month_highlights(run: MonthRun) -> Highlights:
    """Return the parameters of the model that predicts, and its status."""
    return Highlights(fitted_rows(run, SPEND_MODEL)[0].numbers)


TABLE = Table(
    schema=SPEND_MODEL,
    inputs=lambda _settings: (Input(RFM_SUMMARY.name), Input(PURCHASE_DAYS.name, ALL_HISTORY)),
    make=make,
    checks=(
        converged,
        one_model_chosen,
        parameters_possible({gamma_gamma.NAME: gamma_gamma.PARAMETER_NAMES}),
        fitted_on_all_spenders,
        model_fitted,
        frequency_value_independent,
        order_values_vary,
        order_values_steady,
        mean_is_known,
        parameter_drift(SPEND_MODEL, ("p", "q", "v")),
    ),
    highlights=month_highlights,
    negative_numbers=True,
    group=MODELLING,
    owner=CUSTOMER_ANALYTICS,
    kinds=("scipy", "deltalake"),
    renewed={2: "has a column for the parameters' covariance"},
    half="model",
)
