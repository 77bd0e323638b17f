"""What customers are predicted to be worth: totals, concentration, segments, names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir

from cltv_assets.tables.cltv_predictions.totals import HorizonTotal, PredictedTotals, predicted_totals
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.purchase_days import PURCHASE_DAYS
from cltv_assets.tables.segmentation import VALUE_SEGMENTS

#: Number of customers in a list.
LISTED = 10
#: Months whose spend may be at risk; a whole year, so that seasons do not matter.
_YEAR = 12
#: Amounts below half a cent do not count as at risk.
_LEAST_AT_RISK = 0.005


@dataclass(frozen=True)
class ValueFacts:
    """Facts about predicted value; exists only where there are predictions.

    Parameters
    ----------
    predicted : PredictedTotals
        Totals over all customers with a prediction.
    past, at_risk : float or None
        What these customers spent in the last twelve months, and how much of it is at risk; None where
        the source has no amounts.
    most_valuable, most_at_risk : list of row
        Customers by the columns that `_listed` describes. The most valuable are those who are
        expected to buy most where the predictions have no money.
    """

    predicted: PredictedTotals
    past: float | None
    at_risk: float | None
    most_valuable: Sequence[Mapping[str, Any]]
    most_at_risk: Sequence[Mapping[str, Any]]

    @property
    def total(self) -> HorizonTotal:
        """The longest horizon's total."""
        return self.predicted.totals[-1]


def value_facts(run: MonthRun) -> ValueFacts | None:
    """Read the month's predictions; None where there are none."""
    predicted = predicted_totals(run)
    if predicted is None:
        return None
    counted = run.settings.source.counted
    # Select columns first, because the engine compiles a query column by column.
    listed = run.engine.cache(_listed(run.inputs["cltv_predictions"], _spent(run), run.settings.horizons_months[-1]))
    spent = run.engine.measure(listed, {"past": listed.past.sum(), "at_risk": listed.at_risk.sum()})
    return ValueFacts(
        predicted,
        past=None if counted else float(spent["past"]),
        at_risk=None if counted else float(spent["at_risk"]),
        most_valuable=_named(run, listed, "value" if predicted.money else "purchases", last=("lowest",)),
        most_at_risk=_named(run, listed.filter(listed.at_risk >= _LEAST_AT_RISK), "at_risk"),
    )


def _spent(run: MonthRun) -> ir.Table:
    """Sum each customer's spend of the last twelve months, less refunds where they are netted."""
    days = run.inputs[PURCHASE_DAYS.name]
    recent = days.filter(
        (days.purchase_day > run.month.shift(-_YEAR).last_day) & (days.purchase_day <= run.month.last_day)
    )
    net = recent.spend - recent.refunds if run.settings.refunds == "net" else recent.spend
    # Decimals are summed exactly in any order; only the sum becomes a float.
    return recent.group_by("customer_id").aggregate(past=net.sum().cast("float64"))


def _listed(predictions: ir.Table, spent: ir.Table, horizon: int) -> ir.Table:
    """Return the columns that a list shows of each customer.

    ``silent`` is the time since the last purchase, in the time unit. Predictions are over the
    longest horizon. ``past`` is the spend of the last twelve months; ``at_risk`` is how much of
    it a similar year would lack on average, because the customer may have left.
    """
    joined = predictions.left_join(spent, "customer_id")
    # A customer who returned more than they bought has no spend that could be lost.
    past = ibis.greatest(joined.past.fill_null(0.0), 0.0)
    return joined.select(
        "customer_id",
        "frequency",
        "p_alive",
        # The lowest tier also holds those who gave back all that they bought, whatever they are expected to buy.
        lowest=(joined.value_segment == VALUE_SEGMENTS[-1]).fill_null(False),
        silent=joined["T"] - joined.recency,
        order_value=joined.expected_order_value,
        purchases=joined[f"expected_purchases_{horizon}m"],
        value=joined[f"cltv_{horizon}m"],
        low=joined[f"cltv_{horizon}m_low"],
        high=joined[f"cltv_{horizon}m_high"],
        past=past,
        at_risk=(1.0 - joined.p_alive) * past,
    )


def _named(run: MonthRun, listed: ir.Table, by: str, last: Sequence[str] = ()) -> list[dict[str, Any]]:
    rows = run.engine.collect(listed.order_by(*last, ibis.desc(by), "customer_id").limit(LISTED)).to_pylist()
    # An engine may hand the chosen rows over in any order.
    return sorted(rows, key=lambda row: (*(row[name] for name in last), -row[by], row["customer_id"]))
