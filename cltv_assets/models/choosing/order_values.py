"""Which way of expecting order values is best: rolling holdouts inside the history, judged by a score for means.

An expected value e of an order that then brought z is judged by z / e + ln e. Like the squared error it is smallest in
expectation at the true mean (Gneiting 2011, Making and Evaluating Point Forecasts, JASA 106, 746-762; Patton 2011,
Volatility Forecast Comparison Using Imperfect Volatility Proxies, Journal of Econometrics 160, 246-256), but it counts
errors as shares of e: few large orders do not decide it. Orders count one by one, and differences are paired.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from cltv_assets.errors import ModelError
from cltv_assets.models import gamma_gamma
from cltv_assets.models.arrays import FloatArray, IntArray
from cltv_assets.models.choosing.holdout_scores import MIN_FOLDS, pooled
from cltv_assets.models.estimation.fitting import fit_spend_model
from cltv_assets.models.sufficient_statistics import SpendStatistics
from cltv_assets.models.value_trend import ValueTrend

#: Standard errors by which a candidate must be better. Two: it is tried only where the data tell of what it is for.
NOISE = 2.0


@dataclass(frozen=True, eq=False)
class ValueFold:
    """One holdout of order values: customers known at an origin, by pattern, and what they then spent.

    Parameters
    ----------
    origin : str
        The month at whose end these customers were known.
    frequency : array of int64, shape (n,)
        Repeat purchases then.
    monetary_value, lifted_value : arrays of float64, shape (n,)
        Mean value of these, and the same at the origin's level where order values had a trend; 0 without any.
    customers, buyers : arrays of float64, shape (n,)
        How many, and how many of them bought in the holdout.
    orders, spend : arrays of float64, shape (n,)
        Purchase days in the holdout, and what they brought, in sum.
    orders_squares, spend_squares, orders_spend : arrays of float64, shape (n,)
        Sums over customers of their squares and product.
    growth : float
        By what the level of the holdout's orders lies above the origin's if the trend known there goes on; 1 if
        none was known.
    """

    origin: str
    frequency: IntArray
    monetary_value: FloatArray
    lifted_value: FloatArray
    customers: FloatArray
    buyers: FloatArray
    orders: FloatArray
    spend: FloatArray
    orders_squares: FloatArray
    spend_squares: FloatArray
    orders_spend: FloatArray
    growth: float

    def statistics(self, values: FloatArray) -> SpendStatistics:
        """Return what a spend model is fitted on: repeat customers of positive value."""
        fitted = (self.frequency > 0) & (values > 0)
        return SpendStatistics(self.frequency[fitted], values[fitted], self.customers[fitted])

    def expected(self, values: FloatArray, *, by_frequency: bool = False) -> FloatArray | None:
        """Return expected order values by a model fitted on ``values`` of this fold; None where none can be fitted."""
        try:
            fit = fit_spend_model(self.statistics(values), by_frequency=by_frequency)
        except ModelError:
            # The search failed on this fold: it cannot judge.
            return None
        if fit.status == "not_fitted":
            return None
        return gamma_gamma.expected_value(fit.usable_parameters(), self.frequency, values)

    def error(self, expected: FloatArray) -> float | None:
        """Return expected over actual spend of the orders made, minus 1; None where they brought nothing."""
        spend = float(self.spend.sum())
        return float((self.orders * expected).sum()) / spend - 1.0 if spend > 0 else None


#: Expected order values in each fold, by candidate; all of the same folds.
Expectations = Mapping[str, Sequence[FloatArray]]

#: What may be done about a trend: nothing; order values at the level of the observation's end; that, and the trend goes
#: on.
NONE, LEVEL, GOES_ON = "none", "level", "goes_on"


@dataclass(frozen=True)
class ValueChoice:
    """How order values are expected.

    Parameters
    ----------
    trend_use : str or None
        What is done about a trend, as above; None where there is none beyond chance.
    reason : str
        Why, in plain words.
    errors : mapping of str to float
        Expected over actual spend of the orders made, minus 1, by the origin of each holdout.
    expected : mapping of str to array of float64
        Expected order values in each holdout, by its origin.
    """

    trend_use: str | None
    reason: str
    errors: Mapping[str, float]
    expected: Mapping[str, FloatArray] = field(default_factory=dict)


#: The likelihood ratio beyond which order values may depend on frequency: chi-squared with one degree of freedom
#: exceeds it once in a thousand.
DEPENDS = 10.83


def choose_by_frequency(folds: Sequence[ValueFold], choice: ValueChoice) -> ValueChoice | None:
    """Return the choice with order values that depend on frequency; None where the holdouts are not for it.

    Parameters
    ----------
    folds : sequence of ValueFold
    choice : ValueChoice
        What was chosen without such a dependence.
    """
    judged, onward = [], {}
    for fold in folds:
        if fold.origin not in choice.expected:
            continue
        known = fold.growth != 1.0 and choice.trend_use in {LEVEL, GOES_ON}
        expected = fold.expected(fold.lifted_value if known else fold.monetary_value, by_frequency=True)
        if expected is None:
            continue
        onward[fold.origin] = expected * (fold.growth if known and choice.trend_use == GOES_ON else 1.0)
        judged.append(fold)
    plain, other = "independent", "by_frequency"
    candidates = {
        plain: [choice.expected[fold.origin] for fold in judged],
        other: [onward[fold.origin] for fold in judged],
    }
    if first_unbeaten(judged, candidates, (plain, other)) == plain:
        return None
    better, error = gain(judged, candidates[other], candidates[plain])
    reason = (
        f"{choice.reason}; order values that depend on frequency are better in {len(judged)} holdouts, by "
        f"{better:.4f} ± {error:.4f} in z / e + ln e a customer"
    )
    errors = {fold.origin: each for fold in judged if (each := fold.error(onward[fold.origin])) is not None}
    return replace(choice, reason=reason, errors=errors, expected=onward)


def choose(folds: Sequence[ValueFold], trend: ValueTrend | None) -> ValueChoice:
    """Choose how order values are expected, by holdouts inside the history.

    Parameters
    ----------
    folds : sequence of ValueFold
    trend : ValueTrend or None
        What the whole history tells of a trend.
    """
    judged = [fold for fold in folds if fold.buyers.sum() > 0 and fold.spend.sum() > 0]
    plain = {fold.origin: fold.expected(fold.monetary_value) for fold in judged}
    judged = [fold for fold in judged if plain[fold.origin] is not None]
    found = {fold.origin: each for fold in judged if (each := plain[fold.origin]) is not None}
    use, reason = None, "order values have no trend beyond chance"
    if trend is not None and trend.beyond_chance:
        at_level = {fold.origin: fold.expected(fold.lifted_value) for fold in judged}
        # A holdout tells of a trend only if the trend was known at its origin.
        telling = [fold for fold in judged if fold.growth != 1.0 and at_level[fold.origin] is not None]
        level = {fold.origin: each for fold in telling if (each := at_level[fold.origin]) is not None}
        onward = {fold.origin: level[fold.origin] * fold.growth for fold in telling}
        ways = {NONE: found, LEVEL: level, GOES_ON: onward}
        candidates = {name: [way[fold.origin] for fold in telling] for name, way in ways.items()}
        use = first_unbeaten(telling, candidates, (NONE, LEVEL, GOES_ON))
        found = found | ways[use]
        reason = _trend_reason(telling, candidates, use)
    errors = {fold.origin: error for fold in judged if (error := fold.error(found[fold.origin])) is not None}
    return ValueChoice(use, reason, errors, found)


def _trend_reason(folds: Sequence[ValueFold], candidates: Expectations, use: str) -> str:
    """Say what the holdouts tell of the ways to meet a trend."""
    if len(folds) < MIN_FOLDS:
        return f"the trend was known at the origin of {len(folds)} holdouts, and it takes {MIN_FOLDS} to go by it"
    missed = {
        name: root_mean_square([each for fold, one in zip(folds, way, strict=True) if (each := fold.error(one))])
        for name, way in candidates.items()
    }
    words = {NONE: "the mean of all orders", LEVEL: "today's level", GOES_ON: "a trend that goes on"}
    told = ", ".join(f"{words[name]} by {error or 0.0:.0%}" for name, error in missed.items())
    better = "none of the others is better beyond noise" if use == NONE else f"{words[use]} is better beyond noise"
    return f"what orders brought in {len(folds)} holdouts was missed by {told}: {better}"


def first_unbeaten(folds: Sequence[ValueFold], expectations: Expectations, preference: Sequence[str]) -> str:
    """Return the first of ``preference`` that no other candidate beats beyond noise on these folds."""
    if len(folds) < MIN_FOLDS:
        return preference[0]

    def beaten(name: str) -> bool:
        gains = (gain(folds, expectations[other], expectations[name]) for other in preference if other != name)
        return any(mean > NOISE * error for mean, error in gains)

    return next((name for name in preference if not beaten(name)), preference[0])


def gain(folds: Sequence[ValueFold], better: Sequence[FloatArray], other: Sequence[FloatArray]) -> tuple[float, float]:
    """Return by how much the score of ``better`` is lower a customer who bought, and the standard error of that."""
    means, variances, buyers = [], [], []
    for fold, ours, theirs in zip(folds, better, other, strict=True):
        # A customer's difference of scores is a z + b n, with z spent in n orders.
        a, b = 1.0 / theirs - 1.0 / ours, np.log(theirs / ours)
        number = float(fold.buyers.sum())
        mean = float((a * fold.spend + b * fold.orders).sum()) / number
        squares = float(
            (a * a * fold.spend_squares + 2 * a * b * fold.orders_spend + b * b * fold.orders_squares).sum()
        )
        means.append(mean)
        variances.append(max(squares / number - mean * mean, 0.0) / number)
        buyers.append(number)
    return pooled(means, variances, buyers)


def root_mean_square(errors: Sequence[float]) -> float | None:
    """Return the root mean square; None of nothing."""
    return math.sqrt(sum(each * each for each in errors) / len(errors)) if errors else None
