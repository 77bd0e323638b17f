"""Predicts each customer from the fitted models."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from cltv_assets import __version__
from cltv_assets.models.pattern_predictions import predict_patterns
from cltv_assets.models.sufficient_statistics import Patterns
from cltv_assets.models.value.discounting import discount_factors, discounted_purchases
from cltv_assets.models.value.value_intervals import value_quantiles
from cltv_assets.tables.cltv_predictions.columns import predictions_schema
from cltv_assets.tables.cltv_predictions.scoring import (
    VALUE_ENDS,
    SpendParameters,
    discounted_column,
    score_customers,
    value_column,
    value_counts_for_segments,
    with_segments,
)
from cltv_assets.tables.fitted_models import chosen_row
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.patterns import PATTERN_KEY, collect_patterns
from cltv_assets.tables.purchase_model.reading import mixture_of, operational_time, predicting_rows
from cltv_assets.tables.quantiles import quantiles
from cltv_assets.tables.repeat_customers import REPEAT_CUSTOMERS
from cltv_assets.tables.rfm_summary import RFM_SUMMARY
from cltv_assets.tables.spend_model import SPEND_MODEL, own_price


def make(run: MonthRun) -> ir.Table:
    """Predict every customer of the configured population."""
    horizons = run.settings.horizons_months
    schema = predictions_schema(horizons)
    purchase, spend = predicting_rows(run), chosen_row(run, SPEND_MODEL.name)
    if "not_fitted" in (purchase[0]["status"], spend["status"]):
        # Without a model there is nothing to predict from.
        return run.engine.from_arrow(schema.arrow.empty_table())
    rfm = run.inputs[RFM_SUMMARY.name]
    if run.settings.population == "repeat":
        rfm = rfm.semi_join(run.inputs[REPEAT_CUSTOMERS.name], "customer_id")
    patterns = run.engine.from_arrow(pattern_predictions(run, rfm, purchase, spend))
    scored = run.engine.cache(
        score_customers(
            rfm,
            patterns,
            SpendParameters(spend["p"], spend["q"], spend["v"], own_price(spend)),
            horizons,
            run.settings.gross_margin,
            {"model_name": f"{mixture_of(purchase).name}+{spend['model_name']}", "model_version": __version__},
        )
    )
    tiers = run.settings.segments
    counts = run.engine.collect(value_counts_for_segments(scored, horizons[-1]))
    bounds = quantiles(counts, [1 - tiers.middle, 1 - tiers.high, 1 - tiers.top])
    return with_segments(scored, horizons[-1], bounds)


def pattern_predictions(
    run: MonthRun, rfm: ir.Table, purchase: Sequence[Mapping[str, Any]], spend: Mapping[str, Any]
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
        The spend model's row.

    Returns
    -------
    pyarrow.Table
        The pattern's key, ``p_alive``, and for each horizon expected purchases with the
        ends of their 80 % interval, discounted expected purchases, and the ends of the
        value's interval, also discounted, in units of v + x m.
    """
    horizons = run.settings.horizons_months
    patterns = collect_patterns(run, rfm)
    curve = discount_factors(run.settings.annual_discount_rate, run.month, horizons[-1])
    clock = operational_time(purchase[0], run.settings)
    end = np.datetime64(run.month.last_day, "D")
    first, last = (patterns[name].to_numpy().astype("datetime64[D]") for name in ("first_purchase", "last_purchase"))
    mixture, frequency = mixture_of(purchase), patterns["frequency"].to_numpy()
    recency, T = clock.elapsed(first, last), clock.elapsed(first, end)
    month_ends = clock.elapsed(end, end + curve.days.astype("timedelta64[D]"))
    ends = month_ends[[h - 1 for h in horizons]]
    found = predict_patterns(mixture, frequency, recency, T, month_ends, ends)
    value = value_quantiles(
        mixture.components, {name: spend[name] for name in ("p", "q", "v")}, Patterns(frequency, recency, T), ends
    )
    discounted = discounted_purchases(found.expected_purchases, curve, horizons)
    columns: dict[str, Any] = {name: patterns[name] for name in PATTERN_KEY}
    columns["p_alive"] = found.p_alive
    for i, h in enumerate(horizons):
        expected = found.expected_purchases[:, h - 1]
        columns[f"expected_purchases_{h}m"] = expected
        # The models set no largest count, but nobody can have more purchase days than there are days.
        for name, count in (("low", found.low[:, i]), ("high", found.high[:, i])):
            columns[f"expected_purchases_{h}m_{name}"] = np.minimum(count, float(curve.days[h - 1]))
        columns[discounted_column(h)] = discounted[:, i]
        # Apply the same discount to the interval as to the expected purchases.
        last_factor = np.full_like(expected, curve.factors[h - 1])
        factor = np.divide(discounted[:, i], expected, out=last_factor, where=expected > 0)
        for name, quantile in zip(VALUE_ENDS, value, strict=True):
            columns[value_column(h, name)] = quantile[:, i] * factor
    return pa.table(columns)
