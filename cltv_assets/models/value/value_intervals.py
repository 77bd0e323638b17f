"""The interval of a customer's value: how many purchases, and how large.

The purchase model gives the number of purchases N. Each is worth Z ~ Gamma(p, nu), and after x
repeat purchases of mean m the Gamma-Gamma model has nu ~ Gamma(q + p x, v + x m) (Fader
and Hardie, 2013, http://www.brucehardie.com/notes/025/, section 3). So n purchases
are worth S with S / (v + x m) ~ BetaPrime(p n, q + p x), whatever m: a gamma variable divided
by an independent one. Hence the quantiles of a customer's value are kappa(pattern) (v + x m), and
kappa is found once for each pattern. With A(m) = P(at least m purchases | alive),

    P(S > z (v + x m)) = P(alive) G(z),   G(z) = sum over m >= 1 of A(m) (F(m, z) - F(m - 1, z)),

F(n, z) being the upper tail of BetaPrime(p n, q + p x), an incomplete beta function, and
F(0, z) = 0. G depends on the customer's state alone, or is the mean over those that it may be in. Of models that
predict together, the weighted sum of P(alive) G is taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import betaincc, betainccinv, betaincinv

from cltv_assets.models.arrays import FloatArray, IntArray
from cltv_assets.models.mixture import Component
from cltv_assets.models.pattern_predictions import HIGH, LOW
from cltv_assets.models.sufficient_statistics import Parameters, Patterns
from cltv_assets.models.value.future_counts import AgeGrid, CountTails, FrequencyGroup, count_tails

#: Neighbouring grid points differ at most by this in G, if refining this often gets there.
_STEP, _ROUNDS = 0.03, 7

#: Points that the grid starts with, evenly in ln z.
_POINTS = 25

#: Below this quantile of a single purchase G is taken to be linear.
_LEAST = 1e-3

#: Quantiles found at once: their temporary arrays stay within the cache.
_BLOCK = 8_192

#: Customers whose G is kept at once, where each has its own: 4,096 times a hundred points at three horizons are 10 MB.
_CURVES = 4_096


@dataclass(frozen=True, eq=False)
class ValueCurve:
    """P(value > z (v + x m) | alive) of one frequency, by each of C models, at nodes and horizons.

    Parameters
    ----------
    log_z : array of float64, shape (J,)
        Ascending.
    exceed : sequence of C arrays of float64, shape (K, H, J)
        G at each node of the model, horizon and z; falling.
    any_purchase : sequence of C arrays of float64, shape (K, H)
        G at 0: the probability of a purchase at all.
    """

    log_z: FloatArray
    exceed: Sequence[FloatArray]
    any_purchase: Sequence[FloatArray]


def value_curve(spend: Parameters, frequency: int, tails: Sequence[CountTails]) -> ValueCurve:
    """Compute G of one frequency from each model's tails, on one grid that is finer where a G falls faster."""
    p, shape = spend["p"], spend["q"] + spend["p"] * frequency
    sums = [one.for_sums() for one in tails]
    longest = max((one.edges for one in tails), key=len)

    def exceed(log_z: FloatArray) -> list[FloatArray]:
        # The blocks of a shorter tail are the first ones of a longer.
        upper = value_tail(p * longest[1:, None].astype(np.float64), shape, log_z)
        steps = np.diff(upper, axis=0, prepend=0.0)
        return [np.asarray(one @ steps[: one.shape[2]], dtype=np.float64) for one in sums]

    begins, ends = zip(*(_ends(p, shape, one) for one in tails), strict=True)
    log_z = np.linspace(min(begins), max(ends), _POINTS)
    found = exceed(log_z)
    for _ in range(_ROUNDS):
        # No quantile is wanted where G is below LOW.
        large = [((-np.diff(one, axis=2) > _STEP) & (one[:, :, :-1] > LOW / 2.0)).any(axis=(0, 1)) for one in found]
        coarse = np.flatnonzero(np.logical_or.reduce(large))
        if not len(coarse):
            break
        between = (log_z[coarse] + log_z[coarse + 1]) / 2.0
        order = np.argsort(np.concatenate((log_z, between)), kind="stable")
        pairs = zip(found, exceed(between), strict=True)
        found = [np.concatenate((one, more), axis=2)[:, :, order] for one, more in pairs]
        log_z = np.concatenate((log_z, between))[order]
    return ValueCurve(log_z, found, [one.tails[:, :, 0] for one in tails])


def value_tail(sizes: FloatArray, shape: float, log_z: FloatArray) -> FloatArray:
    """Return the upper tails of BetaPrime(size, shape) for sizes of shape (B, 1), shape (B, J).

    Most are 0 or 1 to eight digits, and Chernoff's bound tells which at less cost: with
    w = z / (1 + z) and mu = a / (a + b) the tail of Beta(a, b) on the far side of w is
    at most (w / mu)^a ((1 - w) / (1 - mu))^b, as for a gamma variable over the sum of two.
    """
    # The logistic form keeps the digits of small z where q has run away.
    log_w, log_rest = -np.logaddexp(0.0, -log_z), -np.logaddexp(0.0, log_z)
    log_mean, log_other = np.log(sizes / (sizes + shape)), np.log(shape / (sizes + shape))
    far = sizes * (log_w - log_mean) + shape * (log_rest - log_other)
    upper = np.where(log_w < log_mean, 1.0, 0.0)
    near = far > -18.0
    rows, columns = np.nonzero(near)
    upper[near] = betaincc(sizes[rows, 0], shape, np.exp(log_w)[columns])
    return upper


def _ends(p: float, shape: float, tails: CountTails) -> tuple[float, float]:
    """Return where the grid begins and ends, as ln z: G is below 0.1 at its end."""
    least = float(betaincinv(p, shape, _LEAST))
    # P(S > z) <= P(N >= m) + P(the first m are worth more than z).
    rare = np.flatnonzero((tails.tails <= LOW / 2.0).all(axis=(0, 1)))
    enough = tails.edges[rare[0] + 1] if len(rare) else tails.edges[-1]
    most = float(betainccinv(p * float(enough), shape, LOW / 2.0))
    begin, end = (float(np.log(w) - np.log1p(-w)) for w in (least, most))
    return begin, max(end, begin + 1.0)


def value_quantiles(
    components: Sequence[Component], spend: Parameters, patterns: Patterns, horizons: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return kappa at 10 % and 90 %, shape (n, H) each: the interval of undiscounted value in units of v + x m.

    A quantile is the smallest value that at least a tenth, or nine tenths, of outcomes
    do not exceed; it is 0 where that many buy nothing. It is found to a relative error of 2e-3, or to 1e-3 in
    probability where G hardly falls (3e-3 where p is in the hundreds: values hardly vary and G is a staircase).

    Parameters
    ----------
    components : sequence of Component
        The purchase models that predict together, with their parameters and weights.
    spend : mapping
        p, q and v of the Gamma-Gamma model.
    patterns : Patterns
        n of them.
    horizons : array of float64, shape (H,)
        Times after the observation end, in the time unit of the fit.
    """
    grids = [AgeGrid.of(one.model, one.parameters, patterns, float(horizons.min())) for one in components]
    alive = np.stack([one.weight * one.model.p_alive(one.parameters, patterns) for one in components])
    quantiles = np.zeros((len(patterns), len(horizons), 2))
    for groups in zip(*(grid.groups for grid in grids), strict=True):
        tails = [
            count_tails(one.model, one.parameters, group.steps, group.nodes, horizons, spend["p"])
            for one, group in zip(components, groups, strict=True)
        ]
        curve = value_curve(spend, groups[0].frequency, tails)
        # All models have the same customers in a group, in the same order.
        everyone = groups[0].rows
        many = _CURVES if any(len(group.weights) > _CURVES for group in groups) else len(everyone)
        for first in range(0, len(everyone), many):
            some = slice(first, first + many)
            rows = everyone[some]
            quantiles[rows] = _quantiles(curve, [_places(group, some) for group in groups], alive[:, rows])
    return quantiles[:, :, 0], quantiles[:, :, 1]


def _places(group: FrequencyGroup, some: slice) -> tuple[FloatArray, IntArray]:
    """Return the weights of some customers of a group, and each one's row of them."""
    at = group.at[some]
    if len(group.weights) <= _CURVES:
        return group.weights, at
    return group.weights[at], np.arange(len(at))


def _quantiles(curve: ValueCurve, places: Sequence[tuple[FloatArray, IntArray]], alive: FloatArray) -> FloatArray:
    """Return both quantiles of n customers of one frequency, shape (n, H, 2).

    Parameters
    ----------
    curve : ValueCurve
        By each of C models.
    places : sequence of C pairs
        Of `_places`, by model.
    alive : array of float64, shape (C, n)
        P(alive) of each model times its weight.
    """
    J, H, n = len(curve.log_z), curve.any_purchase[0].shape[1], alive.shape[1]
    points, lines, chances = [], [], []
    for (weights, at), exceed, any_purchase in zip(places, curve.exceed, curve.any_purchase, strict=True):
        g = (weights @ exceed.reshape(len(exceed), H * J)).reshape(-1, H, J)
        # Interpolation in T leaves errors of 1e-6 where G hardly falls.
        g = np.minimum.accumulate(np.clip(g, 0.0, 1.0), axis=2)
        points.append(g.ravel())
        lines.append(np.repeat((at[:, None] * H + np.arange(H)).ravel(), 2))
        chances.append(np.maximum(weights @ any_purchase, g[:, :, 0]).ravel()[lines[-1]])
    shares = np.repeat(alive, 2 * H, axis=1)
    levels = np.tile((1.0 - LOW, 1.0 - HIGH), n * H)
    ever = _mixed(shares, chances)
    found = np.zeros(n * H * 2)
    # Elsewhere the quantile is 0.
    wanted = np.flatnonzero(levels < ever)
    for first in range(0, len(wanted), _BLOCK):
        some = wanted[first : first + _BLOCK]
        begins, level, share = [line[some] * J for line in lines], levels[some], shares[:, some]
        # The number of points where the mixture is still above, by bisection.
        above, below = np.zeros(len(some), dtype=np.int64), np.full(len(some), J)
        for _ in range(J.bit_length()):
            middle = (above + below) // 2
            at = np.minimum(middle, J - 1)
            mixed = _mixed(share, [of[begin + at] for of, begin in zip(points, begins, strict=True)])
            over = (above < below) & (mixed > level)
            above = np.where(over, middle + 1, above)
            below = np.where(over, below, middle)
        place = np.clip(np.clip(above - 1, 0, J - 2)[:, None] + np.arange(-1, 3), 0, J - 1)
        near = [of[begin[:, None] + place] for of, begin in zip(points, begins, strict=True)]
        found[some] = _solve(level, ever[some], _mixed(share[:, :, None], near), curve.log_z[place])
    return found.reshape(n, H, 2)


def _mixed(shares: FloatArray, values: Sequence[FloatArray]) -> FloatArray:
    """Return the sum over models of share times value."""
    parts = [share * value for share, value in zip(shares, values, strict=True)]
    return parts[0] if len(parts) == 1 else np.asarray(np.sum(parts, axis=0), dtype=np.float64)


def _solve(exceed: FloatArray, any_purchase: FloatArray, g: FloatArray, log_z: FloatArray) -> FloatArray:
    """Return z where G is ``exceed``, by bisection of monotone cubics in ln z.

    Parameters
    ----------
    exceed : array of float64, shape (n,)
        What G is to be at the quantile, below ``any_purchase``.
    any_purchase : array of float64, shape (n,)
        G at 0.
    g, log_z : arrays of float64, shape (n, 4)
        G at the grid's point before the interval of the quantile, its two ends and the point after; and where they
        are.
    """
    steps = np.diff(log_z, axis=1)
    step = steps[:, 1]
    slope = np.diff(g, axis=1) / np.where(steps > 0, steps, 1.0)
    begin, end = (step * _slope(slope[:, i : i + 2], steps[:, i : i + 2]) for i in (0, 1))
    low, high = g[:, 1], g[:, 2]
    # Hermite's cubic through both ends with both slopes.
    square, cube = 3.0 * (high - low) - 2.0 * begin - end, 2.0 * (low - high) + begin + end
    left, width = np.zeros_like(step), 0.5
    for _ in range(20):
        t = left + width
        above = low + t * (begin + t * (square + t * cube)) > exceed
        left += width * above
        width /= 2.0
    found = np.exp(log_z[:, 1] + step * (left + width))
    # Before the grid's first point.
    share = (any_purchase - exceed) / np.maximum(any_purchase - low, 1e-300)
    return np.where(exceed > low, np.exp(log_z[:, 1]) * np.clip(share, 0.0, 1.0), found)


def _slope(sides: FloatArray, steps: FloatArray) -> FloatArray:
    """Return slopes at the points between two steps: those of a parabola, limited so that cubics stay monotone.

    The limit, three times the smaller side's slope, is that of Fritsch and Carlson (1980), Monotone
    Piecewise Cubic Interpolation, SIAM J. Numer. Anal. 17(2). At the ends of the grid a
    step is 0, and the slope of the other side is taken.
    """
    parabola = (sides[..., 0] * steps[..., 1] + sides[..., 1] * steps[..., 0]) / steps.sum(axis=-1)
    limit = np.where((steps > 0).all(axis=-1), 3.0 * sides.max(axis=-1), -np.inf)
    # All slopes are negative or nil.
    one_sided = np.where(steps[..., 0] > 0, sides[..., 0], sides[..., 1])
    return np.where(np.isneginf(limit), one_sided, np.maximum(parabola, limit))


def bounded_moments(
    spend: Parameters, frequency: int, tails: CountTails, share: float
) -> tuple[FloatArray, FloatArray]:
    """Return E[min(S, c)] and E[min(S, c)^2] given alive, where P(S > c | alive) = ``share``, shape (K, H) each.

    In units of v + x m and its square they are the integrals of G(z) and of 2 z G(z) up to c.
    """
    p, shape = spend["p"], spend["q"] + spend["p"] * frequency
    share = min(share, 0.5)
    begin, _ = _ends(p, shape, tails)
    most = float(betaincinv(shape, p * float(tails.edges[-1]), share / 2.0))
    log_z = np.linspace(begin - 5.0, float(np.log1p(-most) - np.log(most)), 400)
    upper = value_tail(p * tails.edges[1:, None].astype(np.float64), shape, log_z)
    exceed = tails.for_sums() @ np.diff(upper, axis=0, prepend=0.0)
    # The interval that holds c counts as far as c, with ln G linear in ln z.
    log_g = np.log(np.maximum(exceed, 1e-300))
    reach = (log_g[:, :, :-1] - np.log(share)) / np.maximum(-np.diff(log_g, axis=2), 1e-300)
    steps = np.clip(reach, 0.0, 1.0) * np.diff(log_z)

    def integral(density: FloatArray) -> FloatArray:
        middle = (density[:, :, 1:] + density[:, :, :-1]) / 2.0
        return np.asarray((middle * steps).sum(axis=2), dtype=np.float64)

    z = np.exp(log_z)
    return integral(z * exceed), integral(2.0 * z * z * exceed)
