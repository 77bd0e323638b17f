"""Makes a month of ``customer_scores`` from its predictions, its models and what customers did so far."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from cltv_assets.columns import MONEY
from cltv_assets.models.next_order import History, next_orders
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.tables.cltv_predictions.scoring import gave_all_back, value_counts_for_segments, with_value_bin
from cltv_assets.tables.customer_scores.churn import MEMORY_MONTHS, staying_weights, with_churn_state
from cltv_assets.tables.customer_scores.columns import NEXT_ORDER_DAYS, ORDER_DAYS, scores_schema
from cltv_assets.tables.customer_scores.intervals import median_days_between
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.patterns import MODEL_GROUP, PATTERN_KEY, collect_patterns, pattern_key
from cltv_assets.tables.purchase_days import PURCHASE_DAYS
from cltv_assets.tables.purchase_model.grouping import by_group, with_known_groups
from cltv_assets.tables.purchase_model.reading import operational_time, predicting_rows, readings
from cltv_assets.tables.quantiles import quantiles, tier
from cltv_assets.tables.rfm_summary import RFM_SUMMARY
from cltv_assets.tables.segmentation import month_rows
from cltv_assets.tables.table import Input

#: The months of predictions that a month is made from; any may be missing.
LAST_MONTHS = Input("cltv_predictions", MEMORY_MONTHS - 1, 0, holes=True)

_TENTHS = tuple(i / 10 for i in range(1, 10))


def make(run: MonthRun) -> ir.Table:
    """Score every customer with a prediction."""
    schema = scores_schema(run.settings.horizons_months)
    purchase = predicting_rows(run)
    if not purchase or purchase[0]["status"] == "not_fitted":
        # Without a model nobody is predicted.
        return run.engine.from_arrow(schema.arrow.empty_table())
    horizons = run.settings.horizons_months
    predictions = run.inputs[LAST_MONTHS.table]
    now = month_rows(predictions, run.month.first_day)
    # Customers without a prediction fall out when it is joined; to leave them out here takes a join more.
    rfm = with_known_groups(run.inputs[RFM_SUMMARY.name], now, purchase)
    patterns = run.engine.from_arrow(next_orders_of_patterns(run, rfm, purchase))
    known = joined(predictions, rfm, run.month, run.settings, staying_weights(run, purchase))
    bounds = quantiles(run.engine.collect(value_counts_for_segments(valued(now, rfm), horizons[-1])), _TENTHS)
    # Windows are dear, and most customers have no two intervals.
    often = run.inputs[PURCHASE_DAYS.name].semi_join(rfm.filter(rfm.frequency >= 2), "customer_id")
    scored = known.left_join(median_days_between(often), "customer_id").drop("customer_id_right")
    scored = scored.inner_join(patterns, pattern_key(patterns))
    return named(scored, run.month, run.settings, bounds).select(*schema.column_names)


def next_orders_of_patterns(run: MonthRun, rfm: ir.Table, purchase: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Say of each distinct pattern when it buys next.

    Parameters
    ----------
    run : MonthRun
        The month, with its engine and settings.
    rfm : ibis table
        ``rfm_summary`` rows to score.
    purchase : sequence of mapping
        The rows of the purchase models that predict.

    Returns
    -------
    pyarrow.Table
        The pattern's key (`pattern_key`), ``expected_next_order`` and ``p_order_{d}d`` of `ORDER_DAYS`.
    """
    parts = by_group(purchase, collect_patterns(run, rfm))
    return pa.concat_tables([_next_orders_of_group(run, each.table, each.purchase) for each in parts])


def _next_orders_of_group(run: MonthRun, patterns: pa.Table, purchase: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Say of the patterns of customers that the same parameters predict when they buy next."""
    clock = operational_time(purchase[0], run.settings)
    end = np.datetime64(run.month.last_day, "D")
    first, last = (patterns[name].to_numpy().astype("datetime64[D]") for name in ("first_purchase", "last_purchase"))
    ways = readings(purchase, clock, patterns["frequency"].to_numpy(), first, last, end)
    ahead = np.arange(1, NEXT_ORDER_DAYS + 1)
    found = next_orders(
        [History(way.mixture, way.patterns, way.probability) for way in ways],
        clock.elapsed(end, end + ahead.astype("timedelta64[D]")),
        ORDER_DAYS,
    )
    columns: dict[str, Any] = {
        name: patterns[name] for name in (*PATTERN_KEY, MODEL_GROUP) if name in patterns.column_names
    }
    day = (end + found.median_day.astype("timedelta64[D]")).astype("datetime64[D]")
    columns["expected_next_order"] = pa.array(day, pa.date32(), mask=found.median_day < 0)
    for i, days in enumerate(ORDER_DAYS):
        columns[f"p_order_{days}d"] = found.within[:, i]
    return pa.table(columns)


def joined(
    predictions: ir.Table, rfm: ir.Table, month: Month, settings: Settings, staying: Mapping[Month, float]
) -> ir.Table:
    """Return the month's predictions with what is known of the customers' past.

    Parameters
    ----------
    predictions : ibis table
        ``cltv_predictions`` of `LAST_MONTHS`.
    rfm : ibis table
        ``rfm_summary`` of the month.
    month : Month
        The month.
    settings : Settings
        For horizons and the bounds of churn states.
    staying : mapping of Month to float
        That of `with_churn_state`.
    """
    before = month_rows(predictions, month.shift(-1).first_day)
    before = before.select(
        "customer_id",
        previous_rfm_segment="rfm_segment",
        previous_value=f"cltv_{settings.horizons_months[-1]}m",
    )
    now = with_churn_state(predictions, month, settings.scores, staying)
    of_model = [f"{name}_{h}m" for h in settings.horizons_months for name in ("expected_purchases", "cltv")]
    now = now.select(
        "customer_id", "frequency", "p_alive", "gross_margin", "value_segment", "rfm_segment", "churn_state", *of_model
    )
    summary = rfm.select(
        "customer_id",
        "first_purchase",
        "last_purchase",
        "order_count",
        historic_value=(rfm.total_spend - rfm.total_refunds).cast(MONEY),
        gave_back=gave_all_back(rfm),
        **({MODEL_GROUP: rfm[MODEL_GROUP]} if MODEL_GROUP in rfm.columns else {}),
    )
    both = now.inner_join(summary, "customer_id")
    return both.left_join(before, "customer_id").drop("customer_id_right")


def valued(now: ir.Table, rfm: ir.Table) -> ir.Table:
    """Return a month's predictions with ``gave_back``, see `gave_all_back`."""
    back = rfm.filter(gave_all_back(rfm)).select("customer_id", gave_back=True)
    both = now.left_join(back, "customer_id")
    return both.mutate(gave_back=both.gave_back.fill_null(False)).drop("customer_id_right")


def named(known: ir.Table, month: Month, settings: Settings, bounds: Sequence[Any]) -> ir.Table:
    """Return the columns of ``customer_scores``.

    Parameters
    ----------
    known : ibis table
        What `joined` returned, with the next order and the median interval.
    month : Month
        The month.
    settings : Settings
        For horizons and actions.
    bounds : sequence of int
        Rising bounds of the value's tenths, in binned minor units.
    """
    horizons = settings.horizons_months
    known = with_value_bin(known, horizons[-1])
    end: dt.date = month.last_day
    value = known[f"cltv_{horizons[-1]}m"]
    earned = known.historic_value.cast("float64") * known.gross_margin.fill_null(settings.gross_margin)
    columns: dict[str, ir.Value] = {
        "historic_margin": earned,
        "historic_orders": known.order_count,
        "total_value": earned + value,
        "days_since_last_order": ibis.literal(end).delta(known.last_purchase, unit="day").cast("int64"),
        "value_decile": (10 + 1 - tier(known.value_bin, bounds)).cast("int32"),
        "value_change": value - known.previous_value,
        "suggested_action": ibis.cases(
            *((known.rfm_segment == segment, action) for segment, action in settings.scores.actions.items())
        ),
    }
    for h in horizons:
        columns[f"predicted_value_{h}m"] = known[f"cltv_{h}m"]
        columns[f"expected_orders_{h}m"] = known[f"expected_purchases_{h}m"]
    return known.mutate(**columns)
