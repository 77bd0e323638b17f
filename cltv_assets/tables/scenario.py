"""A month's totals under other discount rates, margins and horizons, from its stored models and customers.

Expected purchases follow from the models again, so horizons may be any; what a purchase is expected to bring, each
customer's own margin and the segments are those of ``cltv_predictions``. Nothing is written.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from cltv_assets.models.arrays import FloatArray
from cltv_assets.models.value.discounting import DiscountCurve, discount_factors, discounted_purchases
from cltv_assets.months import DAYS_PER_UNIT
from cltv_assets.tables.fitted_models import chosen_row
from cltv_assets.tables.group_totals import (
    GROUP_KEY,
    counted_for_totals,
    group_totals,
    own_errors,
    readings_of,
    segment_groups,
)
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.patterns import in_order
from cltv_assets.tables.purchase_model.grouping import by_group
from cltv_assets.tables.purchase_model.reading import operational_time, predicting_rows
from cltv_assets.tables.segment_summary import members
from cltv_assets.tables.spend_model.columns import SPEND_MODEL
from cltv_assets.tables.value_trend import growth_ahead


@dataclass(frozen=True)
class Scenario:
    """What a month's customers are valued by.

    Parameters
    ----------
    discount_rate : float
        Effective rate a year.
    margin : float or None
        Share of spend that is margin, for everybody; None for the customers' own.
    """

    discount_rate: float
    margin: float | None


def scenarios_of(
    configured: Scenario, discount_rates: Sequence[float], margins: Sequence[float | None]
) -> list[Scenario]:
    """Return every combination of rates and margins (None: the customers' own), the configured one first."""
    shares: Sequence[float | None] = margins or [configured.margin]
    every = itertools.product(discount_rates or [configured.discount_rate], shares)
    return list(dict.fromkeys([configured, *(Scenario(rate, margin) for rate, margin in every)]))


def scenario_rows(run: MonthRun, scenario: Scenario, horizons: Sequence[int]) -> list[dict[str, Any]]:
    """Return totals of the base and its segments under a scenario.

    Parameters
    ----------
    run : MonthRun
        With ``cltv_predictions``, ``purchase_model`` and ``spend_model`` of the month among its inputs.
    scenario : Scenario
    horizons : sequence of int
        Months, rising, each 1 or more.

    Returns
    -------
    list of dict
        ``scheme, segment, horizon_months, customers``; ``expected_purchases`` and ``expected_value`` with ``_low`` and
        ``_high``, as in ``segment_summary``; no money where no spend model is fitted. Empty without predictions.
    """
    settings = run.settings.model_copy(
        update={"horizons_months": tuple(horizons), "annual_discount_rate": scenario.discount_rate}
    )
    run = replace(run, settings=settings)
    predictions, spend = run.inputs["cltv_predictions"], chosen_row(run, SPEND_MODEL.name)
    if scenario.margin is not None:
        predictions = predictions.mutate(gross_margin=ibis.literal(scenario.margin))
    worth = predictions.gross_margin.fill_null(settings.gross_margin) * predictions.expected_order_value
    # Carried through the grouping, which replaces margins in some cases.
    now = counted_for_totals(predictions.mutate(worth=worth), spend, settings.gross_margin)
    groups, worths = _groups(run, now)
    if not len(groups):
        return []
    purchases, discounted = _expected(run, groups, spend, horizons)
    totals = group_totals(run, groups)
    errors = own_errors(predicting_rows(run), spend)
    money = spend["status"] != "not_fitted"
    rows = []
    for scheme, segment, chosen in members(groups):
        intervals = totals.intervals(chosen, *errors)
        customers = np.asarray(groups["customers"].to_numpy(), dtype=np.float64)[chosen]
        for i, h in enumerate(horizons):
            row: dict[str, Any] = {"scheme": scheme, "segment": segment, "horizon_months": h}
            row["customers"] = round(float(customers.sum()))
            value = float((worths[chosen] * discounted[chosen, i]).sum())
            expected = (float((customers * purchases[chosen, i]).sum()), value)
            for name, of, ends in zip(("expected_purchases", "expected_value"), expected, intervals, strict=True):
                known = money or name == "expected_purchases"
                found = (of, float(ends[i, 0]), float(ends[i, 1])) if known else (None,) * 3
                row |= dict(zip((name, f"{name}_low", f"{name}_high"), found, strict=True))
            rows.append(row)
    return rows


def _groups(run: MonthRun, now: ir.Table) -> tuple[pa.Table, FloatArray]:
    """Return `segment_groups` without predictions, and what a purchase leaves of all customers of each group."""
    settings = run.settings
    found = segment_groups(now, DAYS_PER_UNIT[settings.time_unit], (), settings.gross_margin, {"worth": now.worth})
    groups = in_order(run.engine.collect(found), GROUP_KEY)
    return groups, np.asarray(groups["worth"].fill_null(0.0).to_numpy(), dtype=np.float64)


def _expected(
    run: MonthRun, groups: pa.Table, spend: Mapping[str, Any], horizons: Sequence[int]
) -> tuple[FloatArray, FloatArray]:
    """Return what a customer of each group is expected to buy, and the same in purchases of today, discounted.

    Both have the shape (n, H). They are the figures of `pattern_predictions`, not interpolated as those of intervals.
    """
    purchase = predicting_rows(run)
    expected = np.empty((len(groups), horizons[-1]))
    curve = discount_factors(run.settings.annual_discount_rate, run.month, horizons[-1])
    clock, end = operational_time(purchase[0], run.settings), np.datetime64(run.month.last_day, "D")
    month_ends = clock.elapsed(end, end + curve.days.astype("timedelta64[D]"))
    for part in by_group(purchase, groups):
        ways = readings_of(part, clock, end)
        expected[part.places] = np.sum(
            [each.probability[:, None] * each.mixture.expected_purchases(each.patterns, month_ends) for each in ways],
            axis=0,
        )
    whole = DiscountCurve(curve.days, np.ones(len(curve.days)))
    growth = growth_ahead(spend, horizons[-1])
    return (
        discounted_purchases(expected, whole, horizons),
        discounted_purchases(expected, curve.times(growth), horizons),
    )
