"""Defines the segments and which one a customer belongs to."""

from __future__ import annotations

from functools import reduce

import ibis
import ibis.expr.types as ir

from cltv_assets.columns import MONTH

#: Value tiers from the top; the last one takes the rest.
VALUE_SEGMENTS = ("top", "high", "middle", "low")

#: RFM segments by the quintile scores, from the best to the worst. Each box is a range of
#: r_score (5 for the most recent), f_score and m_score; the boxes hold each of the 125
#: combinations once. Recency comes first, because it predicts most; then frequency,
#: which separates repeat customers from those who tried once; then spend.
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

#: Segments that nobody is in who gave back all that they spent, and the one that takes them.
RFM_KEEPING, RFM_RETURNING = ("champions", "loyal", "potential loyalists"), "need attention"

#: Schemes of ``segment_summary`` and ``segment_movement``: each has a column and ordered segments.
SCHEMES = {"value": ("value_segment", VALUE_SEGMENTS), "rfm": ("rfm_segment", RFM_SEGMENTS)}

#: The scheme of the whole base, and its only segment.
ALL = "all"


#: What ``segment_movement`` shows as the segment in a month without a prediction for the customer.
NEW, GONE = "new", "gone"


def rfm_segment(
    r: ir.IntegerValue, f: ir.IntegerValue, m: ir.IntegerValue, gave_back: ir.BooleanValue
) -> ir.StringValue:
    """Return the segment of the scores; null outside 1 to 5, which a check of the scores refuses.

    Where no spend is known, ``f`` stands for ``m``: who buys most often is the best customer there is.

    Frequency counts purchases that were returned later, so ``gave_back`` (all that was spent) keeps a customer out
    of `RFM_KEEPING`.
    """
    m = m.fill_null(f)
    branches = []
    for name, boxes in RFM_BOXES.items():
        inside = [
            r.between(*recency) & f.between(*frequency) & m.between(*monetary) for recency, frequency, monetary in boxes
        ]
        branches.append((reduce(lambda left, right: left | right, inside), ibis.literal(name)))
    segment = ibis.cases(*branches)
    return ibis.ifelse(gave_back & segment.isin(RFM_KEEPING), ibis.literal(RFM_RETURNING), segment)


def month_rows(predictions: ir.Table, first_day: object) -> ir.Table:
    """Return one month's rows of a window of predictions."""
    return predictions.filter(predictions[MONTH] == ibis.literal(first_day))
