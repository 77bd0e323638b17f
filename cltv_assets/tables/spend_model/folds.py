"""Holdouts of order values inside the history: what was known at earlier month ends, and what orders then brought.

The windows are those of the purchase models that do not overlap. Given how many orders a customer then made, only
their worth is judged, so nothing has to be known about purchases.
"""

from __future__ import annotations

from collections.abc import Sequence

import ibis
import ibis.expr.types as ir
import numpy as np

from cltv_assets.models.choosing.order_values import ValueFold
from cltv_assets.models.value_trend import ValueTrend
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
    periods = in_a_row(windows(Month.of(first), run.month, min(run.settings.horizons_months)))
    trends = [
        trend_of(run.engine, repeat_orders(days, rfm, period.origin)) if with_trend else None for period in periods
    ]
    folds = [
        (period, trend.monthly if trend is not None and trend.beyond_chance else 0.0)
        for period, trend in zip(periods, trends, strict=True)
    ]
    if not folds:
        return []
    customers = run.engine.cache(customers_by_fold(days, folds))
    return [_fold(run, customers, k, *fold, trend) for k, (fold, trend) in enumerate(zip(folds, trends, strict=True))]


def _fold(
    run: MonthRun, customers: ir.Table, number: int, period: Window, monthly: float, trend: ValueTrend | None
) -> ValueFold:
    groups = run.engine.collect(fold_patterns(customers, number, period, monthly))
    groups = in_order(groups, ("frequency", "bin", "level"))
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


def customers_by_fold(days: ir.Table, folds: Sequence[tuple[Window, float]]) -> ir.Table:
    """Summarise each customer's order values at every origin and in every holdout, in one pass over the purchase days.

    Parameters
    ----------
    days : ibis table
        ``purchase_days``.
    folds : sequence of tuples of Window and float
        The holdouts, and the trend of the logarithm of order values in a month that was known at each one's origin.

    Returns
    -------
    ibis table
        ``first_day`` and what it brought, ``first``; up to the end of each month that begins or ends a holdout, the
        purchase days and what they brought, of the names of `_up_to`; ``today_k``, what those up to the origin of
        fold k would bring at its level, where there is a trend.
    """
    ends = sorted({end for period, _ in folds for end in (period.origin, period.last)})
    known = days.filter((days.purchase_day <= ends[-1].last_day) & (days.order_count > 0))
    columns: dict[str, ir.Scalar] = {
        "first_day": known.purchase_day.min(),
        "first": known.spend.argmin(known.purchase_day),
    }
    for end in ends:
        then = known.purchase_day <= end.last_day
        number, spend = _up_to(end)
        columns |= {number: known.count(where=then), spend: known.spend.sum(where=then)}
    for k, (period, monthly) in enumerate(folds):
        if monthly:
            today = _at_level(known.spend, known.purchase_day, period, monthly)
            columns[f"today_{k}"] = exact_sum(
                ibis.ifelse(known.purchase_day <= period.origin.last_day, today, ibis.null("float64"))
            )
    return known.group_by("customer_id").aggregate(**columns).drop("customer_id")


def _up_to(end: Month) -> tuple[str, str]:
    return f"days_{end.key}", f"spend_{end.key}"


def _at_level(spend: ir.NumericValue, day: ir.DateValue, period: Window, monthly: float) -> ir.FloatingValue:
    """Return what an order would bring at the level of the holdout's origin."""
    return spend.cast("float64") * (age_in_months(day, period.origin).cast("float64") * monthly).exp()


def fold_patterns(customers: ir.Table, number: int, period: Window, monthly: float) -> ir.Table:
    """Count the customers known at an origin by frequency and mean order value, with what their orders then brought.

    Parameters
    ----------
    customers : ibis table
        That of `customers_by_fold`.
    number : int
        The holdout's place among its folds.
    period : Window
        The holdout.
    monthly : float
        Trend of the logarithm of order values in a month, which lifts the values known to the origin's level.

    Returns
    -------
    ibis table
        ``frequency, bin, level`` and the arrays of `ValueFold`.
    """
    (known, total), (known_last, total_last) = _up_to(period.origin), _up_to(period.last)
    then = customers.filter(customers[known] > 0)
    then = then.select(
        frequency=then[known] - 1,
        total=then[total].cast("float64"),
        first=then["first"].cast("float64"),
        orders=(then[known_last] - then[known]).cast("float64"),
        spend=(then[total_last] - then[total]).cast("float64"),
        **(
            {
                "today": then[f"today_{number}"],
                "first_today": _at_level(then["first"], then.first_day, period, monthly),
            }
            if monthly
            else {}
        ),
    )

    def repeats_mean(total: ir.FloatingValue, first: ir.FloatingValue) -> ir.FloatingValue:
        repeats = ibis.ifelse(then.frequency > 0, then.frequency, 1).cast("float64")
        return ibis.greatest(ibis.ifelse(then.frequency > 0, (total - first) / repeats, 0.0), 0.0)

    value = repeats_mean(then.total, then["first"])
    lifted = repeats_mean(then.today, then.first_today) if monthly else value
    rows = then.select("orders", "spend", "frequency", value=value, lifted=lifted)
    level = ibis.ifelse(rows.value > 0, rows.lifted / ibis.ifelse(rows.value > 0, rows.value, 1.0), 1.0)
    rows = rows.mutate(bin=money_bin(fixed_point(rows.value, MONEY_POINT)), level=fixed_point(level, _LEVELS))
    bought = rows.orders > 0
    number = rows.count().cast("float64")
    return (
        rows.group_by("frequency", "bin", "level")
        .aggregate(
            customers=number,
            value_sum=exact_sum(rows.value),
            lifted_sum=exact_sum(rows["lifted"]),
            buyers=rows.count(where=bought).cast("float64"),
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
