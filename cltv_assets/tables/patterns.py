"""Customers to sufficient statistics: what the purchase likelihood depends on, counted.

It sees a customer only through (frequency, recency, T). Grouping in the engine and
fitting on the groups gives the same estimate, and its cost stops growing with the
number of customers.
"""

from __future__ import annotations

from collections.abc import Sequence

import ibis.expr.types as ir
import pyarrow as pa

from cltv_assets.tables.month_run import MonthRun

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


def in_order(table: pa.Table, keys: Sequence[str]) -> pa.Table:
    """Sort rows: sums of floats depend on their order, and a fixed one makes a re-run equal."""
    return table.sort_by([(key, "ascending") for key in keys])


def collect_patterns(run: MonthRun, rfm: ir.Table) -> pa.Table:
    """Bring the distinct purchase patterns here, in a fixed order."""
    return in_order(run.engine.collect(purchase_patterns(rfm)), PATTERN_KEY)
