"""A common seasonal index of purchase intensity by calendar month, and models fitted with it.

The index comes from observed and expected repeat purchases. Expected ones are the sum over cohorts of
customers x (E[X(t')] - E[X(t)]), t and t' being a month's two ends since the cohort's first
purchase on the clock in use. Index and parameters alternate until they settle: the maximum
likelihood equations of a multiplicative intensity lead to the same ratio, with the expectation given each
history in place of the cohort's.

An index is only as good as the years that it was seen in. The log of each month's ratio is
therefore drawn to the mean of all, as far as counting noise and, where years can be compared,
their disagreement would produce it without any season (the moment estimator of DerSimonian and Laird
(1986), Controlled Clinical Trials 7, 177-188). Growth, decay, or a first year of customers who are older
than the data make years differ too, in all months alike: a trend is taken out first. A month that was
seen once is drawn by half, because one year cannot tell a season from whatever else happened in it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from cltv_assets.models.arrays import BoolArray, FloatArray, IntArray
from cltv_assets.models.choosing.histories import (
    AVERAGE_DAYS,
    DateArray,
    Histories,
    OperationalTime,
    calendar_month,
    normalised,
)
from cltv_assets.models.estimation.fits import PurchaseFit
from cltv_assets.models.estimation.fitting import fit_purchase_model, quick_parameters
from cltv_assets.models.purchase.registry import model_named
from cltv_assets.models.sufficient_statistics import Parameters, Patterns

#: Models that are exact on operational time: their customers drop out at purchases, or never.
SEASONAL_MODELS = ("bg_nbd", "mbg_nbd", "nbd")

#: A calendar month counts as seen from this share of its days.
_SEEN = 0.8
#: Times that a calendar month must have been seen to be believed in full.
_BELIEVED = 2.0
#: A month's repeat purchases count in the comparison of years from this many expected ones.
_COMPARABLE = 5.0
#: A trend has a piece for so many months that were seen in another year too: six differences between years a slope.
_AGAIN_PER_PIECE = 6
#: Effects whose singular value is below this share of the largest cannot be told apart.
_SINGULAR = 1e-9
#: The mean curve is tabulated at this many ages, and linear in between.
_AGES = 600


@dataclass(frozen=True, eq=False)
class MonthCounts:
    """Observed purchases by month.

    Parameters
    ----------
    months : array of datetime64[M], shape (k,)
        Consecutive months, ascending.
    purchases : array of float64, shape (k,)
        Purchase days of all customers, first purchases included.
    """

    months: DateArray
    purchases: FloatArray

    @classmethod
    def of(cls, months: DateArray, purchases: FloatArray) -> MonthCounts:
        """Fill months without a purchase."""
        if not len(months):
            return cls(np.array([], dtype="datetime64[M]"), np.zeros(0))
        every = np.arange(months.min(), months.max() + 1, dtype="datetime64[M]")
        counts = np.zeros(len(every))
        counts[(months - every[0]).astype(np.int64)] = purchases
        return cls(every, counts)

    def repeat_purchases(self, histories: Histories) -> MonthCounts:
        """Return repeat purchases up to the histories' end: without each customer's first one."""
        last = histories.end.astype("datetime64[M]")
        months = np.arange(histories.first_day.astype("datetime64[M]"), last + 1, dtype="datetime64[M]")
        counts = np.zeros(len(months))
        mine = (self.months >= months[0]) & (self.months <= last)
        counts[(self.months[mine] - months[0]).astype(np.int64)] = self.purchases[mine]
        days, customers = histories.cohorts()
        started = (days.astype("datetime64[M]") - months[0]).astype(np.int64)
        return MonthCounts(months, counts - np.bincount(started, weights=customers, minlength=len(months)))


@dataclass(frozen=True, eq=False)
class Season:
    """A seasonal index, shape (12,), and a model's parameters on its clock."""

    index: FloatArray
    parameters: Parameters


def times_seen(first: np.datetime64, end: np.datetime64) -> FloatArray:
    """Return how often each calendar month was seen from ``first`` to ``end``, by days, shape (12,)."""
    days = np.arange(first, end + np.timedelta64(1, "D"), dtype="datetime64[D]")
    return np.bincount(calendar_month(days), minlength=12) / AVERAGE_DAYS


def all_seen(first: np.datetime64, end: np.datetime64, wanted: IntArray | None = None) -> bool:
    """Return whether every calendar month (of ``wanted``, 0 to 11) was seen from ``first`` to ``end``."""
    seen = times_seen(first, end) >= _SEEN
    return bool((seen if wanted is None else seen[wanted]).all())


def find_season(
    histories: Histories,
    counts: MonthCounts,
    name: str,
    start: Parameters,
    days_per_unit: int,
    *,
    rounds: int = 8,
    tolerance: float = 2e-3,
) -> Season:
    """Find a model's seasonal index and its parameters together.

    Parameters
    ----------
    histories : Histories
        Of all customers.
    counts : MonthCounts
        Purchases by month; those after the histories' end are not looked at.
    name : str
        One of `SEASONAL_MODELS`.
    start : mapping of str to float
        The model's parameters on plain time.
    days_per_unit : int
        Days in the model's time unit.
    rounds : int
        Alternations at most.
    tolerance : float
        The alternation ends when no log intensity moves by more than this.

    Raises
    ------
    ModelError
        If a fit does not converge.
    """
    observed, seen = counts.repeat_purchases(histories), times_seen(histories.first_day, histories.end)
    index, parameters = np.ones(12), start
    for _ in range(rounds):
        clock = OperationalTime(index, days_per_unit)
        new = shrunk_index(
            observed, expected_purchases(histories, observed.months, name, parameters, clock), index, seen
        )
        moved = float(np.max(np.abs(np.log(new / index))))
        index = new
        parameters = quick_parameters(histories.statistics(OperationalTime(index, days_per_unit)), name, parameters)
        if moved <= tolerance:
            break
    return Season(index, parameters)


def fit_on_season(
    histories: Histories, counts: MonthCounts, name: str, season: Season, days_per_unit: int
) -> PurchaseFit:
    """Fit a model on the clock of a season, with the evidence of a whole fit.

    Its log-likelihood is that of the purchases on the calendar, comparable with that of a fit without season of
    the same customers. Its AIC counts eleven parameters more. Standard errors take the index as known.

    Raises
    ------
    ModelError
        If it does not converge.
    """
    statistics = histories.statistics(OperationalTime(season.index, days_per_unit))
    fit = fit_purchase_model(statistics, name, start=season.parameters)
    return on_the_calendar(fit, season.index, counts.repeat_purchases(histories))


def on_the_calendar(fit: PurchaseFit, index: FloatArray, observed: MonthCounts) -> PurchaseFit:
    """Return a fit on operational time with the log-likelihood of purchase times on the calendar.

    A density per unit of operational time becomes one per unit of calendar time when it
    is multiplied by s on the day of each repeat purchase.
    """
    if fit.log_likelihood is None or fit.aic is None:
        return fit
    density = float((observed.purchases * np.log(index[calendar_month(observed.months)])).sum())
    return replace(fit, log_likelihood=fit.log_likelihood + density, aic=fit.aic - 2.0 * density + 22.0)


def expected_purchases(
    histories: Histories, months: DateArray, name: str, parameters: Parameters, clock: OperationalTime
) -> FloatArray:
    """Return the repeat purchases that a model expects in each month of the cohorts' lives, shape (k,)."""
    days, customers = histories.cohorts()
    edges = np.minimum(np.append(months, months[-1] + 1).astype("datetime64[D]") - 1, histories.end)
    ages = np.maximum(clock.elapsed(days[:, None], edges[None, :]), 0.0)
    # The mean rises steeply at first: ages evenly spaced in their square roots.
    table = np.linspace(0.0, np.sqrt(max(float(ages.max()), 1.0)), _AGES) ** 2
    mean = model_named(name).expected_purchases(parameters, Patterns.newcomer(), table[1:])
    total = np.interp(ages, table, np.concatenate(([0.0], mean[0])))
    return np.asarray(np.diff((customers[:, None] * total).sum(axis=0)), dtype=np.float64)


def shrunk_index(observed: MonthCounts, expected: FloatArray, index: FloatArray, seen: FloatArray) -> FloatArray:
    """Return the index that observed over expected purchases support.

    ``expected`` are by month with ``index`` in force; ``seen`` says how often each calendar month was seen.
    """
    month = calendar_month(observed.months)
    trend, disagreement = _trend_and_disagreement(observed, expected, month)
    expected = expected * np.exp(trend)
    total = np.bincount(month, weights=observed.purchases, minlength=12)
    due = np.bincount(month, weights=expected, minlength=12)
    told = due >= 1.0
    if told.sum() < 2:
        return np.ones(12)
    # Half a purchase on both sides keeps the log finite where there was none.
    ratio = np.log(index) + np.log((total + 0.5) / (due + 0.5))
    years = np.bincount(month, weights=(expected > 0).astype(np.float64), minlength=12)
    noise = 1.0 / (due + 0.5) + disagreement / np.maximum(years, 1.0)
    between, centre = _between(ratio[told], noise[told])
    belief = np.minimum(seen / _BELIEVED, 1.0) * between / (between + noise)
    return normalised(np.exp(np.where(told, belief * (ratio - centre), 0.0)))


def _trend_and_disagreement(observed: MonthCounts, expected: FloatArray, month: IntArray) -> tuple[FloatArray, float]:
    """Return the trend of the months' log ratios, shape (k,), and their variance about it beyond that of counting.

    A log ratio is the sum of a calendar month's effect, a trend that is linear in pieces of about a year, counting
    noise and what only that month of that year had. Weighted least squares give the trend. The moment estimator for
    a regression (Thompson and Sharp (1999), Statistics in Medicine 18, 2693-2708) gives the variance of the last.
    """
    usable: BoolArray = expected >= _COMPARABLE
    none = np.zeros(len(expected))
    if not usable.any():
        return none, 0.0
    at, weights = month[usable], expected[usable]
    ratio = np.log((observed.purchases[usable] + 0.5) / (weights + 0.5))
    seen = np.unique(at)
    again = len(at) - len(seen)
    place = np.arange(len(expected), dtype=np.float64)
    first, last = place[usable][0], place[usable][-1]
    pieces = min(math.ceil((last - first + 1.0) / 12.0), again // _AGAIN_PER_PIECE)
    knots = np.linspace(first, last, pieces + 1)
    # The trend's values at the knots; its level is in the calendar months' effects.
    hats = np.array([np.interp(place, knots, unit) for unit in np.eye(pieces + 1)]).T[:, 1:]
    design = np.column_stack(((at[:, None] == seen[None, :]).astype(np.float64), hats[usable]))
    left, sizes, right = np.linalg.svd(design * np.sqrt(weights)[:, None], full_matrices=False)
    told = sizes > _SINGULAR * sizes[0]
    left, right = left[:, told], right[told]
    effects = right.T @ (left.T @ (np.sqrt(weights) * ratio) / sizes[told])
    freedom = len(at) - int(told.sum())
    scale = float(weights.sum() - (left**2 * weights[:, None]).sum())
    trend = hats @ effects[len(seen) :]
    if freedom < 1 or scale <= 0:
        return trend, 0.0
    misses = ratio - design @ effects
    return trend, max(0.0, (float((weights * misses**2).sum()) - freedom) / scale)


def _between(ratio: FloatArray, noise: FloatArray) -> tuple[float, float]:
    """Return the variance of the true log intensities over months, and their mean."""
    weights = 1.0 / noise
    mean = float((weights * ratio).sum() / weights.sum())
    spread = float((weights * (ratio - mean) ** 2).sum()) - (len(ratio) - 1)
    between = max(0.0, spread / float(weights.sum() - (weights**2).sum() / weights.sum()))
    weights = 1.0 / (noise + between)
    return between, float((weights * ratio).sum() / weights.sum())
