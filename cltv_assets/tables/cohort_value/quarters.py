"""Cohorts by quarter, as sums of those by month."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from cltv_assets.tables.cohort_value.columns import REALISED
from cltv_assets.tables.cohort_value.realised import month_number


def by_quarter(rows: ir.Table) -> ir.Table:
    """Add up the realised months of ``cohort_value`` by the quarter of the first purchase and the age in quarters.

    Parameters
    ----------
    rows : ibis table
        ``cohort_value`` of one month.

    Returns
    -------
    ibis table
        ``attribute, attribute_value``; ``cohort``, the first day of the quarter; ``age_quarters``, calendar quarters
        since that one; ``customers`` of the whole quarter; the sums ``orders, purchases, revenue, margin``; and
        ``months``, how many calendar months of the quarter of that age are over. A customer who is active in two
        months of a quarter would count twice, so there are no active customers.
    """
    happened = rows.filter(rows.kind == REALISED)
    cohort, at = month_number(happened.cohort), month_number(happened.cohort) + happened.age_months
    happened = happened.mutate(quarter=(cohort - cohort % 3), at=at, at_quarter=at - at % 3)
    key = ("attribute", "attribute_value", "quarter")
    firsts = happened.filter(happened.age_months == 0)
    sizes = firsts.group_by(*key).aggregate(customers=firsts.customers.sum().cast("int64"))
    sums = happened.group_by(*key, "at_quarter").aggregate(
        months=happened["at"].nunique(),
        **{name: happened[name].sum().cast("int64") for name in ("orders", "purchases")},
        **{name: happened[name].sum() for name in ("revenue", "margin")},
    )
    joined = sums.inner_join(sizes, list(key))
    quarter = joined.quarter
    return joined.select(
        "attribute",
        "attribute_value",
        cohort=ibis.date((quarter // 12).cast("int32"), (quarter % 12 + 1).cast("int32"), 1),
        age_quarters=((joined.at_quarter - quarter) // 3).cast("int64"),
        **{name: joined[name] for name in ("customers", "orders", "purchases", "revenue", "margin", "months")},
    )
