"""Compares last month's model with this month's purchases: the earliest sign of a change."""

from __future__ import annotations

import math
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
import numpy as np

from cltv_assets.models.pattern_predictions import expected_total
from cltv_assets.tables.check import Values, Verdict, check
from cltv_assets.tables.cltv_predictions.columns import predictions_schema
from cltv_assets.tables.drift import NO_MONTH
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.patterns import collect_patterns
from cltv_assets.tables.purchase_model.columns import PURCHASE_MODEL
from cltv_assets.tables.purchase_model.grouping import by_group, grouping_of, with_known_groups
from cltv_assets.tables.purchase_model.reading import mixture_of, operational_time, predicting, readings
from cltv_assets.tables.rfm_summary import RFM_SUMMARY


@dataclass(frozen=True)
class Expected:
    """What the customers known before a month were expected to buy in it.

    Parameters
    ----------
    model_name : str
        The models that predicted a month before.
    purchases : float
        Expected purchase days of these customers.
    deviation : float
        Their standard deviation by chance alone.
    frequency_before : int
        Repeat purchases these customers had made before.
    """

    model_name: str
    purchases: float
    deviation: float
    frequency_before: int


def frequency_of_known(run: MonthRun) -> ir.IntegerScalar:
    """Return this month's repeat purchases so far of the customers known before it, as an aggregate."""
    rfm = run.inputs[RFM_SUMMARY.name]
    known = rfm.first_purchase <= ibis.literal(run.month.shift(-1).last_day)
    # Named, because the name that Ibis gives holds the day.
    return rfm.frequency.sum(where=known).fill_null(0).name("purchases").as_scalar()


def expected_this_month(run: MonthRun) -> Expected | None:
    """Predict this month from last month's model and customers; None where there is no such month or model."""
    model, rfm = run.earlier(PURCHASE_MODEL), run.earlier(RFM_SUMMARY)
    if model is None or rfm is None:
        return None
    rows = predicting(run.engine.collect(model).to_pylist())
    if not rows or rows[0]["status"] == "not_fitted":
        return None
    predictions = None if grouping_of(rows) is None else run.earlier(predictions_schema(run.settings.horizons_months))
    patterns = collect_patterns(run, with_known_groups(rfm, predictions, rows))
    if not patterns.num_rows:
        return None
    clock = operational_time(rows[0], run.settings)
    then, now = (np.array([month.last_day], "datetime64[D]") for month in (run.month.shift(-1), run.month))
    horizon = float(clock.elapsed(then, now)[0])
    each, before = [], 0
    for part in by_group(rows, patterns):
        frequency, customers, first, last = (
            part.table[name].to_numpy() for name in ("frequency", "customers", "first_purchase", "last_purchase")
        )
        first, last = (days.astype("datetime64[D]") for days in (first, last))
        each += [
            expected_total(way.mixture, way.patterns, customers * way.probability, horizon)
            for way in readings(part.purchase, clock, frequency, first, last, then[0])
        ]
        before += int((frequency * customers).sum())
    purchases, deviation = sum(mean for mean, _ in each), math.hypot(*(spread for _, spread in each))
    return Expected(mixture_of(rows).name, purchases, deviation, before)


#: Standard deviations beyond which chance does not explain a month's purchases.
_NO_ACCIDENT = 3.0


@check(
    "Last month's model expected about what this month's customers bought.",
    measures=lambda table, run: {"frequency_of_known": frequency_of_known(run), "customers": table.count()},
    blocking=False,
)
def month_ahead_error(values: Values, run: MonthRun) -> Verdict:
    """Warn when last month's model misses this month's purchases by more than chance explains."""
    expected = expected_this_month(run)
    if expected is None:
        return Verdict(True, NO_MONTH)
    # Purchases since last month by the customers known then.
    actual = values["frequency_of_known"] - expected.frequency_before
    text = (
        f"Of the customers known before, {expected.model_name} of {run.month.shift(-1)} expected "
        f"{expected.purchases:,.0f} purchases this month; {actual:,} were made"
    )
    facts: dict[str, object] = {"expected": expected.purchases, "actual": actual}
    if not expected.purchases or not expected.deviation:
        return Verdict(True, f"{text}.", facts)
    error = expected.purchases / actual - 1 if actual > 0 else None
    z = (actual - expected.purchases) / expected.deviation
    facts |= {"relative_error": error, "z": z} if error is not None else {"z": z}
    limit = run.settings.checks.month_ahead_error
    text += f" (off by {error:+.0%}, z {z:+.1f})" if error is not None else f" (z {z:+.1f})"
    if abs(z) <= _NO_ACCIDENT or (error is not None and abs(error) <= limit):
        return Verdict(True, f"{text}.", facts)
    return Verdict(
        False,
        f"{text}: beyond checks.month_ahead_error ({limit:.0%}) and beyond chance. A season, a campaign, "
        "missing lines, or a model that no longer fits.",
        facts,
    )
