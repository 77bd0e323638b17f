"""Customers to sufficient statistics: what the likelihoods depend on, counted.

The purchase likelihood sees a customer only through (frequency, recency, T), the
spend likelihood through (frequency, monetary value). Grouping in the engine and
fitting on the groups gives the same estimate, and its cost stops growing with the
number of customers.
"""

from __future__ import annotations

import ibis.expr.types as ir

from cltv_assets.transforms.quantiles import money_bin

#: Stored money has four decimals; bins are formed on these integers.
_MINOR = 10_000
#: A pattern's key. For a fixed observation end the two dates are recency and T,
#: without the floats that must not be grouped by.
PATTERN_KEY = ("frequency", "first_purchase", "last_purchase")


def purchase_patterns(rfm: ir.Table) -> ir.Table:
    """Count customers by pattern.

    Returns
    -------
    ibis table
        ``frequency, first_purchase, last_purchase, recency, T, customers``; one
        row a distinct pattern.
    """
    return rfm.group_by(*PATTERN_KEY).aggregate(
        # Equal within the group: recency and T follow from the dates.
        recency=rfm.recency.max(),
        T=rfm["T"].max(),
        customers=rfm.count(),
    )


def spend_patterns(rfm: ir.Table) -> ir.Table:
    """Count repeat customers by frequency and finely binned monetary value.

    A bin holds values that agree in four significant digits and keeps their mean;
    customers whose monetary value is zero are left out (see ``excluded_spenders``).

    Returns
    -------
    ibis table
        ``frequency, monetary_value`` (the bin's mean), ``customers``.
    """
    repeat = rfm.filter((rfm.frequency > 0) & (rfm.monetary_value * _MINOR >= 1))
    rows = repeat.select(frequency=repeat.frequency, minor=(repeat.monetary_value * _MINOR + 0.5).floor().cast("int64"))
    bins = rows.group_by("frequency", bin=money_bin(rows.minor)).aggregate(
        total=rows.minor.sum().cast("int64"), customers=rows.count()
    )
    # The sum of integers is exact whatever the order; a mean of floats is not.
    return bins.select(
        frequency=bins.frequency,
        monetary_value=bins.total.cast("float64") / bins.customers.cast("float64") / float(_MINOR),
        customers=bins.customers,
    )


def excluded_spenders(rfm: ir.Table) -> ir.IntegerScalar:
    """Count repeat customers whose monetary value is nil: refunded or free."""
    return ((rfm.frequency > 0) & (rfm.monetary_value * _MINOR < 1)).cast("int64").sum().fill_null(0)
