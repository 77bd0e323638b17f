"""Reduces customers to sufficient statistics of the purchase likelihood.

The likelihood sees a customer only through (frequency, recency, T). Grouping in the
engine and fitting on the groups gives the same estimate, and the cost of the fit does
not grow with the number of customers.
"""

from __future__ import annotations

from collections.abc import Sequence

import ibis.expr.types as ir
import pyarrow as pa

from cltv_assets.tables.month_run import MonthRun

#: A pattern's key. For a fixed observation end the two dates determine recency and T,
#: and dates can be grouped by where floats cannot.
PATTERN_KEY = ("frequency", "first_purchase", "last_purchase")

#: The group whose parameters predict a customer; see `purchase_model.grouping`. Tables without it have one group.
MODEL_GROUP = "model_group"


def pattern_key(table: ir.Table) -> list[str]:
    """Return the key of a pattern: with the group, where the table has one."""
    return [*PATTERN_KEY, *([MODEL_GROUP] if MODEL_GROUP in table.columns else [])]


def purchase_patterns(rfm: ir.Table) -> ir.Table:
    """Count customers by pattern.

    Returns
    -------
    ibis table
        ``frequency, first_purchase, last_purchase, recency, T, customers``, and the group if ``rfm`` has
        one; one row for each distinct pattern.
    """
    return rfm.group_by(*pattern_key(rfm)).aggregate(
        # Recency and T follow from the dates, so they are equal within the group.
        recency=rfm.recency.max(),
        T=rfm["T"].max(),
        customers=rfm.count(),
    )


def in_order(table: pa.Table, keys: Sequence[str]) -> pa.Table:
    """Sort rows, because sums of floats depend on their order and a re-run must give equal results."""
    # Sorting and taking rows of many chunks takes several times as long.
    return table.combine_chunks().sort_by([(key, "ascending") for key in keys])


def collect_patterns(run: MonthRun, rfm: ir.Table) -> pa.Table:
    """Collect the distinct purchase patterns in a fixed order."""
    return in_order(run.engine.collect(purchase_patterns(rfm)), pattern_key(rfm))
