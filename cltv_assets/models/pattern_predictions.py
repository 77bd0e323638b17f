"""Predictions for patterns, from any fitted purchase model or a mixture of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cltv_assets.errors import ModelError
from cltv_assets.models.arrays import BoolArray, FloatArray, IntArray
from cltv_assets.models.distinct import Distinct
from cltv_assets.models.estimation.fits import PurchaseFit
from cltv_assets.models.mixture import Component, Mixture
from cltv_assets.models.purchase.living import Living, mixed
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
    low_share, high_share : arrays of float64, shape (n, I)
        What an outcome at each end counts for, see `end_shares`.
    """

    p_alive: FloatArray
    expected_purchases: FloatArray
    low: FloatArray
    high: FloatArray
    low_share: FloatArray
    high_share: FloatArray


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
    low, high = (purchase_quantiles(components, patterns, interval_ends, end) for end in (LOW, HIGH))
    low_share, high_share = end_shares(components, patterns, interval_ends, low, high)
    return PatternPredictions(
        p_alive=mixture.p_alive(patterns),
        expected_purchases=mixture.expected_purchases(patterns, ends),
        low=low,
        high=high,
        low_share=low_share,
        high_share=high_share,
    )


def end_shares(
    components: Sequence[Component],
    patterns: Patterns,
    horizons: FloatArray,
    low: FloatArray,
    high: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Return what an outcome at the lower and at the upper end counts for, so that intervals hold 80 % exactly.

    The probabilities of counts do not fit a tenth, so that intervals from count to count hold more than 80 % of
    outcomes. Judged by F(N - 1) + V P(N), V being uniform, they hold 80 % (Smith 1985, Diagnostic Checks of
    Non-Standard Time Series Models, Journal of Forecasting 4, 283-291). An outcome at an end is then inside with
    the probability (F(low) - 0.1) / P(low), or (0.9 - F(high - 1)) / P(high), and 0.8 / P where both ends are the
    same. This probability in place of chance makes coverage a figure without noise of its own (Czado, Gneiting and
    Held 2009, Predictive Model Assessment for Count Data, Biometrics 65, 1254-1261).

    Parameters
    ----------
    low, high : arrays of float64, shape (n, H)
        Of `purchase_quantiles`.
    """
    tails = _Tails(components, patterns, horizons)
    rows = np.arange(low.size)

    def reached(counts: FloatArray) -> FloatArray:
        some = counts.ravel()
        found = np.where(some > 0, tails.at_least(rows, np.maximum(some, 1.0)), 1.0)
        return np.asarray(found.reshape(counts.shape), dtype=np.float64)

    low_from, low_past, high_from, high_past = (reached(counts) for counts in (low, low + 1.0, high, high + 1.0))
    # P(N >= m) rather than F, because of rare buyers F is 1 to most digits.
    low_share = (1.0 - LOW - low_past) / np.maximum(low_from - low_past, 1e-300)
    high_share = (high_from - (1.0 - HIGH)) / np.maximum(high_from - high_past, 1e-300)
    same = (HIGH - LOW) / np.maximum(low_from - low_past, 1e-300)
    alike = low == high
    return (
        np.clip(np.where(alike, same, low_share), 0.0, 1.0),
        np.clip(np.where(alike, same, high_share), 0.0, 1.0),
    )


def purchase_quantiles(
    components: Sequence[Component], patterns: Patterns, horizons: FloatArray, probability: float
) -> FloatArray:
    """Return the smallest n with P(purchases <= n) >= ``probability`` by models that predict together, shape (n, H).

    The models give P(purchases >= m), so doubling and bisection on m find the quantile exactly,
    for the heaviest buyers too. Most patterns are settled by the first step and leave the search.
    """
    exceed = 1.0 - probability
    tails = _Tails(components, patterns, horizons)

    def likely(active: IntArray, counts: FloatArray) -> BoolArray:
        """Whether at least that many purchases are too likely for the quantile to be smaller."""
        return np.asarray(tails.at_least(active, counts) > exceed)

    # Always: the quantile is at least `known`, and below `above` once that is finite.
    known = np.zeros(len(patterns) * len(horizons))
    above = np.full(len(known), np.inf)
    active = np.arange(len(known))
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


class _Tails:
    """P(purchases >= m) of each pattern at each horizon, a row for each pair; equal ones are computed once."""

    def __init__(self, components: Sequence[Component], patterns: Patterns, horizons: FloatArray) -> None:
        self._parts = [_ComponentTails(one, patterns, horizons) for one in components]

    def at_least(self, rows: IntArray, counts: FloatArray) -> FloatArray:
        """Return P(purchases >= m) of the given rows for ``counts`` m >= 1, shape (len(rows),)."""
        tails = [part.at_least(rows, counts) for part in self._parts]
        return sum(tails[1:], start=tails[0])


class _ComponentTails:
    """What one model of a mixture adds to them."""

    def __init__(self, component: Component, patterns: Patterns, horizons: FloatArray) -> None:
        self._model, self._parameters = component.model, component.parameters
        rows = np.repeat(np.arange(len(patterns)), len(horizons))
        self._alive = component.weight * self._model.p_alive(self._parameters, patterns)[rows]
        # There are far fewer states of the living than patterns.
        living = Living.of(self._model, self._parameters, patterns)
        self._states = living.states.take(np.repeat(np.arange(len(living.states)), len(horizons)))
        self._times = np.tile(horizons, len(living.states))
        kinds = living.index[:, None, :] * len(horizons) + np.arange(len(horizons))[:, None]
        self._kinds = kinds.reshape(len(rows), living.index.shape[1])
        self._weights = None if living.weights is None else living.weights[rows]

    def at_least(self, rows: IntArray, counts: FloatArray) -> FloatArray:
        kinds, weights = self._kinds[rows], None if self._weights is None else self._weights[rows]
        number = Distinct.whole(counts.astype(np.int64))
        alike = Distinct.whole((number.index[:, None] * len(self._times) + kinds).ravel())
        at, of = alike.values % len(self._times), number.values[alike.values // len(self._times)].astype(np.float64)
        tails = self._model.at_least_given_alive(self._parameters, self._states.take(at), self._times[at], of)
        return np.asarray(self._alive[rows] * mixed(tails[alike.index].reshape(kinds.shape), weights))


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
    mixture = Mixture.of(fit)
    n = len(patterns)
    mean, square = np.zeros(n), np.zeros(n)
    active = np.arange(n)
    m = 0
    while len(active):
        m += 1
        times, counts = np.full(len(active), horizon), np.full(len(active), float(m))
        tail = mixture.at_least(patterns.take(active), times, counts)
        mean[active] += tail
        square[active] += (2 * m - 1) * tail
        active = active[tail > _NEGLIGIBLE]
    variance = inner(customers, square - mean**2)
    return inner(customers, mean), math.sqrt(max(variance, 0.0))
