"""What customers are predicted to be worth: totals, concentration, segments, names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import ibis
import ibis.expr.types as ir

from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.purchase_days import PURCHASE_DAYS
from cltv_assets.tables.segmentation import VALUE_SEGMENTS

#: Customers named in a list.
LISTED = 10
#: Significant digits of the bins that the concentration curve is drawn from: at most
#: 90 points to a factor of ten, and exact at each of them.
_CURVE_DIGITS = 2
_MINOR = 10_000
#: Months whose spend may be at risk: a year, so that seasons do not matter.
_YEAR = 12
#: Below half a cent nothing is at risk.
_LEAST_AT_RISK = 0.005


@dataclass(frozen=True)
class HorizonTotal:
    """All customers together over one horizon.

    Parameters
    ----------
    months : int
    purchases : float
        Expected purchase days.
    value : float
        Expected margin, discounted, in currency.
    """

    months: int
    purchases: float
    value: float


@dataclass(frozen=True)
class Segment:
    """One value tier: ``customers`` in it, their total ``value``, mean ``p_alive``."""

    name: str
    customers: int
    value: float
    p_alive: float


@dataclass(frozen=True)
class Concentration:
    """Cumulative shares, from the most valuable customers down; both begin at 0 and end at 1."""

    customers: tuple[float, ...]
    value: tuple[float, ...]

    def held_by(self, share: float) -> float:
        """Return the share of value that the top ``share`` of customers hold."""
        points = list(zip(self.customers, self.value, strict=True))
        for (x0, y0), (x1, y1) in pairwise(points):
            if share <= x1:
                return y0 + (y1 - y0) * (share - x0) / (x1 - x0)
        return 1.0


@dataclass(frozen=True)
class NamedCustomer:
    """One customer of a list.

    Parameters
    ----------
    customer_id : str
        Foreign text.
    frequency : int
        Repeat purchases so far.
    silent : float
        Time since the last purchase, in the time unit.
    p_alive, order_value, purchases, value, low, high : float
        Predictions over the longest horizon, with the ends of the 80 % interval.
    past : float
        What the customer spent in the last twelve months, in currency.
    at_risk : float
        ``(1 - p_alive) * past``: what a year like the last would miss on average because
        the customer may have left.
    """

    customer_id: str
    frequency: int
    silent: float
    p_alive: float
    order_value: float
    purchases: float
    value: float
    low: float
    high: float
    past: float
    at_risk: float


@dataclass(frozen=True)
class ValueFacts:
    """All about predicted value. Exists only where there are predictions.

    Parameters
    ----------
    customers : int
        With a prediction.
    totals : tuple of HorizonTotal
    segments : tuple of Segment
        From the top.
    concentration : Concentration or None
        ``None`` where the total is nothing.
    past, at_risk : float
        What all of them spent in the last twelve months, and how much of it is at risk.
    most_valuable, most_at_risk : tuple of NamedCustomer
    """

    customers: int
    totals: tuple[HorizonTotal, ...]
    segments: tuple[Segment, ...]
    concentration: Concentration | None
    past: float
    at_risk: float
    most_valuable: tuple[NamedCustomer, ...]
    most_at_risk: tuple[NamedCustomer, ...]

    @property
    def total(self) -> HorizonTotal:
        """The longest horizon's total."""
        return self.totals[-1]


def value_facts(run: MonthRun) -> ValueFacts | None:
    """Aggregate the month's predictions; ``None`` where there are none."""
    horizons = run.settings.horizons_months
    predictions = run.inputs["cltv_predictions"]
    by_segment = {
        row["value_segment"]: row
        for row in run.engine.collect(
            predictions.group_by("value_segment").aggregate(
                customers=predictions.count(),
                p_alive=predictions.p_alive.mean(),
                **{f"value_{h}": predictions[f"cltv_{h}m"].sum() for h in horizons},
                **{f"purchases_{h}": predictions[f"expected_purchases_{h}m"].sum() for h in horizons},
            )
        ).to_pylist()
    }
    if not by_segment:
        return None
    rows = list(by_segment.values())
    # Narrow before anything else: an engine's query is compiled column by column.
    listed = _listed(predictions, _spent(run), horizons[-1])
    spent = run.engine.measure(listed, {"past": listed.past.sum(), "at_risk": listed.at_risk.sum()})

    def total(name: str) -> float:
        return float(sum(row[name] for row in rows))

    return ValueFacts(
        customers=sum(row["customers"] for row in rows),
        totals=tuple(HorizonTotal(h, total(f"purchases_{h}"), total(f"value_{h}")) for h in horizons),
        segments=tuple(
            Segment(name, row["customers"], row[f"value_{horizons[-1]}"], row["p_alive"])
            for name in VALUE_SEGMENTS
            if (row := by_segment.get(name)) is not None
        ),
        concentration=concentration(run, predictions, horizons[-1]),
        past=float(spent["past"]),
        at_risk=float(spent["at_risk"]),
        most_valuable=_named(run, listed, "value"),
        most_at_risk=_named(run, listed.filter(listed.at_risk >= _LEAST_AT_RISK), "at_risk"),
    )


def _spent(run: MonthRun) -> ir.Table:
    """Sum each customer's spend of the last twelve months, less refunds where they are netted."""
    days = run.inputs[PURCHASE_DAYS.name]
    recent = days.filter(
        (days.purchase_day > run.month.shift(-_YEAR).last_day) & (days.purchase_day <= run.month.last_day)
    )
    net = recent.spend - recent.refunds if run.settings.refunds == "net" else recent.spend
    # Decimals are summed exactly, in whatever order; only the sum becomes a float.
    return recent.group_by("customer_id").aggregate(past=net.sum().cast("float64"))


def concentration(run: MonthRun, predictions: ir.Table, horizon: int) -> Concentration | None:
    """Return the curve of the month's predictions, binned in the engine; ``None`` where they come to nothing."""
    value = predictions[f"cltv_{horizon}m"]
    minor = (value * _MINOR + 0.5).floor().cast("int64")
    scale = ibis.cases(
        *[(minor < 10 ** (_CURVE_DIGITS + n), ibis.literal(10**n, "int64")) for n in range(16)],
        else_=ibis.literal(10**16, "int64"),
    )
    bins = predictions.group_by(bin=minor - minor % scale).aggregate(n=predictions.count(), value=value.sum())
    return concentration_of([(row["bin"], row["n"], row["value"]) for row in run.engine.collect(bins).to_pylist()])


def concentration_of(bins: Sequence[tuple[int, int, float]]) -> Concentration | None:
    """Return the curve through bins of (place, customers, value), in any order."""
    falling = sorted(bins, reverse=True)
    customers = list(accumulate((n for _, n, _ in falling), initial=0))
    values = list(accumulate((value for _, _, value in falling), initial=0.0))
    if values[-1] <= 0:
        return None
    return Concentration(tuple(n / customers[-1] for n in customers), tuple(value / values[-1] for value in values))


def _listed(predictions: ir.Table, spent: ir.Table, horizon: int) -> ir.Table:
    """Return the columns of `NamedCustomer`."""
    joined = predictions.left_join(spent, "customer_id")
    # Who returned more than was bought has brought nothing that could be lost.
    past = ibis.greatest(joined.past.fill_null(0.0), 0.0)
    return joined.select(
        "customer_id",
        "frequency",
        "p_alive",
        silent=joined["T"] - joined.recency,
        order_value=joined.expected_order_value,
        purchases=joined[f"expected_purchases_{horizon}m"],
        value=joined[f"cltv_{horizon}m"],
        low=joined[f"cltv_{horizon}m_low"],
        high=joined[f"cltv_{horizon}m_high"],
        past=past,
        at_risk=(1.0 - joined.p_alive) * past,
    )


def _named(run: MonthRun, listed: ir.Table, by: str) -> tuple[NamedCustomer, ...]:
    rows = run.engine.collect(listed.order_by(ibis.desc(by), "customer_id").limit(LISTED)).to_pylist()
    # An engine may hand the chosen rows over in any order.
    return tuple(sorted((NamedCustomer(**row) for row in rows), key=lambda one: (-getattr(one, by), one.customer_id)))
