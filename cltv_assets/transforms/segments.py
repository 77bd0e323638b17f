"""Segments of customers: value tiers, RFM segments, what they sum to and who moved between them.

Sums that go into a table are taken of integers, so that their order does not matter
and every engine, and every run, gives the same ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import ibis
import ibis.expr.types as ir

from cltv_assets.schemas import MONTH

#: Value tiers from the top; the last one takes the rest.
VALUE_SEGMENTS = ("top", "high", "middle", "low")

#: RFM segments by the quintile scores, from the best to the worst. Each box is a range of
#: r_score (5 for the most recent), f_score and m_score; the boxes hold each of the 125
#: combinations once. Recency leads, because it tells most about what comes next; then
#: frequency, which tells repeat customers from those who tried once; then spend.
RFM_BOXES: dict[str, tuple[tuple[tuple[int, int], tuple[int, int], tuple[int, int]], ...]] = {
    "champions": (((4, 5), (4, 5), (4, 5)),),
    "loyal": (((4, 5), (4, 5), (1, 3)), ((3, 3), (4, 5), (1, 5))),
    "potential loyalists": (((4, 5), (2, 3), (1, 5)),),
    "new customers": (((5, 5), (1, 1), (1, 5)),),
    "promising": (((4, 4), (1, 1), (1, 5)),),
    "need attention": (((3, 3), (2, 3), (1, 5)), ((3, 3), (1, 1), (4, 5))),
    "about to sleep": (((3, 3), (1, 1), (1, 3)),),
    "cannot lose them": (((1, 1), (4, 5), (4, 5)),),
    "at risk": (((2, 2), (3, 5), (1, 5)), ((1, 1), (3, 3), (1, 5)), ((1, 1), (4, 5), (1, 3))),
    "hibernating": (((2, 2), (1, 2), (1, 5)), ((1, 1), (1, 2), (3, 5))),
    "lost": (((1, 1), (1, 2), (1, 2)),),
}
RFM_SEGMENTS = tuple(RFM_BOXES)

#: Schemes of ``segment_summary`` and ``segment_movement``: the column and the segments of each, in order.
SCHEMES = {"value": ("value_segment", VALUE_SEGMENTS), "rfm": ("rfm_segment", RFM_SEGMENTS)}
#: The scheme, and the one segment in it, that the whole base is.
ALL = "all"
#: Where ``segment_movement`` takes customers from, and to, who have a prediction in one month only.
NEW, GONE = "new", "gone"

#: Fixed points of sums: money has four decimals everywhere, purchases are given six.
MONEY_POINT, PURCHASES_POINT = 10_000, 1_000_000


def rfm_segment(r: ir.IntegerValue, f: ir.IntegerValue, m: ir.IntegerValue) -> ir.StringValue:
    """Name the segment of the scores; null outside 1 to 5, which a check of the scores refuses."""
    branches = []
    for name, boxes in RFM_BOXES.items():
        inside = [
            r.between(*recency) & f.between(*frequency) & m.between(*monetary) for recency, frequency, monetary in boxes
        ]
        branches.append((reduce(lambda left, right: left | right, inside), ibis.literal(name)))
    return ibis.cases(*branches)


def fixed_point(value: ir.Value, point: int) -> ir.IntegerValue:
    """Round a non-negative number to multiples of 1 / ``point``, as an integer of them."""
    return (value * point + 0.5).floor().cast("int64")


def month_rows(predictions: ir.Table, first_day: object) -> ir.Table:
    """Return one month of a window of predictions."""
    return predictions.filter(predictions[MONTH] == ibis.literal(first_day))


#: What the customers of a row of `segment_groups` have in common.
GROUP_KEY = ("frequency", "age_days", "recency_days", "value_segment", "rfm_segment")


def segment_groups(predictions: ir.Table, days_per_unit: int, horizons: Sequence[int]) -> ir.Table:
    """Sum predictions by pattern and segments: all that totals and their intervals need.

    Parameters
    ----------
    predictions : ibis table
        ``cltv_predictions`` of one month.
    days_per_unit : int
        Days in the unit of ``recency`` and ``T``.
    horizons : sequence of int
        Months.

    Returns
    -------
    ibis table
        `GROUP_KEY`; ``customers``; ``value_sum`` and ``value_squares``, sums of the monetary
        value and of its square; ``purchases_{h}m`` and ``cltv_{h}m``, sums of the
        predictions. Sums are integers in fixed point, except for the squares.
    """
    rows = predictions.select(
        "frequency",
        "value_segment",
        "rfm_segment",
        "monetary_value",
        # Floats are no keys; for a fixed observation end these days are the dates.
        age_days=fixed_point(predictions["T"] * days_per_unit, 1),
        recency_days=fixed_point(predictions.recency * days_per_unit, 1),
        value=fixed_point(predictions.monetary_value, MONEY_POINT),
        **{
            name: amount
            for h in horizons
            for name, amount in (
                (f"purchases_{h}m", fixed_point(predictions[f"expected_purchases_{h}m"], PURCHASES_POINT)),
                (f"cltv_{h}m", fixed_point(predictions[f"cltv_{h}m"], MONEY_POINT)),
            )
        },
    )
    squares = (rows.monetary_value * rows.monetary_value).cast("decimal(38, 4)")
    sums = {name: rows[name].sum().cast("int64") for h in horizons for name in (f"purchases_{h}m", f"cltv_{h}m")}
    return rows.group_by(*GROUP_KEY).aggregate(
        customers=rows.count(),
        value_sum=rows.value.sum().cast("int64"),
        value_squares=squares.sum().cast("float64"),
        **sums,
    )


def movement(now: ir.Table, before: ir.Table, horizon: int) -> ir.Table:
    """Count customers by their segments of two months.

    Parameters
    ----------
    now, before : ibis table
        ``cltv_predictions`` of two months.
    horizon : int
        The horizon, in months, whose values are summed.

    Returns
    -------
    ibis table
        ``from_value, from_rfm, to_value, to_rfm`` (`NEW` and `GONE` for a month without a
        prediction), ``customers``, and ``value_before``, ``value_now`` in fixed point.
    """
    value = f"cltv_{horizon}m"
    left = now.select(
        "customer_id",
        to_value="value_segment",
        to_rfm="rfm_segment",
        value_now=fixed_point(now[value], MONEY_POINT),
    )
    right = before.select(
        id_before="customer_id",
        from_value="value_segment",
        from_rfm="rfm_segment",
        value_before=fixed_point(before[value], MONEY_POINT),
    )
    both = left.outer_join(right, left.customer_id == right.id_before)
    rows = both.select(
        from_value=both.from_value.fill_null(NEW),
        from_rfm=both.from_rfm.fill_null(NEW),
        to_value=both.to_value.fill_null(GONE),
        to_rfm=both.to_rfm.fill_null(GONE),
        value_now=both.value_now.fill_null(0),
        value_before=both.value_before.fill_null(0),
    )
    return rows.group_by("from_value", "from_rfm", "to_value", "to_rfm").aggregate(
        customers=rows.count(),
        value_before=rows.value_before.sum().cast("int64"),
        value_now=rows.value_now.sum().cast("int64"),
    )
