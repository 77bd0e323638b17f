"""Totals over groups of customers with their intervals: what segments, cohorts and scenarios are added up from.

Customers of one history and one segment are expected to buy the same, so they are summed up first, inside the engine.
From the sums follow the expectation and the variance of any total over such groups, by the month's models.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from cltv_assets.models.arrays import FloatArray
from cltv_assets.models.choosing.histories import OperationalTime
from cltv_assets.models.estimation.fits import PurchaseFit
from cltv_assets.models.value.discounting import discount_factors
from cltv_assets.models.value.parted_totals import Part, parted
from cltv_assets.models.value.totals import (
    UNIT_PRICE,
    CustomerGroups,
    MixedTotals,
    MoneyWeights,
    Totals,
    added,
    model_error,
    revenue_errors,
    totals_of,
)
from cltv_assets.tables.cltv_predictions.scoring import priced
from cltv_assets.tables.fitted_models import chosen_row
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.patterns import MODEL_GROUP, in_order
from cltv_assets.tables.purchase_model.grouping import GroupRows, by_group, errors_of_group, grouping_of
from cltv_assets.tables.purchase_model.reading import (
    Reading,
    holdout_error,
    holdout_errors,
    mixture_of,
    operational_time,
    predicting_rows,
    readings,
)
from cltv_assets.tables.quantiles import PURCHASES_POINT, decimal_sum, exact_sum, fixed_point
from cltv_assets.tables.spend_model.columns import SPEND_MODEL
from cltv_assets.tables.spend_model.reading import own_price, spend_parameters
from cltv_assets.tables.value_trend import growth_ahead

#: What the customers of a row of `segment_groups` have in common.
GROUP_KEY = ("frequency", "age_days", "recency_days", "value_segment", "rfm_segment", MODEL_GROUP)

#: Columns of `segment_groups` with the sums of `MoneyWeights`.
MONEY_WEIGHTS = tuple(field.name for field in dataclasses.fields(MoneyWeights))


def counted_for_totals(predictions: ir.Table, spend: Mapping[str, Any], gross_margin: float) -> ir.Table:
    """Return predictions with the margins and monetary values that totals are made from.

    Parameters
    ----------
    predictions : ibis table
        ``cltv_predictions`` of one month.
    spend : mapping
        The month's row of ``spend_model``.
    gross_margin : float
        For customers without one of their own.
    """
    now = priced(predictions, spend)
    # Where a purchase is worth the price, whatever the history, what is left of the price stands for the margin.
    return now.mutate(gross_margin=now.gross_margin.fill_null(gross_margin) * now.price)


def segment_groups(
    predictions: ir.Table,
    days_per_unit: int,
    horizons: Sequence[int],
    gross_margin: float,
    more: Mapping[str, ir.FloatingValue] | None = None,
) -> ir.Table:
    """Sum predictions by pattern and segments: all that totals and their intervals need.

    Parameters
    ----------
    predictions : ibis table
        ``cltv_predictions`` of one month.
    days_per_unit : int
        Days in the unit of ``recency`` and ``T``.
    horizons : sequence of int
        Horizons, in months.
    gross_margin : float
        For predictions of a version that wrote no margin.
    more : mapping of str to ibis value, optional
        Columns of the predictions to sum up, too.

    Returns
    -------
    ibis table
        `GROUP_KEY`; ``customers``; the sums of `MoneyWeights`; ``purchases_{h}m`` and ``cltv_{h}m``, sums of the
        predictions, and of ``more``. Those of purchases are integers in fixed point, those of money decimals.
    """
    rows = predictions.select(
        "frequency",
        "value_segment",
        "rfm_segment",
        MODEL_GROUP,
        "monetary_value",
        # Floats are bad keys. For a fixed observation end these days stand for the dates.
        age_days=fixed_point(predictions["T"] * days_per_unit, 1),
        recency_days=fixed_point(predictions.recency * days_per_unit, 1),
        margin=predictions.gross_margin.fill_null(gross_margin),
        **(more or {}),
        **{
            name: amount
            for h in horizons
            for name, amount in (
                (f"purchases_{h}m", fixed_point(predictions[f"expected_purchases_{h}m"], PURCHASES_POINT)),
                (f"cltv_{h}m", predictions[f"cltv_{h}m"].fill_null(0.0)),
            )
        },
    )
    own, spent = rows.margin, rows.margin * rows.monetary_value
    sums = {f"purchases_{h}m": rows[f"purchases_{h}m"].sum().cast("int64") for h in horizons}
    sums |= {f"cltv_{h}m": decimal_sum(rows[f"cltv_{h}m"]) for h in horizons}
    sums |= {name: exact_sum(rows[name], 9) for name in more or {}}
    return rows.group_by(*GROUP_KEY).aggregate(
        customers=rows.count(),
        margins=exact_sum(own, 9),
        values=exact_sum(spent),
        margin_squares=exact_sum(own * own, 9),
        margin_values=exact_sum(own * spent),
        value_squares=exact_sum(spent * spent),
        **sums,
    )


def in_order_for_totals(groups: pa.Table, key: Sequence[str], weights: Sequence[str] = MONEY_WEIGHTS) -> pa.Table:
    """Sort what `group_totals` reads of groups: sums of floats depend on their order, and a re-run must be equal.

    Parameters
    ----------
    groups : pyarrow.Table
        Rows of `segment_groups`, or like those.
    key : sequence of str
        What identifies a row.
    weights : sequence of str
        The columns with the sums of `MoneyWeights`.
    """
    # Sums of the predictions are left out: they are exact in any order, and to move decimals takes most of the time.
    return in_order(groups.select([*key, "customers", *weights]), key)


def group_totals(run: MonthRun, groups: pa.Table, *, discounted: bool = True) -> MixedTotals:
    """Return the expectations and variances of ``segment_groups``, by the month's models.

    Parameters
    ----------
    run : MonthRun
        With ``purchase_model`` and ``spend_model`` among its inputs.
    groups : pyarrow.Table
        Rows of ``segment_groups``.
    discounted : bool
        Whether money of later months counts for less.
    """
    purchase, spend = predicting_rows(run), chosen_row(run, SPEND_MODEL.name)
    if own_price(spend) or spend["status"] == "not_fitted":
        # The prices are known, or no money is, and no parameter of the model is asked.
        model, covariance = UNIT_PRICE, None
    else:
        model, covariance = spend_parameters(spend), spend["log_covariance"]
    horizons = run.settings.horizons_months
    curve = discount_factors(run.settings.annual_discount_rate, run.month, horizons[-1])
    clock = operational_time(purchase[0], run.settings)
    end = np.datetime64(run.month.last_day, "D")
    month_ends = clock.elapsed(end, end + curve.days.astype("timedelta64[D]"))
    factors = growth_ahead(spend, horizons[-1])
    if discounted:
        factors = curve.factors * factors

    def totals(fit: PurchaseFit, way: Reading, groups: pa.Table) -> Totals:
        return totals_of(
            fit,
            model,
            CustomerGroups(
                frequency=way.patterns.frequency,
                recency=way.patterns.recency,
                T=way.patterns.T,
                customers=_floats(groups, "customers") * way.probability,
                money=MoneyWeights(*(_floats(groups, name) * way.probability for name in MONEY_WEIGHTS)),
            ),
            month_ends,
            factors,
            horizons,
            json.loads(covariance) if covariance else None,
        )

    def by_model(part: GroupRows) -> list[Totals]:
        ways = readings_of(part, clock, end)
        each = zip(*([totals(fit, way, part.table) for fit in way.mixture.fits] for way in ways), strict=True)
        return [added(totals_of_ways) for totals_of_ways in each]

    weights = np.array(mixture_of(purchase).weights)
    parts = list(by_group(purchase, groups))
    if grouping_of(purchase) is None:
        return MixedTotals(weights, by_model(parts[0]))
    models = zip(*(by_model(part) for part in parts), strict=True)
    errors = [[errors_of_group(row, part.label) for part in parts] for row in purchase]
    found = [
        parted([Part(one, part.places, *own) for one, part, own in zip(of, parts, each, strict=True)])
        for of, each in zip(models, errors, strict=True)
    ]
    return MixedTotals(weights, found)


def readings_of(part: GroupRows, clock: OperationalTime, end: np.datetime64) -> list[Reading]:
    """Return what histories the rows of `segment_groups` are read as, at the month's ``end``."""
    age, recency = (np.asarray(part.table[f"{name}_days"].to_numpy(), "timedelta64[D]") for name in ("age", "recency"))
    first = end - age
    return readings(part.purchase, clock, part.table["frequency"].to_numpy(), first, first + recency, end)


def _floats(groups: pa.Table, name: str) -> FloatArray:
    return np.asarray(groups[name].to_numpy(), dtype=np.float64)


def own_errors(purchase: Sequence[Mapping[str, Any]], spend: Mapping[str, Any]) -> tuple[float, float | None]:
    """Return the models' own error of purchases and that of revenue, from their holdouts.

    That of revenue is None where it has fewer holdouts than purchases have.

    Parameters
    ----------
    purchase : sequence of mapping
        The rows of the purchase models that predict; those of earlier versions know no errors by holdout.
    spend : mapping
        The spend model's row.
    """
    folds = purchase[0]["holdout_folds"]
    of_purchases = model_error(holdout_error(purchase), folds)
    found = revenue_errors(holdout_errors(purchase), json.loads(spend.get("holdout_value_errors") or "{}"))
    if not found or len(found) < folds:
        return of_purchases, None
    return of_purchases, model_error(math.sqrt(sum(error * error for error in found) / len(found)), len(found))
