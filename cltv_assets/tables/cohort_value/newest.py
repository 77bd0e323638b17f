"""Whether the newest cohorts bring less per customer than those before at the same age, beyond chance.

Cohorts differ by chance and by season, and both show in how far the earlier ones lie apart. So the newest ones are
compared with a prediction interval from that spread: with k earlier cohorts of weights w, mean m and weighted
variance s^2 (k - 1 degrees of freedom), and newest ones of mean m', t = (m' - m) / (s sqrt(1 / sum w + 1 / sum w')).
Weights are the customers, which is right where chance makes the spread, or all equal, which is right where the
calendar does. Nobody knows which, so both must say so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
import numpy as np
from scipy.special import stdtr

from cltv_assets.figures import wording
from cltv_assets.months import Month
from cltv_assets.tables.check import Values, Verdict, check
from cltv_assets.tables.cohort_value.columns import REALISED
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.segmentation import ALL

#: Age, in months, at which cohorts are compared: the first quarter after the month of the first purchase.
AGE = 3
#: Newest cohorts of that age, and how many before them they are compared with.
NEWEST, BEFORE, LEAST = 3, 12, 6
#: First cohorts of the data that are left out: customers older than the data seem to come first in them.
LEFT_OUT = 3
#: A fall is told if it is this large and chance makes it less often than this.
_FALL, _ACCIDENT = 0.1, 0.005


@dataclass(frozen=True)
class Change:
    """How the newest cohorts compare with those before.

    Parameters
    ----------
    newest, before : float
        Mean per customer, in the unit of what is compared.
    chance : float
        Probability of so low a mean, if nothing has changed.
    """

    newest: float
    before: float
    chance: float

    @property
    def share(self) -> float:
        """Relative change; 0 where nothing came before."""
        return self.newest / self.before - 1 if self.before else 0.0

    @property
    def fell(self) -> bool:
        """Whether the newest cohorts bring less, beyond chance."""
        return self.share < -_FALL and self.chance < _ACCIDENT


def compared(
    values: Sequence[float], customers: Sequence[float], newest: int = NEWEST, least: int = LEAST
) -> Change | None:
    """Compare the last cohorts with the others; None where these are too few to tell their spread.

    Parameters
    ----------
    values : sequence of float, length n
        What each cohort brought per customer, the oldest first.
    customers : sequence of float, length n
        How many customers each has, above 0.
    newest : int
        Cohorts at the end that are compared with those before.
    least : int
        Fewest of those.
    """
    each, sizes = np.asarray(values, dtype=np.float64), np.asarray(customers, dtype=np.float64)
    earlier = len(each) - newest
    if earlier < least:
        return None
    chances = []
    for weights in (np.ones(len(each)), sizes):
        w, u = weights[:earlier], weights[earlier:]
        mean, latest = np.average(each[:earlier], weights=w), np.average(each[earlier:], weights=u)
        variance = float((w * (each[:earlier] - mean) ** 2).sum()) / (earlier - 1)
        spread = np.sqrt(variance * (1 / w.sum() + 1 / u.sum()))
        gap = latest - mean
        chances.append(float(stdtr(earlier - 1, gap / spread)) if spread > 0 else float(gap >= 0))
    return Change(float(latest), float(mean), max(chances))


def _cohorts(run: MonthRun) -> list[Month]:
    """Return the cohorts that are compared, oldest first."""
    last = run.month.shift(-AGE)
    first = max(last.shift(1 - NEWEST - BEFORE), run.settings.first_month.shift(LEFT_OUT))
    return list(first.until(last)) if first <= last else []


def _measures_of_newest_cohorts(table: ir.Table, run: MonthRun) -> dict[str, ir.Scalar]:
    then = (table.attribute == ALL) & (table.kind == REALISED) & (table.age_months == AGE)
    found: dict[str, ir.Scalar] = {}
    for cohort in _cohorts(run):
        here = then & (table.cohort == ibis.literal(cohort.first_day))
        found |= {
            f"customers|{cohort}": table.customers.max(where=here),
            f"value|{cohort}": table.cumulative_value_per_customer.max(where=here),
            f"purchases|{cohort}": table.cumulative_purchases.max(where=here),
        }
    return found


@check(
    "The newest cohorts bring as much per customer as those before did at the same age.",
    measures=_measures_of_newest_cohorts,
    blocking=False,
)
def newest_cohorts(values: Values, run: MonthRun) -> Verdict:
    """Warn where new customers are worth less than earlier ones were, before the models can see it."""
    known = [cohort for cohort in _cohorts(run) if values[f"customers|{cohort}"]]
    sizes = [float(values[f"customers|{cohort}"]) for cohort in known]
    money = all(values[f"value|{cohort}"] is not None for cohort in known)
    brought = [
        float(values[f"value|{cohort}"]) if money else values[f"purchases|{cohort}"] / size
        for cohort, size in zip(known, sizes, strict=True)
    ]
    change = compared(brought, sizes)
    if change is None:
        return Verdict(True, f"Fewer than {LEAST + NEWEST} cohorts of {AGE} months or more: too few to compare.")
    what = f"{run.settings.currency} margin" if money else "purchases"
    facts = {"newest": change.newest, "before": change.before, "change": change.share, "chance": change.chance}
    text = (
        f"The {NEWEST} newest cohorts with {AGE} months behind them brought {wording.amount(change.newest)} {what} a "
        f"customer, the {len(known) - NEWEST} before them {wording.amount(change.before)} at that age "
        f"({wording.change(change.share)})"
    )
    if not change.fell:
        return Verdict(True, f"{text}.", facts)
    return Verdict(
        False,
        f"{text}. Cohorts lay so close together that chance makes such a fall in {change.chance:.1%} of cases: see "
        "which channels or offers the new customers came by.",
        facts,
    )
