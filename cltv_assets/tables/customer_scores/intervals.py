"""The usual time between a customer's orders."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir


def median_days_between(days: ir.Table) -> ir.Table:
    """Return the median of the days from one purchase day to the next, of customers with two such intervals or more.

    Ranks are used, because engines have different medians: Ibis writes an approximate one for Spark.

    Parameters
    ----------
    days : ibis table
        ``purchase_days``; days without an order are left out.

    Returns
    -------
    ibis table
        ``customer_id`` and ``median_days_between_orders``, in days.
    """
    bought = days.filter(days.order_count > 0).select("customer_id", "purchase_day")
    by_day = ibis.window(group_by=bought.customer_id, order_by=bought.purchase_day)
    dated = bought.mutate(before=bought.purchase_day.lag().over(by_day))
    gaps = dated.filter(dated.before.notnull())
    gaps = gaps.select("customer_id", gap=gaps.purchase_day.delta(gaps.before, unit="day").cast("int64"))
    ranked = gaps.mutate(
        place=ibis.row_number().over(ibis.window(group_by=gaps.customer_id, order_by=gaps.gap)).cast("int64"),
        gaps=gaps.count().over(ibis.window(group_by=gaps.customer_id)).cast("int64"),
    )
    # Of an even number the two in the middle count: twice the place is then at most one from the last place.
    middle = ranked.filter((ranked.gaps >= 2) & ((2 * ranked.place - (ranked.gaps - 1)).abs() <= 1))
    return middle.group_by("customer_id").aggregate(median_days_between_orders=middle.gap.cast("float64").mean())
