"""Holdouts of order values inside the history: what was known at earlier month ends, and what orders then brought.

The windows are those of the purchase models that do not overlap. Given how many orders a customer then made, only
their worth is judged, so nothing has to be known about purchases.
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir
import numpy as np

from cltv_assets.models.choosing.order_values import ValueFold
from cltv_assets.months import Month
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.patterns import in_order
from cltv_assets.tables.purchase_days import PURCHASE_DAYS
from cltv_assets.tables.purchase_model.folds import Window, in_a_row, windows
from cltv_assets.tables.quantiles import MONEY_POINT, exact_sum, fixed_point, money_bin
from cltv_assets.tables.rfm_summary import RFM_SUMMARY
from cltv_assets.tables.value_trend import age_in_months, repeat_orders, trend_of

#: Steps in which customers' levels are told apart, a hundredth each.
_LEVELS = 100


def value_folds(run: MonthRun, *, with_trend: bool) -> list[ValueFold]:
    """Return the holdouts of a month, newest first; ``with_trend`` measures at each origin what was known there."""
    rfm, days = run.inputs[RFM_SUMMARY.name], run.inputs[PURCHASE_DAYS.name]
    first = run.engine.measure(rfm, {"first": rfm.first_purchase.min()})["first"]
    if first is None:
        return []
    periods = windows(Month.of(first), run.month, min(run.settings.horizons_months))
    return [_fold(run, days, rfm, period, with_trend=with_trend) for period in in_a_row(periods)]


def _fold(run: MonthRun, days: ir.Table, rfm: ir.Table, period: Window, *, with_trend: bool) -> ValueFold:
    trend = trend_of(run.engine, repeat_orders(days, rfm, period.origin)) if with_trend else None
    monthly = trend.monthly if trend is not None and trend.beyond_chance else 0.0
    groups = in_order(run.engine.collect(fold_patterns(days, period, monthly)), ("frequency", "bin", "level"))
    column = {name: np.asarray(groups[name].to_numpy(), dtype=np.float64) for name in groups.column_names}
    ahead = np.arange(1, len(list(period.origin.until(period.last))))
    return ValueFold(
        origin=str(period.origin),
        frequency=groups["frequency"].to_numpy().astype(np.int64),
        growth=float(np.mean(trend.factor(ahead))) if trend is not None and monthly else 1.0,
        **{name: column[name] for name in _SUMS},
    )


#: Columns of `fold_patterns` beside its key: the fields of a `ValueFold`.
_SUMS = (
    "customers", "monetary_value", "lifted_value", "buyers", "orders", "spend",
    "orders_squares", "spend_squares", "orders_spend",
)  # fmt: skip


def fold_patterns(days: ir.Table, period: Window, monthly: float) -> ir.Table:
    """Count the customers known at an origin by frequency and mean order value, with what their orders then brought.

    Parameters
    ----------
    days : ibis table
        ``purchase_days``.
    period : Window
        The holdout.
    monthly : float
        Trend of the logarithm of order values in a month, which lifts the values known to the origin's level.

    Returns
    -------
    ibis table
        ``frequency, bin, level`` and the arrays of `ValueFold`.
    """
    known_days = days.filter((days.purchase_day <= period.last.last_day) & (days.order_count > 0))
    then = known_days.purchase_day <= period.origin.last_day
    spend = known_days.spend.cast("float64")
    today = spend * (age_in_months(known_days.purchase_day, period.origin).cast("float64") * monthly).exp()
    customers = (
        known_days.mutate(money=spend, today=today, then=then)
        .group_by("customer_id")
        .aggregate(
            days=ibis._.count(where=ibis._.then),
            total=exact_sum(ibis.ifelse(ibis._.then, ibis._.money, 0.0)),
            today=exact_sum(ibis.ifelse(ibis._.then, ibis._.today, 0.0)),
            first=ibis._.money.argmin(ibis._.purchase_day),
            first_today=ibis._.today.argmin(ibis._.purchase_day),
            orders=ibis._.count(where=~ibis._.then).cast("float64"),
            spend=exact_sum(ibis.ifelse(ibis._.then, 0.0, ibis._.money)),
        )
    )
    customers = customers.filter(customers.days > 0)
    frequency = customers.days - 1
    repeats = ibis.ifelse(frequency > 0, frequency, 1).cast("float64")
    value = ibis.greatest(ibis.ifelse(frequency > 0, (customers.total - customers.first) / repeats, 0.0), 0.0)
    lifted = ibis.greatest(ibis.ifelse(frequency > 0, (customers.today - customers.first_today) / repeats, 0.0), 0.0)
    rows = customers.select("orders", "spend", frequency=frequency, value=value, lifted=lifted)
    level = ibis.ifelse(rows.value > 0, rows.lifted / ibis.ifelse(rows.value > 0, rows.value, 1.0), 1.0)
    rows = rows.mutate(bin=money_bin(fixed_point(rows.value, MONEY_POINT)), level=fixed_point(level, _LEVELS))
    number = rows.count().cast("float64")
    return (
        rows.group_by("frequency", "bin", "level")
        .aggregate(
            customers=number,
            value_sum=exact_sum(rows.value),
            lifted_sum=exact_sum(rows["lifted"]),
            buyers=(rows.orders > 0).cast("int64").sum().cast("float64"),
            orders_squares=exact_sum(rows.orders * rows.orders),
            spend_squares=exact_sum(rows.spend * rows.spend, 2),
            orders_spend=exact_sum(rows.orders * rows.spend),
            orders=exact_sum(rows.orders),
            spend=exact_sum(rows.spend),
        )
        .mutate(
            monetary_value=ibis._.value_sum / ibis._.customers,
            lifted_value=ibis._.lifted_sum / ibis._.customers,
        )
        .select("frequency", "bin", "level", *_SUMS)
    )
