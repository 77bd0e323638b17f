"""How much a purchase is worth: the Gamma-Gamma model, fitted on repeat customers.

Its likelihood sees a customer only through (frequency, monetary value), so customers
are grouped by these two, with the value finely binned.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from cltv_assets import __version__
from cltv_assets.columns import Column, TableSchema
from cltv_assets.models import gamma_gamma
from cltv_assets.models.estimation.fitting import fit_spend_model
from cltv_assets.models.sufficient_statistics import SpendStatistics
from cltv_assets.tables.check import Values, Verdict, check
from cltv_assets.tables.fitted_models import (
    COVARIANCE,
    FIT_EVIDENCE,
    FIT_STATUS,
    converged,
    model_fitted,
    of_chosen,
    one_model_chosen,
    parameter_columns,
    parameter_drift,
    parameters_possible,
    row_of_fit,
)
from cltv_assets.tables.fitted_rows import fitted_rows
from cltv_assets.tables.highlights import Highlights
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.patterns import in_order
from cltv_assets.tables.quantiles import MONEY_POINT, exact_sum, fixed_point, money_bin
from cltv_assets.tables.rfm_summary import RFM_SUMMARY
from cltv_assets.tables.table import CUSTOMER_ANALYTICS, MODELLING, Input, Table

SPEND_MODEL = TableSchema(
    "spend_model",
    "How much a purchase is worth: the Gamma-Gamma model, fitted on repeat customers.",
    ("model_name",),
    (
        *FIT_STATUS,
        *parameter_columns(
            ("p", "Shape of the gamma distribution of a customer's purchase values.", ""),
            ("q", "Shape of the gamma distribution of their rates over customers.", ""),
            ("v", "Rate of the gamma distribution of their rates over customers.", "currency"),
        ),
        *FIT_EVIDENCE,
        COVARIANCE,
        Column("customers", "int64", "Repeat customers with positive monetary value: fitted on.", "customers"),
        Column(
            "prices",
            "int64",
            "How many mean order values they have: few are the prices of plans.",
            "values",
            nullable=True,
            since=3,
        ),
        Column(
            "excluded_customers", "int64", "Repeat customers of no positive or no known value: left out.", "customers"
        ),
        Column("mean_order_value", "float64", "Mean spend a repeat purchase of those fitted on.", "currency", True),
        Column("expected_order_value", "float64", "Model mean of a new customer's order value.", "currency", True),
        Column(
            "frequency_value_correlation",
            "float64",
            "Pearson correlation of frequency and monetary value; the model assumes none.",
            nullable=True,
        ),
        Column("observation_end", "date", "Last day of the observation."),
        Column("model_version", "string", "Version of the code that fitted it."),
    ),
)


def make(run: MonthRun) -> ir.Table:
    """Fit the Gamma-Gamma model on repeat customers of positive value."""
    rfm = run.inputs[RFM_SUMMARY.name]
    patterns = in_order(run.engine.collect(spend_patterns(rfm)), ("frequency", "monetary_value"))
    excluded = run.engine.measure(rfm, {"excluded": excluded_spenders(rfm)})["excluded"]
    stats = SpendStatistics(
        frequency=patterns["frequency"].to_numpy(),
        monetary_value=patterns["monetary_value"].to_numpy(),
        weights=patterns["customers"].to_numpy().astype(np.float64),
    )
    counted = {"status_reason": "the source has no amounts"} if run.settings.source.counted else {}
    row = row_of_fit(fit_spend_model(stats)) | {
        **counted,
        "role": "chosen",
        "excluded_customers": int(excluded),
        "observation_end": run.month.last_day,
        "model_version": __version__,
    }
    return run.engine.from_arrow(pa.Table.from_pylist([row], schema=SPEND_MODEL.arrow))


def spend_patterns(rfm: ir.Table) -> ir.Table:
    """Count repeat customers by frequency and finely binned monetary value.

    A bin holds values that agree in four significant digits and keeps their mean;
    customers whose monetary value is zero are left out (see ``excluded_spenders``).

    Returns
    -------
    ibis table
        ``frequency, monetary_value`` (the bin's mean), ``customers``.
    """
    repeat = rfm.filter((rfm.frequency > 0) & (rfm.monetary_value * MONEY_POINT >= 1))
    rows = repeat.select(frequency=repeat.frequency, minor=fixed_point(repeat.monetary_value, MONEY_POINT))
    bins = rows.group_by("frequency", bin=money_bin(rows.minor)).aggregate(
        total=exact_sum(rows.minor, 0), customers=rows.count()
    )
    # A sum of integers is exact in any order; a mean of floats is not.
    return bins.select(
        frequency=bins.frequency,
        monetary_value=bins.total / bins.customers.cast("float64") / float(MONEY_POINT),
        customers=bins.customers,
    )


def excluded_spenders(rfm: ir.Table) -> ir.IntegerScalar:
    """Count repeat customers whose monetary value is zero, refunded or free, or not known."""
    worth = (rfm.monetary_value * MONEY_POINT >= 1).fill_null(False)
    return ((rfm.frequency > 0) & ~worth).cast("int64").sum().fill_null(0)


def own_price(spend: Mapping[str, Any]) -> bool:
    """Return whether customers pay the same price every time, from the model's row; see `gamma_gamma.pays_the_same`."""
    return gamma_gamma.pays_the_same(spend["p"], spend["prices"], spend["customers"])


def _measures_of_fitted_on_all_spenders(table: ir.Table, run: MonthRun) -> dict[str, ir.Scalar]:
    rfm = run.inputs[RFM_SUMMARY.name]
    return {
        "customers": table.customers.max(),
        "excluded": table.excluded_customers.max(),
        "repeaters": rfm.is_repeat.cast("int64").sum().as_scalar(),
        "worthless": excluded_spenders(rfm).as_scalar(),
    }


@check("Every repeat customer of positive value is fitted on.", measures=_measures_of_fitted_on_all_spenders)
def fitted_on_all_spenders(values: Values, _run: MonthRun) -> Verdict:
    """Promise that the spend model leaves out no customer without counting it."""
    customers, excluded, repeaters = values["customers"], values["excluded"], values["repeaters"] or 0
    text = f"{customers:,} fitted on + {excluded:,} of no value = {repeaters:,} repeat customers"
    whole = customers + excluded == repeaters and excluded == (values["worthless"] or 0)
    return Verdict(whole, f"{text}." if whole else f"Does not add up: {text}.", {"excluded_customers": excluded})


@check(
    "How often customers buy says little of how much they spend.",
    measures=lambda table, _run: of_chosen(table, ("frequency_value_correlation",)),
    blocking=False,
)
def frequency_value_independent(values: Values, run: MonthRun) -> Verdict:
    """Warn when the Gamma-Gamma model's one assumption fails."""
    r = values["frequency_value_correlation"]
    if r is None:
        return Verdict(True, "Too few repeat customers for a correlation.")
    limit = run.settings.checks.frequency_value_correlation
    facts = {"correlation": r}
    if abs(r) <= limit:
        return Verdict(True, f"Correlation of frequency and monetary value {r:+.2f}.", facts)
    message = (
        f"Frequency and monetary value correlate by {r:+.2f}, beyond {limit} "
        "(checks.frequency_value_correlation): the spend model takes them for independent, so the value of the "
        f"most frequent customers is {'under' if r > 0 else 'over'}stated."
    )
    return Verdict(False, message, facts)


@check(
    "Order values vary as the model takes them to.",
    measures=lambda table, _run: of_chosen(table, ("p", "prices", "customers", "mean_order_value")),
    blocking=False,
)
def order_values_vary(values: Values, run: MonthRun) -> Verdict:
    """Warn where customers pay one of a few prices, because the mean over all is a price that nobody pays."""
    prices, mean = values["prices"], values["mean_order_value"]
    if not gamma_gamma.pays_the_same(values["p"], prices, values["customers"]):
        return Verdict(True, "Order values spread within and between customers." if prices else "Not known.")
    facts = {"prices": prices}
    if prices == 1:
        return Verdict(True, f"Every repeat purchase is worth {mean:,.2f} {run.settings.currency}.", facts)
    message = (
        f"{values['customers']:,} repeat customers have only {prices} mean order values, and each pays the same every "
        f"time, as for the plans of a subscription. Of each customer the own value is expected, the first order's "
        f"where there is no other; the mean of all, {mean:,.2f} {run.settings.currency}, is what nobody pays. A change "
        "of plan is not foreseen."
    )
    return Verdict(False, message, facts)


def month_highlights(run: MonthRun) -> Highlights:
    """Return the parameters of the model that predicts, and its status."""
    return Highlights(fitted_rows(run, SPEND_MODEL)[0].numbers)


TABLE = Table(
    schema=SPEND_MODEL,
    inputs=lambda _settings: (Input(RFM_SUMMARY.name),),
    make=make,
    checks=(
        converged,
        one_model_chosen,
        parameters_possible({gamma_gamma.NAME: gamma_gamma.PARAMETER_NAMES}),
        fitted_on_all_spenders,
        model_fitted,
        frequency_value_independent,
        order_values_vary,
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
