"""What customers are predicted to be worth: totals, concentration, names, and who is worth keeping."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir

from cltv_assets.report.facts.last_year import LastYear, last_year
from cltv_assets.settings import Settings
from cltv_assets.tables.cltv_predictions.totals import HorizonTotal, PredictedTotals, predicted_totals
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.segmentation import VALUE_SEGMENTS

#: Number of customers in a list.
LISTED = 10
#: Value tiers whose customers are worth asking, and the P(alive) at which asking can turn the matter: nearer to 1
#: they buy unasked, nearer to 0 they are gone. It is that of the models in which customers can leave.
ASKED, MIDDLING = VALUE_SEGMENTS[:2], (0.2, 0.8)


@dataclass(frozen=True)
class WorthKeeping:
    """Customers of the tiers `ASKED` with a P(alive) within ``bounds``.

    Where some of the weight is on a model in which nobody leaves, P(alive) is never below that weight and says little
    there: a customer who is surely gone by the other models has just that. So the bounds are those at which the other
    models say `MIDDLING`.

    ``at_stake`` is what a customer would bring over the longest horizon if still one, times the chance that it is
    none: (1 - P(alive)) value / P(alive). It is counted in purchases where the predictions have no money.

    Parameters
    ----------
    bounds : (float, float)
        Lowest and highest P(alive).
    customers : int
        How many there are.
    expected, at_stake : float
        What they are expected to bring, and what is at stake, in total.
    listed : sequence of row
        Those with the most at stake, by the columns that `_listed` describes.
    """

    bounds: tuple[float, float]
    customers: int
    expected: float
    at_stake: float
    listed: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class ValueFacts:
    """Facts about predicted value; exists only where there are predictions.

    Parameters
    ----------
    predicted : PredictedTotals
        Totals over all customers with a prediction.
    revenue : mapping of int to float, or None
        By horizon, what these customers are expected to spend, margin and discount not taken off; None where no
        money is predicted.
    year : LastYear
        What they bought in the year before: revenue, or purchases where no money is predicted.
    most_valuable : list of row
        Customers by the columns that `_listed` describes. The most valuable are those who are
        expected to buy most where the predictions have no money.
    keep : WorthKeeping
        Who is worth keeping.
    """

    predicted: PredictedTotals
    revenue: Mapping[int, float] | None
    year: LastYear
    most_valuable: Sequence[Mapping[str, Any]]
    keep: WorthKeeping

    @property
    def total(self) -> HorizonTotal:
        """The longest horizon's total."""
        return self.predicted.totals[-1]


def value_facts(run: MonthRun, staying: float) -> ValueFacts | None:
    """Read the month's predictions; None where there are none.

    Parameters
    ----------
    run : MonthRun
        The month.
    staying : float
        Weight of the model in which nobody leaves among those that predict.
    """
    predicted = predicted_totals(run)
    if predicted is None:
        return None
    predictions, money = run.inputs["cltv_predictions"], predicted.money
    # Select columns first, because the engine compiles a query column by column.
    bounds = tuple(staying + (1.0 - staying) * bound for bound in MIDDLING)
    listed = run.engine.cache(_listed(predictions, run.settings, money))
    return ValueFacts(
        predicted,
        revenue=_revenue(run, predictions) if money else None,
        year=last_year(run, money),
        most_valuable=_named(run, listed, "brings", last=("lowest",)),
        keep=_worth_keeping(run, listed, (bounds[0], bounds[1])),
    )


def _revenue(run: MonthRun, predictions: ir.Table) -> dict[int, float]:
    horizons = run.settings.horizons_months
    sums = {}
    for h in horizons:
        # Months that an older version made have no expected spend.
        before = predictions[f"expected_purchases_{h}m"] * predictions.expected_order_value
        sums[str(h)] = predictions[f"expected_spend_{h}m"].fill_null(before).sum()
    found = run.engine.measure(predictions, sums)
    return {h: float(found[str(h)]) for h in horizons}


def _listed(predictions: ir.Table, settings: Settings, money: bool) -> ir.Table:
    """Return the columns that a list shows of each customer.

    ``silent`` is the time since the last purchase, in the time unit. Predictions are over the longest horizon.
    ``brings`` is the expected value, or purchases where there is no money; ``high_value`` says who is in one of the
    tiers `ASKED`.
    """
    horizon = settings.horizons_months[-1]
    value, purchases = predictions[f"cltv_{horizon}m"], predictions[f"expected_purchases_{horizon}m"]
    return predictions.select(
        "customer_id",
        "frequency",
        "p_alive",
        high_value=predictions.value_segment.isin(ASKED).fill_null(False),
        # The lowest tier also holds those who gave back all that they bought, whatever they are expected to buy.
        lowest=(predictions.value_segment == VALUE_SEGMENTS[-1]).fill_null(False),
        silent=predictions["T"] - predictions.recency,
        order_value=predictions.expected_order_value,
        purchases=purchases,
        value=value,
        low=predictions[f"cltv_{horizon}m_low"],
        high=predictions[f"cltv_{horizon}m_high"],
        brings=value if money else purchases,
    )


def _worth_keeping(run: MonthRun, listed: ir.Table, bounds: tuple[float, float]) -> WorthKeeping:
    """Add up and list who is worth keeping; ``if_alive`` is what one brings who is still a customer."""
    asked = listed.filter(listed.high_value & listed.p_alive.between(*bounds) & (listed.brings > 0))
    # Who has left buys nothing, so the expectation is P(alive) times this.
    asked = asked.mutate(if_alive=asked.brings / asked.p_alive)
    asked = asked.mutate(at_stake=asked.if_alive - asked.brings)
    # If nobody can leave, nothing is at stake.
    asked = asked.filter(asked.at_stake > 0)
    sums = run.engine.measure(
        asked, {"customers": asked.count(), "expected": asked.brings.sum(), "at_stake": asked.at_stake.sum()}
    )
    return WorthKeeping(
        bounds,
        int(sums["customers"]),
        float(sums["expected"] or 0.0),
        float(sums["at_stake"] or 0.0),
        _named(run, asked, "at_stake"),
    )


def _named(run: MonthRun, listed: ir.Table, by: str, last: Sequence[str] = ()) -> list[dict[str, Any]]:
    rows = run.engine.collect(listed.order_by(*last, ibis.desc(by), "customer_id").limit(LISTED)).to_pylist()
    # An engine may hand the chosen rows over in any order.
    return sorted(rows, key=lambda row: (*(row[name] for name in last), -row[by], row["customer_id"]))
