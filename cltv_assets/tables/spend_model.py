"""How much a purchase is worth: the Gamma-Gamma model, fitted on repeat customers.

Its likelihood sees a customer only through (frequency, monetary value), so customers
are grouped by these two, with the value finely binned.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from cltv_assets import __version__
from cltv_assets.columns import Column, TableSchema
from cltv_assets.models import gamma_gamma
from cltv_assets.models.choosing.order_values import (
    DEPENDS,
    GOES_ON,
    LEVEL,
    NONE,
    ValueChoice,
    choose,
    choose_by_frequency,
)
from cltv_assets.models.estimation.fits import SpendFit
from cltv_assets.models.estimation.fitting import fit_spend_model
from cltv_assets.models.sufficient_statistics import SpendStatistics
from cltv_assets.models.value_trend import ValueTrend
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
from cltv_assets.tables.purchase_days import PURCHASE_DAYS
from cltv_assets.tables.quantiles import MONEY_POINT, exact_sum, fixed_point, money_bin
from cltv_assets.tables.rfm_summary import RFM_SUMMARY
from cltv_assets.tables.table import ALL_HISTORY, CUSTOMER_ANALYTICS, MODELLING, Input, Table
from cltv_assets.tables.value_folds import value_folds
from cltv_assets.tables.value_trend import monthly_trend, repeat_orders, trend_of, with_values_of_today

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
        *(
            dataclasses.replace(column, since=3)
            for column in parameter_columns(
                (
                    "doubling",
                    "Factor by which v changes each time the repeat purchases double, where order values depend on "
                    "frequency.",
                    "",
                )
            )
        ),
        Column(
            "by_frequency",
            "boolean",
            "Whether order values depend on how often customers buy; null in months of before.",
            nullable=True,
            since=3,
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
        Column(
            "value_trend",
            "float64",
            "Change of the same customers' order values in a year, as a share: 0.1 is a tenth more.",
            "share a year",
            nullable=True,
            signed=True,
            since=3,
        ),
        Column("value_trend_se", "float64", "Standard error of that.", "share a year", nullable=True, since=3),
        Column(
            "value_trend_use",
            "string",
            "What is done about a trend beyond chance: 'none'; 'level' where order values so far count at the level of "
            "the observation's end; 'goes_on' where the trend goes on from there, for as long as it was seen. Null "
            "without one.",
            nullable=True,
            since=3,
        ),
        Column(
            "value_trend_lag",
            "float64",
            "By what share that level lies above the mean of the orders so far.",
            "share",
            nullable=True,
            signed=True,
            since=3,
        ),
        Column("value_trend_months", "int64", "Months that the trend was seen for.", "months", nullable=True, since=3),
        Column("choice_reason", "string", "Why order values are expected in this way.", nullable=True, since=3),
        Column(
            "holdout_value_errors",
            "string",
            "Expected over actual spend of the orders made in each rolling holdout, minus 1: JSON, month of the origin "
            "to share.",
            nullable=True,
            since=3,
        ),
        Column("observation_end", "date", "Last day of the observation."),
        Column("model_version", "string", "Version of the code that fitted it."),
    ),
)


def make(run: MonthRun) -> ir.Table:
    """Fit the Gamma-Gamma model on repeat customers of positive value, whose order values count as holdouts tell."""
    rfm = run.inputs[RFM_SUMMARY.name]
    orders = repeat_orders(run.inputs[PURCHASE_DAYS.name], rfm, run.month)
    trend = trend_of(run.engine, orders)
    folds = value_folds(run, with_trend=trend is not None and trend.beyond_chance)
    choice = choose(folds, trend)
    row = trend_columns(trend, choice)
    monthly = monthly_trend(row)
    lifted = rfm if monthly is None else with_values_of_today(rfm, orders, monthly)
    patterns = in_order(run.engine.collect(spend_patterns(lifted)), ("frequency", "monetary_value"))
    excluded = run.engine.measure(rfm, {"excluded": excluded_spenders(rfm)})["excluded"]
    stats = SpendStatistics(
        frequency=patterns["frequency"].to_numpy(),
        monetary_value=patterns["monetary_value"].to_numpy(),
        weights=patterns["customers"].to_numpy().astype(np.float64),
    )
    fit = fit_spend_model(stats)
    other = fit_by_frequency(fit, stats)
    better = choose_by_frequency(folds, choice) if other is not None else None
    if other is not None and better is not None:
        fit, row = other, trend_columns(trend, better)
    elif other is not None:
        row["choice_reason"] += "; order values that depend on frequency fit better, and in holdouts are no better"
    counted = {"status_reason": "the source has no amounts"} if run.settings.source.counted else {}
    row |= (
        row_of_fit(fit)
        | counted
        | {
            "role": "chosen",
            "by_frequency": better is not None,
            "excluded_customers": int(excluded),
            "observation_end": run.month.last_day,
            "model_version": __version__,
        }
    )
    return run.engine.from_arrow(pa.Table.from_pylist([row], schema=SPEND_MODEL.arrow))


def fit_by_frequency(plain: SpendFit, statistics: SpendStatistics) -> SpendFit | None:
    """Return the fit whose order values depend on frequency; None where that fits no better beyond chance."""
    if plain.status != "fitted" or plain.log_likelihood is None:
        return None
    fit = fit_spend_model(statistics, by_frequency=True)
    if fit.status != "fitted" or fit.log_likelihood is None:
        return None
    return fit if 2.0 * (fit.log_likelihood - plain.log_likelihood) > DEPENDS else None


def spend_parameters(spend: Mapping[str, Any]) -> dict[str, float]:
    """Return the parameters to predict with, from the model's row."""
    return {name: spend[name] for name in gamma_gamma.BY_FREQUENCY_NAMES if spend.get(name) is not None}


def trend_columns(trend: ValueTrend | None, choice: ValueChoice) -> dict[str, Any]:
    """Return the columns that say what is known of a trend in order values, and how these are expected."""
    found: dict[str, Any] = {
        "choice_reason": choice.reason,
        "holdout_value_errors": json.dumps(choice.errors) if choice.errors else None,
        "value_trend_use": choice.trend_use,
    }
    if trend is None:
        return found
    return found | {
        "value_trend": trend.yearly,
        "value_trend_se": trend.yearly_error,
        "value_trend_lag": trend.lag,
        "value_trend_months": trend.span,
    }


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
    measures=lambda table, _run: of_chosen(table, ("frequency_value_correlation", "by_frequency")),
    blocking=False,
)
def frequency_value_independent(values: Values, run: MonthRun) -> Verdict:
    """Warn when the Gamma-Gamma model's one assumption fails."""
    r = values["frequency_value_correlation"]
    if r is None:
        return Verdict(True, "Too few repeat customers for a correlation.")
    limit = run.settings.checks.frequency_value_correlation
    facts = {"correlation": r}
    if values["by_frequency"]:
        return Verdict(True, f"They correlate by {r:+.2f}, and the model lets order values depend on frequency.", facts)
    if abs(r) <= limit:
        return Verdict(True, f"Correlation of frequency and monetary value {r:+.2f}.", facts)
    message = (
        f"Frequency and monetary value correlate by {r:+.2f}, beyond {limit} "
        "(checks.frequency_value_correlation): the spend model takes them for independent. Customers with few "
        f"purchases are given nearly the mean of all, which is too {'much' if r > 0 else 'little'} for them; "
        "frequent ones keep their own. The check order_values_fit_frequency of cltv_predictions says what that does "
        "to the total."
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


#: Trends that change order values by less than this share in a year are told, and are no warning.
_STEADY = 0.05


def trend_in_words(spend: Mapping[str, Any]) -> str | None:
    """Say what a trend in order values does to the predicted total, from the model's row; None where there is none."""
    yearly, use, lag = spend.get("value_trend"), spend.get("value_trend_use"), spend.get("value_trend_lag")
    if yearly is None or use is None or lag is None or abs(yearly) < _STEADY:
        return None
    more, less = ("low", "high") if yearly > 0 else ("high", "low")
    done = {
        NONE: f"The model goes by that mean: predicted value is too {more} by about as much if that level lasts, and "
        "by more if the trend goes on",
        LEVEL: "Order values so far count at that level, and those to come are taken to stay there: if the trend goes "
        f"on, they come out {abs(yearly):.0%} too {more} in a year",
        GOES_ON: "Order values so far count at that level, and the trend is taken to go on for "
        f"{spend['value_trend_months']} months more: if it stops, predicted value is too {less}",
    }[use]
    return (
        f"Order values of the same customers change by {yearly:+.1%} a year (± {spend['value_trend_se']:.1%}); the "
        f"level of the observation's end lies {abs(lag):.1%} {'above' if lag > 0 else 'below'} the mean of the orders "
        f"so far. {done}. Why: {spend['choice_reason']}."
    )


@check(
    "The same customers' orders are worth what they were.",
    measures=lambda table, _run: of_chosen(
        table,
        (
            "value_trend", "value_trend_se", "value_trend_use", "value_trend_lag", "value_trend_months",
            "choice_reason",
        ),
    ),
    blocking=False,
)  # fmt: skip
def order_values_steady(values: Values, _run: MonthRun) -> Verdict:
    """Warn of a trend in order values (inflation, other prices), with what it does to the predicted total."""
    yearly = values["value_trend"]
    if yearly is None:
        return Verdict(True, "Too few repeat orders in too few months to tell a trend.")
    facts = {name: values[name] for name in ("value_trend", "value_trend_se", "value_trend_lag")}
    message = trend_in_words(values)
    if message is not None:
        return Verdict(False, message, facts)
    chance = ", no more than by chance" if values["value_trend_use"] is None else ""
    return Verdict(True, f"The same customers' order values change by {yearly:+.1%} a year{chance}.", facts)


#: Up to this q single customers carry the mean, however many there are: with 2,000 customers of q = 1.3 it came out
#: 10 to 50 % above what they had spent. The relative standard error of the mean from which it is not known.
_NEAR_ONE, _VAGUE = 1.5, 0.2


def error_of_mean(spend: Mapping[str, Any]) -> float | None:
    """Return the relative standard error of a new customer's order value, from the model's row; None where unknown."""
    if spend["expected_order_value"] is None or not spend["log_covariance"]:
        return None
    return gamma_gamma.population_mean_error(spend, json.loads(spend["log_covariance"]))


def vague_mean_in_words(spend: Mapping[str, Any], currency: str) -> str | None:
    """Say that a new customer's order value is hardly known, from the model's row; None where it is known."""
    vague, q, error = error_of_mean(spend), spend["q"], spend["q_se"]
    if vague is None or (vague <= _VAGUE and q > _NEAR_ONE):
        return None
    told = f"{q:.3g}" if error is None else f"{q:.3g} ± {error:.2g}"
    return (
        f"q is {told}, {'near' if q <= _NEAR_ONE else 'not clearly apart from'} 1, where the model's mean order value "
        "p v / (q - 1) has no bound: a few customers decide it. It is "
        f"{spend['expected_order_value']:,.2f} {currency}, with a relative standard error of {vague:.0%}; repeat "
        f"purchases were worth {spend['mean_order_value']:,.2f} on average. Customers without a repeat purchase are "
        "expected to spend it. Treat outliers (outliers.method in "
        "cltv.yaml), or fit on more months."
    )


@check(
    "What a new customer's order is worth is known.",
    measures=lambda table, _run: of_chosen(
        table, ("p", "q", "v", "q_se", "log_covariance", "expected_order_value", "mean_order_value")
    ),
    blocking=False,
)
def mean_is_known(values: Values, run: MonthRun) -> Verdict:
    """Warn where q is so near 1, or so uncertain, that the mean of all customers may be nearly anything."""
    vague, currency = error_of_mean(values), run.settings.currency
    if vague is None:
        return Verdict(True, "No spread of order values between customers to judge.")
    facts = {"q": values["q"], "relative_error_of_mean": round(vague, 4)}
    message = vague_mean_in_words(values, currency)
    if message is not None:
        return Verdict(False, message, facts)
    return Verdict(
        True, f"A new customer's order: {values['expected_order_value']:,.2f} {currency}, known to {vague:.0%}.", facts
    )


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
