"""Sums over new customers, in the engine: their first orders, what they bought since, and what cohorts brought."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from cltv_assets.columns import MONTH
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.tables.new_customer_value.columns import ALL
from cltv_assets.tables.quantiles import exact_sum

#: What a row of the table is about.
GROUP = ("attribute", "attribute_value")


def of_month(table: ir.Table, month: Month) -> ir.Table:
    """Return the rows of one month; all of a table without the month's column."""
    return table.filter(table[MONTH] == month.first_day) if MONTH in table.columns else table


def by_attribute(customers: ir.Table, attributes: ir.Table | None) -> ir.Table:
    """Repeat customers for each value of an attribute that they have, beside once for all.

    Parameters
    ----------
    customers : ibis table
        One row for each customer, with ``customer_id``.
    attributes : ibis table or None
        ``customer_id, attribute, value`` of one month, long form; rows without a value are left out.

    Returns
    -------
    ibis table
        The columns of ``customers``, and ``attribute`` and ``attribute_value``.
    """
    every = customers.mutate(attribute=ibis.literal(ALL), attribute_value=ibis.literal(ALL))
    if attributes is None:
        return every
    known = attributes.filter(attributes.value.notnull())
    known = known.select("customer_id", "attribute", attribute_value=known.value)
    return ibis.union(every, customers.inner_join(known, "customer_id").select(*every.columns))


def acquired(rfm: ir.Table, first: Month, last: Month, settings: Settings) -> ir.Table:
    """Return the customers acquired in the months ``first`` to ``last``, with what they spent.

    Refunds are rarely booked against an order. Where they are netted, each order counts for the share of the customer's
    spend that was kept, as a ``monetary_value`` does. Refunds of the newest orders may yet come.

    Parameters
    ----------
    rfm : ibis table
        ``rfm_summary`` of one month.

    Returns
    -------
    ibis table
        ``customer_id, first_purchase, frequency``; ``first`` and ``repeat``, spend of the first and of the later
        purchase days; ``spend``, of both, and ``margin``, how much of it is margin by ``gross_margin``. Spend is null
        where the source has no amounts.
    """
    new = rfm.filter(rfm.first_purchase.between(ibis.literal(first.first_day), ibis.literal(last.last_day)))
    total, kept_share = new.total_spend.cast("float64"), ibis.literal(1.0)
    if settings.refunds == "net":
        kept = total - new.total_refunds.cast("float64")
        kept_share = ibis.cases((total <= 0, 1.0), (kept <= 0, 0.0), else_=kept / ibis.ifelse(total > 0, total, 1.0))
    spend = total * kept_share
    return new.select(
        "customer_id",
        "first_purchase",
        "frequency",
        first=(new.total_spend - new.repeat_spend).cast("float64") * kept_share,
        repeat=new.repeat_spend.cast("float64") * kept_share,
        spend=spend,
        margin=spend * new.gross_margin.fill_null(settings.gross_margin),
    )


def cohort_sums(customers: ir.Table) -> ir.Table:
    """Add up new customers by the day of their first purchase, for each row of `by_attribute`.

    Returns
    -------
    ibis table
        `GROUP`, ``first_purchase``; ``customers``; the sums ``purchases`` and ``purchase_squares`` of their repeat
        purchases x, ``repeat``, ``repeat_squares`` and ``repeat_cross`` of their repeat spend r, r^2 and r x, and
        ``spend`` and ``margin``.
    """
    x = customers.frequency.cast("float64")
    return customers.group_by(*GROUP, "first_purchase").aggregate(
        customers=customers.count(),
        purchases=customers.frequency.sum().cast("float64"),
        purchase_squares=exact_sum(x * x, 0),
        repeat=exact_sum(customers.repeat),
        # Squares of money have more digits before the point, and need fewer behind it.
        repeat_squares=exact_sum(customers.repeat * customers.repeat, 2),
        repeat_cross=exact_sum(customers.repeat * x, 2),
        spend=exact_sum(customers.spend),
        margin=exact_sum(customers.margin),
    )


def first_order_sums(customers: ir.Table) -> ir.Table:
    """Add up first orders, the largest one of a group counted as the second largest.

    That is the once-winsorised mean: of skewed distributions it has a smaller mean square error than the plain mean
    (Rivest 1994, Statistical properties of Winsorized means for skewed distributions, Biometrika 81, 373-383). A
    single order of any size does not move it, and without one it differs by the largest order's excess over n.

    Returns
    -------
    ibis table
        `GROUP`, ``customers``, ``last_acquired``; ``total`` and ``squares``, sums of first orders and of their squares.
    """
    tops = customers.group_by(*GROUP).aggregate(top=customers["first"].max())
    rows = customers.inner_join(tops, list(GROUP))
    sums = rows.group_by(*GROUP).aggregate(
        customers=rows.count(),
        last_acquired=rows.first_purchase.max(),
        total=exact_sum(rows["first"]),
        squares=exact_sum(rows["first"] * rows["first"], 2),
        top=rows.top.max(),
        second=rows["first"].max(where=rows["first"] < rows.top),
        ties=rows.count(where=rows["first"] == rows.top),
    )
    # A top that several share, and an only order, stay as they are.
    instead = ibis.ifelse((sums.ties > 1) | sums.second.isnull(), sums.top, sums.second)
    return sums.select(
        *GROUP,
        "customers",
        "last_acquired",
        total=sums.total - sums.top + instead,
        squares=sums.squares - sums.top * sums.top + instead * instead,
    )


@dataclass(frozen=True)
class Cohort:
    """Customers whose first ``months`` are looked at.

    Parameters
    ----------
    origin : Month
        The month as of which a prediction for such a time was made; its attributes count.
    months : int
        Length of the time.
    acquired : Month
        The month of their first purchase: the origin, or one before.
    """

    origin: Month
    months: int
    acquired: Month

    @property
    def days(self) -> int:
        """Days of the time: those of the months after that of the first purchase, so all of it is over with them."""
        return self.acquired.days_to_end_of(self.months)


def outcomes(
    cohorts: Sequence[Cohort], rfm: ir.Table, days: ir.Table, attributes: ir.Table | None, settings: Settings
) -> ir.Table:
    """Add up what cohorts bought from each customer's first purchase on.

    Parameters
    ----------
    cohorts : sequence of Cohort
        One or more.
    rfm : ibis table
        ``rfm_summary`` of a month at whose end all of that has happened, for the days of first purchases.
    days : ibis table
        ``purchase_days`` of all these months.
    attributes : ibis table or None
        Long form; with the month's column, those of each cohort's origin count.
    settings : Settings
        How refunds count.

    Returns
    -------
    ibis table
        ``cohort`` (the place in ``cohorts``), `GROUP`; ``customers``; ``purchases``, days with a purchase after the
        first one; ``spend``, of all of them with the first one, less refunds if they are netted.
    """
    parts = []
    for i, cohort in enumerate(cohorts):
        bounds = ibis.literal(cohort.acquired.first_day), ibis.literal(cohort.acquired.last_day)
        whose = rfm.filter(rfm.first_purchase.between(*bounds)).select("customer_id", "first_purchase")
        known = None if attributes is None else of_month(attributes, cohort.origin)
        whose = by_attribute(whose, known).mutate(
            cohort=ibis.literal(i, "int32"), days=ibis.literal(cohort.days, "int32")
        )
        parts.append(whose)
    every = ibis.union(*parts) if len(parts) > 1 else parts[0]
    joined = days.select("customer_id", "purchase_day", "order_count", "spend", "refunds").inner_join(
        every, "customer_id"
    )
    age = joined.purchase_day.delta(joined.first_purchase, unit="day")
    rows = joined.mutate(
        age=age, net=joined.spend - joined.refunds if settings.refunds == "net" else joined.spend
    ).filter(age.between(0, joined["days"]))
    bought = rows.order_count > 0
    return rows.group_by("cohort", *GROUP).aggregate(
        customers=rows.count(where=bought & (rows.age == 0)),
        purchases=rows.count(where=bought & (rows.age > 0)).cast("float64"),
        spend=rows.net.sum().cast("float64"),
    )
