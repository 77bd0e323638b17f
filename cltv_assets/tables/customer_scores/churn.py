"""Whether a customer is active, at risk or lapsed: two Schmitt triggers on P(alive), read from the last months.

A trigger changes to its lower side below one bound and back above another, so that a P(alive) that wavers between
them changes nothing. Its state is not carried along from month to month, which would make a month depend on the order
in which months are made. It is the side of the newest month, of the last `MEMORY_MONTHS`, in which P(alive)
was outside of the two bounds. Who was never outside counts on the upper side: nothing speaks for a loss.
"""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from cltv_assets.columns import MONTH
from cltv_assets.settings.scores import Scores
from cltv_assets.tables.customer_scores.columns import ACTIVE, AT_RISK, LAPSED

#: Months of predictions that are looked at, the month itself included.
MEMORY_MONTHS = 6


def churn_sides(window: ir.Table, scores: Scores) -> dict[str, ir.Scalar]:
    """Return, to aggregate by customer, the newest months on either side of each trigger.

    Parameters
    ----------
    window : ibis table
        ``cltv_predictions`` of some months.
    scores : Scores
        The bounds.
    """
    p, month = window.p_alive, window[MONTH]
    return {
        "active_month": month.max(where=p > scores.active_above),
        "risk_month": month.max(where=p < scores.at_risk_below),
        "recovered_month": month.max(where=p > scores.recovered_above),
        "lapsed_month": month.max(where=p < scores.lapsed_below),
    }


def churn_state(sides: ir.Table) -> ir.StringValue:
    """Return the state of customers with the columns of `churn_sides`."""

    def fell(below: ir.DateValue, above: ir.DateValue) -> ir.BooleanValue:
        # Never above is before any month; never below is null, and no fall.
        return (below.notnull() & (above.isnull() | (below > above))).fill_null(False)

    return ibis.cases(
        (fell(sides.lapsed_month, sides.recovered_month), LAPSED),
        (fell(sides.risk_month, sides.active_month), AT_RISK),
        else_=ACTIVE,
    )
