"""Whether a customer is active, at risk or lapsed: two Schmitt triggers on P(alive), read from the last months.

A trigger changes to its lower side below one bound and back above another, so that a P(alive) that wavers between
them changes nothing. Its state is not carried along from month to month, which would make a month depend on the order
in which months are made. It is the side of the newest month, of the last `MEMORY_MONTHS`, in which P(alive)
was outside of the two bounds. Who was never outside counts on the upper side: nothing speaks for a loss.

Where a model in which nobody leaves has a weight w in the predictions, P(alive) is never below w, and a customer who
is surely gone by the other models has just that. So the bounds are held against what these others say,
(P(alive) - w) / (1 - w).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import ibis
import ibis.expr.types as ir

from cltv_assets.columns import MONTH
from cltv_assets.months import Month
from cltv_assets.settings.scores import Scores
from cltv_assets.tables.customer_scores.columns import ACTIVE, AT_RISK, LAPSED
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.purchase_model.columns import PURCHASE_MODEL
from cltv_assets.tables.purchase_model.reading import predicting, staying_weight
from cltv_assets.tables.segmentation import month_rows

#: Months of predictions that are looked at, the month itself included.
MEMORY_MONTHS = 6


def staying_weights(run: MonthRun, rows: Sequence[Mapping[str, Any]]) -> dict[Month, float]:
    """Return `staying_weight` of the last `MEMORY_MONTHS`; ``rows`` are those of the month itself."""
    found = {run.month: staying_weight(rows)}
    for back in range(1, MEMORY_MONTHS):
        table = run.earlier(PURCHASE_MODEL, back)
        if table is not None:
            found[run.month.shift(-back)] = staying_weight(predicting(run.engine.collect(table).to_pylist()))
    return found


def churn_sides(window: ir.Table, scores: Scores, staying: Mapping[Month, float]) -> dict[str, ir.Scalar]:
    """Return, to aggregate by customer, the newest months on either side of each trigger.

    Parameters
    ----------
    window : ibis table
        ``cltv_predictions`` of some months.
    scores : Scores
        The bounds.
    staying : mapping of Month to float
        `staying_weights`; without a month it is 0.
    """
    p, month = _of_others(window, staying), window[MONTH]
    return {
        "active_month": month.max(where=p > scores.active_above),
        "risk_month": month.max(where=p < scores.at_risk_below),
        "recovered_month": month.max(where=p > scores.recovered_above),
        "lapsed_month": month.max(where=p < scores.lapsed_below),
    }


def _of_others(window: ir.Table, staying: Mapping[Month, float]) -> ir.FloatingValue:
    """Return P(alive) by the models in which customers leave."""
    p, month = window.p_alive, window[MONTH]
    known = [(month == ibis.literal(at.first_day), weight) for at, weight in staying.items() if 0.0 < weight < 1.0]
    if not known:
        return p
    share = ibis.cases(*known, else_=0.0)
    return (p - share) / (1.0 - share)


def with_churn_state(window: ir.Table, month: Month, scores: Scores, staying: Mapping[Month, float]) -> ir.Table:
    """Return a month's predictions with ``churn_state``.

    The months before are looked at for those customers only whose P(alive) lies between the bounds of a trigger now:
    they are few, and six months of all customers are many rows.

    Parameters
    ----------
    window : ibis table
        ``cltv_predictions`` of some months, the month among them.
    month : Month
        The month.
    scores, staying
        As `churn_sides` takes them.
    """
    # Narrowed before it is filtered: DuckDB holds the whole of an expression that a query has twice.
    asked = month_rows(window.select("customer_id", "p_alive", MONTH), month.first_day)
    p = _of_others(asked, staying)
    between = p.between(scores.at_risk_below, scores.active_above) | p.between(
        scores.lapsed_below, scores.recovered_above
    )
    few = window.semi_join(asked.filter(between), "customer_id")
    sides = few.group_by("customer_id").aggregate(**churn_sides(few, scores, staying))
    now = month_rows(window, month.first_day)
    both = now.left_join(sides.select("customer_id", by_history=churn_state(sides)), "customer_id")
    p = _of_others(both, staying)
    alone = ibis.cases((p < scores.lapsed_below, LAPSED), (p < scores.at_risk_below, AT_RISK), else_=ACTIVE)
    return both.mutate(churn_state=both.by_history.coalesce(alone)).drop("customer_id_right", "by_history")


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
