"""Days between purchases, counted: all that the models need to know of single intervals.

Numbers of days are counted in the engine, and logs are taken of the counted days. So the sums of logs are equal on
both engines and in every run.
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

from cltv_assets.models.choosing.regularity import DayCounts, Intervals
from cltv_assets.months import Month
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.patterns import in_order

_EVERY, _LAST_TWO, _SUM = range(3)


def purchase_intervals(run: MonthRun, days: ir.Table) -> Intervals:
    """Count the intervals between purchase days up to the month's end."""
    rows = run.engine.cache(intervals(days, run.month))
    counted = in_order(run.engine.collect(interval_counts(rows)), ("kind", "days"))
    return Intervals(*(_of_kind(counted, kind) for kind in (_EVERY, _LAST_TWO, _SUM)))


def intervals(days: ir.Table, month: Month) -> ir.Table:
    """Return a row for each purchase day but a customer's first.

    Returns
    -------
    ibis table
        ``gap`` (days since the purchase before), ``before`` (the gap before that, null at the second purchase) and
        ``last`` (whether no purchase follows).
    """
    history = days.filter((days.purchase_day <= month.last_day) & (days.order_count > 0))
    by_day = ibis.window(group_by=history.customer_id, order_by=history.purchase_day)
    day = history.purchase_day
    rows = history.select(
        day=day,
        one_ago=day.lag(1).over(by_day),
        two_ago=day.lag(2).over(by_day),
        last=day.lead(1).over(by_day).isnull(),
    )
    again = rows.filter(rows.one_ago.notnull())
    return again.select(
        "last",
        gap=again.day.delta(again.one_ago, unit="day"),
        before=again.one_ago.delta(again.two_ago, unit="day"),
    )


def interval_counts(rows: ir.Table) -> ir.Table:
    """Count `intervals` by days, each with its kind: ``kind, days, number``."""
    pairs = rows.filter(rows.last & rows.before.notnull())
    parts = [
        (rows, rows.gap, _EVERY),
        (pairs, pairs.gap, _LAST_TWO),
        (pairs, pairs.before, _LAST_TWO),
        (pairs, pairs.gap + pairs.before, _SUM),
    ]
    every = ibis.union(*(table.select(kind=ibis.literal(kind, "int64"), days=days) for table, days, kind in parts))
    return every.group_by("kind", "days").aggregate(number=every.count())


def _of_kind(counted: pa.Table, kind: int) -> DayCounts:
    kinds, days, numbers = (counted[name].to_numpy().astype(np.int64) for name in ("kind", "days", "number"))
    return DayCounts(days[kinds == kind], numbers[kinds == kind])
