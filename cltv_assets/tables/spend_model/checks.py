"""Checks of the spend model: what order values depend on, and how well they are known."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import ibis.expr.types as ir

from cltv_assets.models import gamma_gamma
from cltv_assets.models.choosing.order_values import GOES_ON, LEVEL, NONE
from cltv_assets.tables.check import Values, Verdict, check
from cltv_assets.tables.fitted_models import of_chosen
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.rfm_summary import RFM_SUMMARY
from cltv_assets.tables.spend_model.fit import excluded_spenders


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
