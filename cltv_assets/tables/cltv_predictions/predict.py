"""Predicts each customer from the fitted models."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from cltv_assets import __version__
from cltv_assets.models.arrays import FloatArray
from cltv_assets.models.pattern_predictions import PatternPredictions, predict_patterns
from cltv_assets.models.value.discounting import DiscountCurve, discount_factors, discounted_purchases
from cltv_assets.models.value.value_intervals import value_quantiles
from cltv_assets.tables.cltv_predictions.columns import NO_SPEND_MODEL, predictions_schema
from cltv_assets.tables.cltv_predictions.scoring import (
    VALUE_ENDS,
    SpendParameters,
    discounted_column,
    grown_column,
    score_customers,
    value_column,
    value_counts_for_segments,
    with_segments,
)
from cltv_assets.tables.fitted_models import chosen_row
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.patterns import MODEL_GROUP, PATTERN_KEY, collect_patterns
from cltv_assets.tables.purchase_days import PURCHASE_DAYS
from cltv_assets.tables.purchase_model.grouping import by_group, with_groups
from cltv_assets.tables.purchase_model.reading import Reading, mixture_of, operational_time, predicting_rows, readings
from cltv_assets.tables.quantiles import quantiles
from cltv_assets.tables.repeat_customers import REPEAT_CUSTOMERS
from cltv_assets.tables.rfm_summary import RFM_SUMMARY
from cltv_assets.tables.spend_model.columns import SPEND_MODEL
from cltv_assets.tables.spend_model.reading import own_price
from cltv_assets.tables.value_trend import growth_ahead, monthly_trend, repeat_orders, with_values_of_today


def make(run: MonthRun) -> ir.Table:
    """Predict every customer of the configured population."""
    horizons = run.settings.horizons_months
    schema = predictions_schema(horizons)
    purchase, spend = predicting_rows(run), chosen_row(run, SPEND_MODEL.name)
    if purchase[0]["status"] == "not_fitted":
        # Without a model there is nothing to predict from.
        return run.engine.from_arrow(schema.arrow.empty_table())
    rfm = run.inputs[RFM_SUMMARY.name]
    if run.settings.population == "repeat":
        rfm = rfm.semi_join(run.inputs[REPEAT_CUSTOMERS.name], "customer_id")
    money = spend if spend["status"] != "not_fitted" else None
    rfm = with_groups(run, rfm, purchase)
    patterns = run.engine.from_arrow(pattern_predictions(run, rfm, purchase, money))
    monthly = monthly_trend(spend)
    if monthly is not None:
        orders = repeat_orders(run.inputs[PURCHASE_DAYS.name], rfm, run.month)
        today = with_values_of_today(rfm, orders, monthly)
        rfm = rfm.inner_join(today.select("customer_id", value_today="monetary_value"), "customer_id")
    scored = run.engine.cache(
        score_customers(
            rfm,
            patterns,
            SpendParameters.of(money, own=own_price(money)) if money else None,
            horizons,
            run.settings.gross_margin,
            {
                "model_name": f"{mixture_of(purchase).name}+{money['model_name'] if money else NO_SPEND_MODEL}",
                "model_version": __version__,
            },
        )
    )
    tiers = run.settings.segments
    counts = run.engine.collect(value_counts_for_segments(scored, horizons[-1]))
    bounds = quantiles(counts, [1 - tiers.middle, 1 - tiers.high, 1 - tiers.top])
    return with_segments(scored, horizons[-1], bounds)


def pattern_predictions(
    run: MonthRun, rfm: ir.Table, purchase: Sequence[Mapping[str, Any]], spend: Mapping[str, Any] | None
) -> pa.Table:
    """Predict each distinct pattern once.

    Parameters
    ----------
    run : MonthRun
        The month, with its engine and settings.
    rfm : ibis table
        ``rfm_summary`` rows to predict.
    purchase : sequence of mapping
        The rows of the purchase models that predict.
    spend : mapping
        The spend model's row; None for one that is not fitted.

    Returns
    -------
    pyarrow.Table
        The pattern's key (`pattern_key`), ``p_alive``, and for each horizon expected purchases with the
        ends of their 80 % interval, these purchases in units of one of today's (`grown_column`), the
        same discounted, and, with a spend model, the ends of the value's interval, also discounted, in
        units of v + x m.
    """
    parts = by_group(purchase, collect_patterns(run, rfm))
    return pa.concat_tables([_predictions_of_group(run, each.table, each.purchase, spend) for each in parts])


def _predictions_of_group(
    run: MonthRun, patterns: pa.Table, purchase: Sequence[Mapping[str, Any]], spend: Mapping[str, Any] | None
) -> pa.Table:
    """Predict the patterns of customers that the same parameters predict."""
    horizons = run.settings.horizons_months
    curve = discount_factors(run.settings.annual_discount_rate, run.month, horizons[-1])
    clock = operational_time(purchase[0], run.settings)
    end = np.datetime64(run.month.last_day, "D")
    first, last = (patterns[name].to_numpy().astype("datetime64[D]") for name in ("first_purchase", "last_purchase"))
    ways = readings(purchase, clock, patterns["frequency"].to_numpy(), first, last, end)
    month_ends = clock.elapsed(end, end + curve.days.astype("timedelta64[D]"))
    ends = month_ends[[h - 1 for h in horizons]]
    prices = None if spend is None else {name: spend[name] for name in ("p", "q", "v")}
    found, value = _added([_predicted(way, prices, month_ends, ends) for way in ways], ways)
    # A purchase after months of a trend brings more or less than one of today.
    growth = growth_ahead(spend or {}, horizons[-1])
    discounted = discounted_purchases(found.expected_purchases, curve.times(growth), horizons)
    grown = discounted_purchases(found.expected_purchases, DiscountCurve(curve.days, growth), horizons)
    columns: dict[str, Any] = {
        name: patterns[name] for name in (*PATTERN_KEY, MODEL_GROUP) if name in patterns.column_names
    }
    columns["p_alive"] = found.p_alive
    for i, h in enumerate(horizons):
        expected = found.expected_purchases[:, h - 1]
        columns[f"expected_purchases_{h}m"] = expected
        # The models set no largest count, but nobody can have more purchase days than there are days.
        for name, count in (("low", found.low[:, i]), ("high", found.high[:, i])):
            columns[f"expected_purchases_{h}m_{name}"] = np.minimum(count, float(curve.days[h - 1]))
        columns[f"expected_purchases_{h}m_low_share"] = found.low_share[:, i]
        columns[f"expected_purchases_{h}m_high_share"] = found.high_share[:, i]
        columns[discounted_column(h)] = discounted[:, i]
        columns[grown_column(h)] = grown[:, i]
        # Apply the same discount to the interval as to the expected purchases.
        last_factor = np.full_like(expected, curve.factors[h - 1] * growth[h - 1])
        factor = np.divide(discounted[:, i], expected, out=last_factor, where=expected > 0)
        for name, quantile in zip(VALUE_ENDS, value, strict=spend is not None):
            columns[value_column(h, name)] = quantile[:, i] * factor
    return pa.table(columns)


#: Both ends of the value's interval, in units of v + x m; none without a spend model.
_Value = tuple[FloatArray, ...]


def _predicted(
    way: Reading, prices: Mapping[str, float] | None, month_ends: FloatArray, ends: FloatArray
) -> tuple[PatternPredictions, _Value]:
    """Return what patterns read in one way are expected to buy, and the ends of their value's interval."""
    of = way.patterns
    found = predict_patterns(way.mixture, of.frequency, of.recency, of.T, month_ends, ends)
    if prices is None:
        return found, ()
    return found, value_quantiles(way.mixture.components, prices, of, ends)


def _added(
    each: Sequence[tuple[PatternPredictions, _Value]], ways: Sequence[Reading]
) -> tuple[PatternPredictions, _Value]:
    """Return the mean over the ways to read a history. Of an interval's ends it is an approximation."""
    if len(each) == 1:
        return each[0]
    shares = [way.probability for way in ways]

    def mean(values: Sequence[FloatArray]) -> FloatArray:
        return np.asarray(sum((share * of.T).T for share, of in zip(shares, values, strict=True)), dtype=np.float64)

    names = [field.name for field in dataclasses.fields(PatternPredictions)]
    found = PatternPredictions(**{name: mean([getattr(one, name) for one, _ in each]) for name in names})
    return found, tuple(mean(ends) for ends in zip(*(value for _, value in each), strict=True))
