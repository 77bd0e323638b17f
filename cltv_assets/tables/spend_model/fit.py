"""Fits the Gamma-Gamma model on repeat customers, with order values at the level that holdouts are for.

Its likelihood sees a customer only through (frequency, monetary value), so customers
are grouped by these two, with the value finely binned.
"""

from __future__ import annotations

import json
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from cltv_assets import __version__
from cltv_assets.models.choosing.order_values import DEPENDS, ValueChoice, choose, choose_by_frequency
from cltv_assets.models.estimation.fits import SpendFit
from cltv_assets.models.estimation.fitting import fit_spend_model
from cltv_assets.models.sufficient_statistics import SpendStatistics
from cltv_assets.models.value_trend import ValueTrend
from cltv_assets.tables.fitted_models import row_of_fit
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.patterns import in_order
from cltv_assets.tables.purchase_days import PURCHASE_DAYS
from cltv_assets.tables.quantiles import MONEY_POINT, exact_sum, fixed_point, money_bin
from cltv_assets.tables.rfm_summary import RFM_SUMMARY
from cltv_assets.tables.spend_model.columns import SPEND_MODEL
from cltv_assets.tables.spend_model.folds import value_folds
from cltv_assets.tables.value_trend import monthly_trend, repeat_orders, trend_of, with_values_of_today


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
