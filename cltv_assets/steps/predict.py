"""From models and customers to predictions."""

from __future__ import annotations

from typing import Any

import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from cltv_assets import __version__
from cltv_assets.models.discounting import discount_factors, discounted_purchases
from cltv_assets.models.predict import predict_patterns
from cltv_assets.schemas import PURCHASE_MODEL, REPEAT_CUSTOMERS, RFM_SUMMARY, SPEND_MODEL, cltv_predictions
from cltv_assets.steps.fit import collect_patterns, purchase_fit
from cltv_assets.steps.month_run import MonthRun
from cltv_assets.transforms import scoring
from cltv_assets.transforms.customers import DAYS_PER_UNIT
from cltv_assets.transforms.quantiles import quantiles


def chosen_model(run: MonthRun, name: str) -> dict[str, Any]:
    """Return the row of the model that predicts."""
    table = run.inputs[name]
    row: dict[str, Any] = run.engine.collect(table.filter(table.role == "chosen")).to_pylist()[0]
    return row


def predict(run: MonthRun) -> ir.Table:
    """Predict every customer of the configured population."""
    horizons = run.settings.horizons_months
    schema = cltv_predictions(horizons)
    purchase, spend = chosen_model(run, PURCHASE_MODEL.name), chosen_model(run, SPEND_MODEL.name)
    if "not_fitted" in (purchase["status"], spend["status"]):
        # A prediction without a model would be made up.
        return run.engine.from_arrow(schema.arrow.empty_table())
    rfm = run.inputs[RFM_SUMMARY.name]
    if run.settings.population == "repeat":
        rfm = rfm.semi_join(run.inputs[REPEAT_CUSTOMERS.name], "customer_id")
    patterns = run.engine.from_arrow(pattern_predictions(run, rfm, purchase))
    scored = run.engine.cache(
        scoring.score_customers(
            rfm,
            patterns,
            scoring.SpendParameters(spend["p"], spend["q"], spend["v"]),
            horizons,
            run.settings.gross_margin,
            {"model_name": f"{purchase['model_name']}+{spend['model_name']}", "model_version": __version__},
        )
    )
    tiers = run.settings.segments
    counts = run.engine.collect(scoring.value_counts_for_segments(scored, horizons[-1]))
    bounds = quantiles(counts, [1 - tiers.middle, 1 - tiers.high, 1 - tiers.top])
    return scoring.with_segments(scored, horizons[-1], bounds)


def pattern_predictions(run: MonthRun, rfm: ir.Table, model: dict[str, Any]) -> pa.Table:
    """Predict each distinct pattern once.

    Returns
    -------
    pyarrow.Table
        The pattern's key, ``p_alive``, and for each horizon expected purchases and
        discounted ones, with the ends of their 80 % interval.
    """
    horizons = run.settings.horizons_months
    patterns = collect_patterns(run, rfm)
    unit = DAYS_PER_UNIT[run.settings.time_unit]
    curve = discount_factors(run.settings.annual_discount_rate, run.month, horizons[-1])
    at = [h - 1 for h in horizons]
    found = predict_patterns(
        purchase_fit(model),
        patterns["frequency"].to_numpy(),
        patterns["recency"].to_numpy(),
        patterns["T"].to_numpy(),
        curve.days / unit,
        curve.days[at] / unit,
    )
    discounted = discounted_purchases(found.expected_purchases, curve, horizons)
    columns: dict[str, Any] = {name: patterns[name] for name in ("frequency", "first_purchase", "last_purchase")}
    columns["p_alive"] = found.p_alive
    for i, h in enumerate(horizons):
        expected = found.expected_purchases[:, h - 1]
        # An interval's purchases are discounted like the expected ones.
        last = np.full_like(expected, curve.factors[h - 1])
        factor = np.divide(discounted[:, i], expected, out=last, where=expected > 0)
        for end, purchases in (("", expected), ("_low", found.low[:, i]), ("_high", found.high[:, i])):
            columns[f"expected_purchases_{h}m{end}"] = purchases
            columns[scoring.discounted_column(h, end)] = purchases * factor
    return pa.table(columns)
