"""What cohorts have brought by age, added up in the engine."""

from __future__ import annotations

import datetime as dt

import ibis
import ibis.expr.types as ir

from cltv_assets.months import Month
from cltv_assets.tables.quantiles import decimal_sum
from cltv_assets.tables.segmentation import ALL

#: What a row of `realised_sums` is of.
COHORT_KEY = ("attribute", "attribute_value", "cohort")


def customer_months(days: ir.Table, customers: ir.Table, month: Month, gross_margin: float) -> ir.Table:
    """Merge purchase days into customers' calendar months, by cohort and age.

    Parameters
    ----------
    days : ibis table
        ``purchase_days``, of any months.
    customers : ibis table
        ``rfm_summary`` of ``month``: everyone who has bought.
    month : Month
        Days after it do not count.
    gross_margin : float
        Share of spend that is margin, for customers without one of their own.

    Returns
    -------
    ibis table
        ``customer_id``; ``cohort``, the `month_number` of the first purchase, null for customers who have bought
        nothing; ``age`` in months, at least 0; ``orders``; ``purchases``, days with an order; ``revenue``, spend less
        refunds, a decimal; ``share`` of it that is margin.
    """
    known = days.filter(days.purchase_day <= month.last_day)
    known = known.mutate(at=month_number(known.purchase_day))
    each = known.group_by("customer_id", "at").aggregate(
        purchases=known.count(where=known.order_count > 0),
        orders=known.order_count.sum().cast("int64"),
        revenue=(known.spend.sum() - known.refunds.sum()).cast("decimal(38, 4)"),
    )
    firsts = customers.select(
        "customer_id", cohort=month_number(customers.first_purchase), own_share=customers.gross_margin
    )
    joined = each.left_join(firsts, "customer_id")
    return joined.select(
        "customer_id",
        "cohort",
        "purchases",
        "orders",
        "revenue",
        # What went back before the first purchase belongs to somebody's first month, or sums would lack it.
        age=ibis.greatest((joined["at"] - joined.cohort).fill_null(0), 0),
        share=joined.own_share.fill_null(gross_margin),
    )


def by_attribute(rows: ir.Table, attributes: ir.Table | None) -> ir.Table:
    """Return rows of customers once for all customers, and once for each of the customer's attributes.

    Parameters
    ----------
    rows : ibis table
        With ``customer_id``.
    attributes : ibis table or None
        ``customer_id, attribute, value``: one row for each customer and attribute.

    Returns
    -------
    ibis table
        The columns of ``rows``, ``attribute`` and ``attribute_value``.
    """
    everyone = rows.mutate(attribute=ibis.literal(ALL), attribute_value=ibis.literal(ALL))
    if attributes is None:
        return everyone
    named = attributes.select("customer_id", "attribute", attribute_value=attributes["value"])
    return everyone.union(rows.inner_join(named, "customer_id").select(*everyone.columns))


def realised_sums(each: ir.Table, attributes: ir.Table | None = None) -> ir.Table:
    """Add up customers' months by cohort and age.

    Parameters
    ----------
    each : ibis table
        Of `customer_months`. With attributes it is read twice, so cache it.
    attributes : ibis table or None
        As in `by_attribute`.

    Returns
    -------
    ibis table
        `COHORT_KEY`, ``age``, ``active`` customers, ``orders``, ``purchases``, and ``revenue`` and ``margin``, exact
        decimals, null where no amount is known. Months in which nobody of a cohort did anything have no row.
    """
    rows = by_attribute(each, attributes)
    return rows.group_by(*COHORT_KEY, "age").aggregate(
        active=rows.count(where=rows.purchases > 0),
        orders=rows.orders.sum().cast("int64"),
        purchases=rows.purchases.sum().cast("int64"),
        revenue=rows.revenue.sum().cast("decimal(38, 4)"),
        margin=decimal_sum(rows.revenue.cast("float64") * rows.share),
    )


def month_number(day: ir.DateValue) -> ir.IntegerValue:
    """Return the calendar months from year 0 to a day's month."""
    return (day.year() * 12 + day.month() - 1).cast("int64")


def number_of(month: Month) -> int:
    """Return a month's `month_number`."""
    return month.first_day.year * 12 + month.first_day.month - 1


def first_day(number: int) -> dt.date:
    """Return the first day of the month of a `month_number`."""
    return dt.date(number // 12, number % 12 + 1, 1)
