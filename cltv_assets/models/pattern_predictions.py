"""Predictions for patterns, from any fitted purchase model or a mixture of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cltv_assets.errors import ModelError
from cltv_assets.models.arrays import FloatArray
from cltv_assets.models.distinct import Distinct, Pairs
from cltv_assets.models.estimation.fits import PurchaseFit
from cltv_assets.models.mixture import Component, Mixture
from cltv_assets.models.sufficient_statistics import Patterns, inner

#: Ends of the prediction interval: 80 % of outcomes lie within, a tenth at most on each side.
LOW, HIGH = 0.1, 0.9

#: An interval end is not searched beyond this: only absurd times lead to a trillion purchases.
_MAX_COUNT = 2.0**40

#: Tails P(N >= m) below this no longer count in a total.
_NEGLIGIBLE = 1e-9


@dataclass(frozen=True, eq=False)
class PatternPredictions:
    """What patterns are expected to buy.

    Parameters
    ----------
    p_alive : array of float64, shape (n,)
        Probability that the customer still buys at all.
    expected_purchases : array of float64, shape (n, H)
        Expected purchases from the observation end up to each horizon.
    low, high : arrays of float64, shape (n, I)
        Ends of the 80 % prediction interval at each interval horizon: the smallest
        counts that at least a tenth, and nine tenths, of outcomes do not exceed.
    """

    p_alive: FloatArray
    expected_purchases: FloatArray
    low: FloatArray
    high: FloatArray


def predict_patterns(
    fit: PurchaseFit | Mixture,
    frequency: npt.ArrayLike,
    recency: npt.ArrayLike,
    T: npt.ArrayLike,
    horizons: npt.ArrayLike,
    interval_horizons: npt.ArrayLike | None = None,
) -> PatternPredictions:
    """Predict each pattern's purchases after the observation end.

    Parameters
    ----------
    fit : PurchaseFit or Mixture
        Of any models, with status ``fitted`` or ``boundary``.
    frequency, recency, T : array-like, shape (n,)
        The patterns, in the time unit of the fit; n may be 0.
    horizons : array-like, shape (H,)
        Times after the observation end, in the same unit: for a year by months, the
        twelve month ends.
    interval_horizons : array-like, shape (I,), optional
        Where intervals are wanted; by default at every horizon.

    Raises
    ------
    ModelError
        If the model was not fitted, a pattern is impossible or a horizon is not a
        finite, positive time.
    """
    mixture = Mixture.of(fit)
    components = mixture.components
    patterns = Patterns(np.asarray(frequency), np.asarray(recency), np.asarray(T))
    ends = _horizons(horizons)
    interval_ends = ends if interval_horizons is None else _horizons(interval_horizons)
    return PatternPredictions(
        p_alive=mixture.p_alive(patterns),
        expected_purchases=mixture.expected_purchases(patterns, ends),
        low=purchase_quantiles(components, patterns, interval_ends, LOW),
        high=purchase_quantiles(components, patterns, interval_ends, HIGH),
    )


def purchase_quantiles(
    components: Sequence[Component], patterns: Patterns, horizons: FloatArray, probability: float
) -> FloatArray:
    """Return the smallest n with P(purchases <= n) >= ``probability`` by models that predict together, shape (n, H).

    The models give P(purchases >= m), so doubling and bisection on m find the quantile exactly,
    for the heaviest buyers too. Most patterns are settled by the first step and leave the search.
    """
    exceed = 1.0 - probability
    rows = np.repeat(np.arange(len(patterns)), len(horizons))
    alive = [one.weight * one.model.p_alive(one.parameters, patterns)[rows] for one in components]
    # The future of a living customer depends on frequency and T: there are far fewer of these than patterns.
    pairs = Pairs.of(patterns.frequency, Distinct.of(patterns.T))
    kinds = Patterns.unchecked(
        *(np.repeat(each, len(horizons)) for each in (pairs.x, np.zeros(len(pairs.x)), pairs.ages))
    )
    times = np.tile(horizons, len(pairs.x))
    kind = (pairs.index[:, None] * len(horizons) + np.arange(len(horizons))).ravel()

    def likely(active: npt.NDArray[np.int64], counts: FloatArray) -> npt.NDArray[np.bool_]:
        """Whether at least that many purchases are too likely for the quantile to be smaller."""
        number = Distinct.whole(counts.astype(np.int64))
        alike = Distinct.whole(number.index * len(times) + kind[active])
        at, of = alike.values % len(times), number.values[alike.values // len(times)].astype(np.float64)
        some, ahead = kinds.take(at), times[at]
        chances = [
            mine[active] * one.model.at_least_given_alive(one.parameters, some, ahead, of)[alike.index]
            for one, mine in zip(components, alive, strict=True)
        ]
        return np.asarray(sum(chances[1:], start=chances[0]) > exceed)

    # Always: the quantile is at least `known`, and below `above` once that is finite.
    known = np.zeros(len(rows))
    above = np.full(len(rows), np.inf)
    active = np.arange(len(rows))
    reach = 1.0
    while len(active) and reach < _MAX_COUNT:
        more = likely(active, np.full(len(active), reach))
        above[active[~more]] = reach
        known[active[more]] = reach
        active, reach = active[more], reach * 2.0
    active = np.flatnonzero(np.isfinite(above) & (above - known > 1.0))
    while len(active):
        middle = np.floor((known[active] + above[active]) / 2.0)
        more = likely(active, middle)
        known[active[more]] = middle[more]
        above[active[~more]] = middle[~more]
        active = active[above[active] - known[active] > 1.0]
    return known.reshape(len(patterns), len(horizons))


def _horizons(values: npt.ArrayLike) -> FloatArray:
    ends = np.asarray(values, dtype=np.float64)
    if ends.ndim != 1 or not (np.isfinite(ends) & (ends > 0)).all():
        raise ModelError(f"The horizons {ends.tolist()} are not positive times.", "Give each as a finite time above 0.")
    return ends


def expected_total(
    fit: PurchaseFit | Mixture, patterns: Patterns, customers: FloatArray, horizon: float
) -> tuple[float, float]:
    """Return mean and standard deviation of the purchases of all customers up to ``horizon``.

    Customers are independent given the parameters, which are taken as known. The tails of a count N
    give its moments: E[N] is the sum over m >= 1 of P(N >= m), and E[N^2] that of (2m - 1) P(N >= m).

    Parameters
    ----------
    fit : PurchaseFit or Mixture
        A fitted model, or several with weights.
    patterns : Patterns
        Shape (n,), in the fit's time unit.
    customers : array of float64, shape (n,)
        Customers of each pattern.
    horizon : float
        Time after the observation end. It should be short, since the sum runs over every
        count that is not impossible.

    Raises
    ------
    ModelError
        If the model was not fitted.
    """
    components = Mixture.of(fit).components
    n = len(patterns)
    alive = [one.weight * one.model.p_alive(one.parameters, patterns) for one in components]
    mean, square = np.zeros(n), np.zeros(n)
    active = np.arange(n)
    m = 0
    while len(active):
        m += 1
        times, counts = np.full(len(active), horizon), np.full(len(active), float(m))
        some = patterns.take(active)
        tail = np.zeros(len(active))
        for one, mine in zip(components, alive, strict=True):
            tail += mine[active] * one.model.at_least_given_alive(one.parameters, some, times, counts)
        mean[active] += tail
        square[active] += (2 * m - 1) * tail
        active = active[tail > _NEGLIGIBLE]
    variance = inner(customers, square - mean**2)
    return inner(customers, mean), math.sqrt(max(variance, 0.0))
