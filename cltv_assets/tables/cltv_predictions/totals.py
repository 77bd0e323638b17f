"""Totals of the month's predictions by horizon, by value tier and by share of customers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

import ibis

from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.quantiles import MONEY_POINT, fixed_point
from cltv_assets.tables.segmentation import VALUE_SEGMENTS

#: Significant digits of the bins that the concentration curve is drawn from. This gives at
#: most 90 points for each factor of ten, and the curve is exact at every point.
_CURVE_DIGITS = 2
#: Shares of customers at which the curve is read; the last is Pareto's 20 %.
READ_AT = (0.05, 0.2)


@dataclass(frozen=True)
class HorizonTotal:
    """All customers together over one horizon.

    Parameters
    ----------
    months : int
        Length of the horizon.
    purchases : float
        Expected purchase days.
    value : float or None
        Expected margin, discounted, in currency; None where no spend model is fitted.
    """

    months: int
    purchases: float
    value: float | None


@dataclass(frozen=True)
class Segment:
    """One value tier: ``customers`` in it, their total ``value`` if known, expected ``purchases``, mean ``p_alive``."""

    name: str
    customers: int
    value: float | None
    purchases: float
    p_alive: float


@dataclass(frozen=True)
class Concentration:
    """Cumulative shares of customers and value, the most valuable customers first; both run from 0 to 1."""

    customers: tuple[float, ...]
    value: tuple[float, ...]

    @property
    def marked(self) -> dict[float, float]:
        """The share of value at each share of `READ_AT`: the points that the picture marks."""
        return {share: self.held_by(share) for share in READ_AT}

    def held_by(self, share: float) -> float:
        """Return the share of value that the top ``share`` of customers hold."""
        points = list(zip(self.customers, self.value, strict=True))
        for (x0, y0), (x1, y1) in pairwise(points):
            if share <= x1:
                return y0 + (y1 - y0) * (share - x0) / (x1 - x0)
        return 1.0


@dataclass(frozen=True)
class PredictedTotals:
    """All customers with a prediction together.

    Parameters
    ----------
    customers : int
        How many there are.
    totals : tuple of HorizonTotal
        The longest horizon last.
    segments : tuple of Segment
        The top tier first; values are those of the longest horizon.
    concentration : Concentration or None
        For the longest horizon; None where the total is zero or not known.
    """

    customers: int
    totals: tuple[HorizonTotal, ...]
    segments: tuple[Segment, ...]
    concentration: Concentration | None

    @property
    def money(self) -> bool:
        """Whether the predictions have money."""
        return self.totals[-1].value is not None


def predicted_totals(run: MonthRun) -> PredictedTotals | None:
    """Aggregate the month's predictions in the engine; None where there are none."""
    horizons = run.settings.horizons_months
    predictions = run.inputs["cltv_predictions"]
    rows = run.engine.collect(
        predictions.group_by("value_segment").aggregate(
            customers=predictions.count(),
            p_alive=predictions.p_alive.mean(),
            **{f"value_{h}": predictions[f"cltv_{h}m"].sum() for h in horizons},
            **{f"purchases_{h}": predictions[f"expected_purchases_{h}m"].sum() for h in horizons},
        )
    ).to_pylist()
    if not rows:
        return None
    by_segment = {row["value_segment"]: row for row in rows}

    def total(name: str) -> float:
        return float(sum(row[name] for row in rows))

    # All customers have money, or none has.
    money = all(row[f"value_{horizons[-1]}"] is not None for row in rows)
    return PredictedTotals(
        customers=sum(row["customers"] for row in rows),
        totals=tuple(
            HorizonTotal(h, total(f"purchases_{h}"), total(f"value_{h}") if money else None) for h in horizons
        ),
        segments=tuple(
            Segment(
                name, row["customers"], row[f"value_{horizons[-1]}"], row[f"purchases_{horizons[-1]}"], row["p_alive"]
            )
            for name in VALUE_SEGMENTS
            if (row := by_segment.get(name)) is not None
        ),
        concentration=_concentration(run, horizons[-1]) if money else None,
    )


def _concentration(run: MonthRun, horizon: int) -> Concentration | None:
    """Return the curve of the month's predictions, binned in the engine; ``None`` where the total is zero."""
    predictions = run.inputs["cltv_predictions"]
    value = predictions[f"cltv_{horizon}m"]
    # Whoever is worth nothing or less comes last, together.
    minor = ibis.greatest(fixed_point(value, MONEY_POINT), 0)
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
