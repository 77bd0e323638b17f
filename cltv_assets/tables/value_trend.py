"""Order values through time, in the engine: the sums that tell a trend, and customers' means at today's level."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ibis.expr.types as ir
import numpy as np
import pyarrow.compute as pc

from cltv_assets.engines import Engine
from cltv_assets.models.arrays import FloatArray
from cltv_assets.models.choosing.order_values import GOES_ON, LEVEL
from cltv_assets.models.value_trend import TrendSums, ValueTrend, measure_trend
from cltv_assets.months import Month
from cltv_assets.tables.quantiles import exact_sum


def repeat_orders(days: ir.Table, firsts: ir.Table, month: Month) -> ir.Table:
    """Return the repeat purchase days up to ``month`` that brought money: ``customer_id, age`` (months), ``spend``.

    First orders are left out: a welcome discount is no trend.

    Parameters
    ----------
    days : ibis table
        ``purchase_days``.
    firsts : ibis table
        ``customer_id`` and ``first_purchase`` of each customer.
    month : Month
        The last one observed.
    """
    known = days.filter((days.purchase_day <= month.last_day) & (days.order_count > 0) & (days.spend > 0))
    joined = known.inner_join(firsts.select("customer_id", "first_purchase"), "customer_id")
    later = joined.filter(joined.purchase_day > joined.first_purchase)
    return later.select("customer_id", age=age_in_months(later.purchase_day, month), spend=later.spend.cast("float64"))


def age_in_months(day: ir.DateValue, month: Month) -> ir.IntegerValue:
    """Return how many calendar months a day lies before ``month``."""
    return month.first_day.year * 12 + month.first_day.month - (day.year() * 12 + day.month()).cast("int64")


def trend_of(engine: Engine, orders: ir.Table) -> ValueTrend | None:
    """Measure the trend of `repeat_orders`; None where there are too few."""
    # Written down, because it is read twice, and finding a customer's first purchase is the dearest part.
    rows = engine.cache(orders.mutate(t=-orders.age.cast("float64"), y=orders.spend.ln()))
    means = rows.group_by("customer_id").aggregate(
        n=rows.count(),
        t_sum=rows.t.sum(),
        tt_sum=(rows.t * rows.t).sum(),
        y_sum=exact_sum(rows.y, 9),
        ty_sum=exact_sum(rows.t * rows.y, 9),
    )
    means = means.mutate(
        tt=means.tt_sum - means.t_sum * means.t_sum / means.n, ty=means.ty_sum - means.t_sum * means.y_sum / means.n
    )
    means = engine.cache(means.filter(means.tt > 1e-9).select("customer_id", "n", "t_sum", "y_sum", "tt", "ty"))
    pairs = {"t": means.tt, "y": means.ty, "tt": means.tt * means.tt, "ty": means.tt * means.ty}
    pairs["yy"] = means.ty * means.ty
    by_customer = engine.measure(
        means, {"customers": means.count(), **{name: exact_sum(each, 9) for name, each in pairs.items()}}
    )
    if not by_customer["customers"]:
        return None
    joined = rows.left_join(means.drop("tt", "ty"), "customer_id")
    # Customers without a mean, who ordered in one month only, tell of no trend, but of how old the spend is.
    t, y = joined.t - joined.t_sum / joined.n, joined.y - joined.y_sum / joined.n
    each = joined.select("age", "spend", t=t, y=y)
    by_age = each.group_by("age").aggregate(
        spend=exact_sum(each.spend),
        telling=each.t.count(),
        **{
            name: exact_sum(product, 9)
            for name, product in {
                "t": each.t * each.t,
                "y": each.t * each.y,
                "tt": each.t * each.t * each.t * each.t,
                "ty": each.t * each.t * each.t * each.y,
                "yy": each.t * each.t * each.y * each.y,
            }.items()
        },
    )
    ages = engine.collect(by_age).sort_by("age")
    spend, age = ages["spend"].to_numpy(), ages["age"].to_numpy()
    months = ages.filter(pc.greater(ages["telling"], 0))
    return measure_trend(
        TrendSums(
            customers=int(by_customer["customers"]),
            by_customer=np.array([float(by_customer[name]) for name in pairs]),
            by_month=np.column_stack([months[name].to_numpy() for name in pairs]),
            age=float((age * spend).sum() / spend.sum()),
            span=int(age.max()),
        )
    )


def lifted(orders: ir.Table, monthly: float) -> ir.Table:
    """Return by what each customer's mean order value changes at today's level: ``customer_id, level``.

    Parameters
    ----------
    orders : ibis table
        Of `repeat_orders`.
    monthly : float
        Change of the logarithm of order values in a month.
    """
    today = orders.spend * (orders.age.cast("float64") * monthly).exp()
    return orders.group_by("customer_id").aggregate(level=exact_sum(today) / exact_sum(orders.spend))


def with_values_of_today(rfm: ir.Table, orders: ir.Table, monthly: float) -> ir.Table:
    """Return ``rfm_summary`` with monetary values at the level of the observation's end, by the `lifted` orders."""
    joined = rfm.left_join(lifted(orders, monthly), "customer_id").drop("customer_id_right")
    return joined.mutate(monetary_value=joined.monetary_value * joined.level.fill_null(1.0)).drop("level")


def monthly_trend(spend: Mapping[str, Any]) -> float | None:
    """Return the trend that the spend model of a month goes by, as the change of a logarithm in a month; None if none.

    Parameters
    ----------
    spend : mapping
        A row of ``spend_model``; those of earlier versions know no trend.
    """
    if spend.get("value_trend_use") not in {LEVEL, GOES_ON}:
        return None
    return float(np.log1p(spend["value_trend"])) / 12.0


def growth_ahead(spend: Mapping[str, Any], months: int) -> FloatArray:
    """Return by what order values lie above today's in each of the ``months`` ahead; ones where no trend goes on."""
    monthly = monthly_trend(spend)
    if monthly is None or spend["value_trend_use"] != GOES_ON:
        return np.ones(months)
    # No longer than it was seen for.
    ahead = np.minimum(np.arange(1, months + 1), spend["value_trend_months"])
    return np.asarray(np.exp(monthly * ahead), dtype=np.float64)
