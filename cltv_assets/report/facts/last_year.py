"""What the customers with a prediction bought in the year before, month by month."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from cltv_assets.columns import MONTH
from cltv_assets.months import Month
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.purchase_days import PURCHASE_DAYS
from cltv_assets.tables.rfm_summary import RFM_SUMMARY

#: Whole years, so that a forecast is held against the same months and seasons do not matter.
_YEAR = 12


@dataclass(frozen=True)
class Bought:
    """What was bought by the end of a month.

    Parameters
    ----------
    known, came : float
        By customers who were customers before the first of the months, and by those who came in them: spend, less
        refunds where they are netted, or days with an order where the source has no amounts.
    """

    known: float
    came: float


@dataclass(frozen=True)
class LastYear:
    """What the customers with a prediction bought in the months that the longest horizon repeats.

    Parameters
    ----------
    begin : Month
        First of these months: as many whole years back as the longest horizon takes.
    years : int
        How many.
    bought : mapping of (Month, int) to float
        In each month by those who came in a year of these, counted from 1; 0 for those who came before.
    complete : bool
        Whether the source begins no later.
    """

    begin: Month
    years: int
    bought: Mapping[tuple[Month, int], float]
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
        skipped = self.years - -(-horizon // _YEAR)
        first, known, came = self.begin.shift(_YEAR * skipped), 0.0, 0.0
        found = []
        for month in first.until(first.shift(horizon - 1)):
            for year in range(self.years + 1):
                amount = self.bought.get((month, year), 0.0)
                known, came = (known + amount, came) if year <= skipped else (known, came + amount)
            found.append(Bought(known, came))
        return found


def last_year(run: MonthRun, money: bool) -> LastYear:
    """Add up the months before of the customers with a prediction; in purchases unless ``money``."""
    years = -(-run.settings.horizons_months[-1] // _YEAR)
    begin = run.month.shift(1 - _YEAR * years)
    rfm, days = run.inputs[RFM_SUMMARY.name], run.inputs[PURCHASE_DAYS.name]
    predicted = rfm.semi_join(run.inputs["cltv_predictions"], "customer_id")
    begins = [ibis.literal(begin.shift(_YEAR * n).first_day) for n in range(years)]
    # Ibis adds up booleans only as numbers.
    came = sum(((predicted.first_purchase >= day).cast("int64") for day in begins), ibis.literal(0))
    who = predicted.select("customer_id", came=came)
    recent = days.filter(days[MONTH].between(begins[0], ibis.literal(run.month.first_day)))
    recent = recent.select("customer_id", month=recent[MONTH], what=_amount(recent, run.settings.refunds, money))
    joined = recent.inner_join(who, "customer_id")
    # Decimals are summed exactly in any order; only the sum becomes a float.
    summed = joined.group_by("month", "came").aggregate(what=joined.what.sum().cast("float64"))
    rows = run.engine.collect(summed).to_pylist()
    bought = {(Month(row["month"]), int(row["came"])): float(row["what"]) for row in rows}
    return LastYear(begin, years, bought, run.settings.first_month <= begin)


def _amount(days: ir.Table, refunds: str, money: bool) -> ir.NumericValue:
    if not money:
        return (days.order_count > 0).cast("int64")
    return days.spend - days.refunds if refunds == "net" else days.spend
