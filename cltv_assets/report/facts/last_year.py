"""What the customers with a prediction bought in the year before, month by month."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import ibis

from cltv_assets.columns import MONTH
from cltv_assets.months import Month
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.purchase_days import PURCHASE_DAYS
from cltv_assets.tables.rfm_summary import RFM_SUMMARY

#: Whole years, so that a forecast is held against the same months and seasons do not matter.
_YEAR = 12


@dataclass(frozen=True)
class Bought:
    """Spend, less refunds where they are netted, and days with an order; ``spend`` is None without amounts."""

    spend: float | None
    purchases: int


@dataclass(frozen=True)
class LastYear:
    """What the customers with a prediction bought in the months that the longest horizon repeats.

    Parameters
    ----------
    begin : Month
        First of these months: as many whole years back as the longest horizon takes.
    months : mapping of Month to Bought
        Of each month.
    newcomers : Bought
        How much of the last twelve months was that of customers who first bought in them.
    new : int
        How many these are.
    complete : bool
        Whether the source begins no later.
    """

    begin: Month
    months: Mapping[Month, Bought]
    newcomers: Bought
    new: int
    complete: bool

    def before(self, horizon: int) -> Bought | None:
        """Return what was bought in the same months of the year before as a horizon covers; None if not known."""
        course = self.course(horizon)
        return course[-1] if course else None

    def course(self, horizon: int) -> list[Bought]:
        """Return the same, cumulative, at the end of each month; empty where it is not known."""
        if not self.complete:
            return []
        # A shorter horizon repeats fewer whole years.
        found, spend, purchases = [], 0.0, 0
        later = len(self.months) // _YEAR - -(-horizon // _YEAR)
        first = self.begin.shift(_YEAR * later)
        for month in first.until(first.shift(horizon - 1)):
            one = self.months[month]
            spend, purchases = spend + (one.spend or 0.0), purchases + one.purchases
            found.append(Bought(None if one.spend is None else spend, purchases))
        return found


def last_year(run: MonthRun) -> LastYear:
    """Add up the months before; customers with a prediction only, so that it is the forecast's own."""
    settings = run.settings
    years = -(-settings.horizons_months[-1] // _YEAR)
    begin, last_twelve = run.month.shift(1 - _YEAR * years), run.month.shift(1 - _YEAR)
    days, rfm = run.inputs[PURCHASE_DAYS.name], run.inputs[RFM_SUMMARY.name]
    known = rfm.semi_join(run.inputs["cltv_predictions"], "customer_id")
    known = known.select("customer_id", new=known.first_purchase >= ibis.literal(last_twelve.first_day))
    recent = days.filter(days[MONTH].between(ibis.literal(begin.first_day), ibis.literal(run.month.first_day)))
    net = recent.spend - recent.refunds if settings.refunds == "net" else recent.spend
    recent = recent.select("customer_id", month=recent[MONTH], net=net, bought=(recent.order_count > 0).cast("int64"))
    joined = recent.inner_join(known, "customer_id")
    # Decimals are summed exactly in any order; only the sum becomes a float.
    summed = joined.group_by("month", "new").aggregate(spend=joined.net.sum().cast("float64"), days=joined.bought.sum())
    rows = run.engine.collect(summed).to_pylist()
    new = run.engine.measure(known, {"new": known.new.cast("int64").sum()})["new"]

    def total(found: list[dict[str, Any]]) -> Bought:
        spend = None if settings.source.counted else float(sum(row["spend"] for row in found))
        return Bought(spend, sum(row["days"] for row in found))

    return LastYear(
        begin,
        {month: total([row for row in rows if row["month"] == month.first_day]) for month in begin.until(run.month)},
        newcomers=total([row for row in rows if row["new"] and row["month"] >= last_twelve.first_day]),
        new=int(new or 0),
        complete=settings.first_month <= begin,
    )
