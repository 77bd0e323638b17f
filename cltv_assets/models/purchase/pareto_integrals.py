"""The integrals of the Pareto/NBD: of its likelihood, and of counts of purchases to come.

`decay_integral` is ∫ over w >= 0 of (1 + w/A)^-p (1 + w/B)^-q, and its slopes.

The likelihood of Schmittlein, Morrison and Colombo (1987) is usually written with the
hypergeometric function 2F1, which library routines give with few digits where it matters,
or as an integral over (t_x, T] for each pattern. Here the two cases are integrated apart:
after t_x, the last purchase, either the customer dropped out before the next purchase, or
the next purchase came first and lies beyond T. Both are integrals to infinity and positive,
so nothing cancels. One depends on (x, t_x) only, the other on (x, T) only, so there are far
fewer of them than patterns.

Method: with D = p/A + q/B, the rate of decay at 0, M = (p+q)/D and k = p+q-1,
1 + w/M = exp(E/k) turns the integral into (M/k) E[R], E being a standard exponential
variable and R = (1+w/M)^(p+q) (1+w/A)^-p (1+w/B)^-q a factor that starts at 1 without
slope and is 1 throughout where A = B. This flattens the decay whether it is algebraic (few
purchases) or exponential (many). In ln E the trapezoidal rule converges geometrically
(Trefethen and Weideman 2014, SIAM Review 56(3), theorem 5.1); the tail on the left is a
geometric series and closed by its sum.

`arrivals_before_dropout` is the probability of the m-th purchase before the horizon and before dropout.
With lambda ~ Gamma(k, A), the m-th arrival's time u has the density of a beta-prime
variable, u^(m-1) (A+u)^-(k+m), and dropout has not come by u with probability
(1 + u/B)^-s. So

    P(N >= m) = I_z(m, k) E[(1 + u/B)^-s | u <= t],   z = t/(A+t),

I being the regularised incomplete beta function. The conditional mean is a ratio of two
integrals over the same density, taken with the same nodes, so that their errors and the norm of
the density cancel. In ln u the density is log-concave. The rule of Gauss and Legendre runs over
the part of it that is not negligible: one panel right of the mode, and three left of it, where for
a small m the density falls slowly and survival may turn anywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.special import betainc, expit, roots_legendre

from cltv_assets.models.arrays import FloatArray

#: Half-width of the strip in ln E where the integrand is analytic and of its size on the
#: axis: pi/2 less a margin. Narrower where A and B are far apart, see `_grid`.
_STRIP = 1.35

#: Nats below the largest term at which the sum ends, and that the step leaves.
_NEGLIGIBLE = 34.0
_ACCURACY = 31.0

#: How far (in ln E) the left end lies below the smallest scale: the series' next term is exp(-3 x 11).
_LEFT = 11.0

#: Ends of the panels of `arrivals_before_dropout`, in units of the way from the mode to where the density is
#: negligible, and the nodes in each.
_PANELS = (-1.0, -2.0 / 3.0, -1.0 / 3.0, 0.0, 1.0)
_PANEL_NODES = 16

#: Nats by which the log density falls to count as negligible there.
_TAIL_NEGLIGIBLE = 27.0

#: Newton steps towards the ends of that interval; they start outside and come closer each time.
_NEWTON_STEPS = 6

#: Elements worked on at once: a few arrays of them stay within the cache.
_BLOCK = 16_384


@dataclass(frozen=True, eq=False)
class DecayIntegral:
    """Logarithm of the integral and means under its integrand, each of shape (n,).

    Parameters
    ----------
    log_value : array of float64
        The logarithm.
    log_a, log_b : arrays of float64
        Means of ln(1 + w/A) and ln(1 + w/B): minus the slopes of ``log_value`` by p and q.
    share_a, share_b : arrays of float64
        Means of w/(A+w) and w/(B+w): times p/A and q/B, the slopes by A and B.
    """

    log_value: FloatArray
    log_a: FloatArray
    log_b: FloatArray
    share_a: FloatArray
    share_b: FloatArray


@dataclass(frozen=True, eq=False)
class _Grid:
    """Nodes E of the trapezoidal rule in ln E, their log weights, and the sums of what lies left of them."""

    nodes: FloatArray
    log_weights: FloatArray
    left_mass: float
    left_first_moment: float


def decay_integral(shapes: FloatArray, q: float, ages: FloatArray, scales: tuple[float, float]) -> DecayIntegral:
    """Integrate for n pairs of p and time.

    Parameters
    ----------
    shapes : array of float64, shape (n,)
        p, positive; p + q must exceed 1.
    q : float
        Positive.
    ages : array of float64, shape (n,)
        Times u, not negative: A = alpha + u, B = beta + u.
    scales : pair of float
        alpha and beta, positive.

    Returns
    -------
    DecayIntegral
        With a relative error below 1e-10 (tests: against mpmath).
    """
    n = len(shapes)
    alpha, beta = scales
    near, far = alpha + ages, beta + ages
    k = shapes + (q - 1.0)
    # M/A - 1 and M/B - 1, from the difference of A and B, which is exact.
    spread = (beta - alpha) / (shapes * far + q * near)
    by_a, by_b = q * spread, -shapes * spread
    grid = _grid(shapes, k, by_a, by_b, q)
    sums = np.empty((5, n))
    # v and y depend on p alone, of which there are few.
    each, at = np.unique(k, return_inverse=True)
    all_v = grid.nodes / each[:, None]
    all_y = -np.expm1(-all_v)
    size = max(1, _BLOCK // len(grid.nodes))
    for first in range(0, n, size):
        rows = slice(first, first + size)
        p, a, b = shapes[rows, None], by_a[rows, None], by_b[rows, None]
        v, y = all_v[at[rows]], all_y[at[rows]]
        over_a, over_b = 1.0 + a * y, 1.0 + b * y
        log_a, log_b = np.log(over_a), np.log(over_b)
        weights = np.exp(grid.log_weights - p * log_a - q * log_b)
        sums[0, rows] = weights.sum(axis=1)
        sums[1, rows] = np.einsum("nk,nk->n", weights, v + log_a)
        sums[2, rows] = np.einsum("nk,nk->n", weights, v + log_b)
        weights *= y
        sums[3, rows] = (1.0 + a[:, 0]) * (weights / over_a).sum(axis=1)
        sums[4, rows] = (1.0 + b[:, 0]) * (weights / over_b).sum(axis=1)
    slope_a, slope_b = (1.0 + by_a) / k, (1.0 + by_b) / k
    total = sums[0] + grid.left_mass
    return DecayIntegral(
        log_value=np.log(total * (near * far) * (shapes + q) / ((shapes * far + q * near) * k)),
        log_a=(sums[1] + grid.left_first_moment * slope_a) / total,
        log_b=(sums[2] + grid.left_first_moment * slope_b) / total,
        share_a=(sums[3] + grid.left_first_moment * slope_a) / total,
        share_b=(sums[4] + grid.left_first_moment * slope_b) / total,
    )


def _grid(p: FloatArray, k: FloatArray, by_a: FloatArray, by_b: FloatArray, q: float) -> _Grid:
    """Return one rule for all pairs, as wide and as fine as the hardest needs."""
    steepest = np.maximum(by_a, by_b)
    left = float(np.min(np.log(k) - np.log1p(steepest), initial=0.0)) - _LEFT
    # The other scale, where max(A, B) > 2 M: a singularity at k (ln(max(A, B)/M - 1) +- i pi) in E,
    # and half-way to it a large power grows.
    with np.errstate(divide="ignore", invalid="ignore"):
        beyond = np.log(np.maximum(-np.minimum(by_a, by_b) / (1.0 + np.minimum(by_a, by_b)), 1.0))
    right = _right_end(p, k, by_a, by_b, q)
    within = np.where(k * beyond < np.exp(right + 1.0), np.arctan2(np.pi / 2.0, beyond), np.pi)
    step = 2.0 * np.pi * min(_STRIP, 0.9 * float(within.min(initial=np.pi))) / _ACCURACY
    logs = np.arange(left, right + step, step)
    nodes = np.exp(logs)
    # What lies left: the sums over j >= 1 of exp(ln E - j step), and of its square.
    mass, square = np.exp(left) / np.expm1(step), np.exp(2.0 * left) / np.expm1(2.0 * step)
    return _Grid(nodes, logs - nodes + np.log(step), float(step * (mass - square)), float(step * square))


def _right_end(p: FloatArray, k: FloatArray, by_a: FloatArray, by_b: FloatArray, q: float) -> float:
    """Return ln E beyond which the integrand is negligible for every pair."""
    # Monotone in p and in A/B, so that the worst pairs are among the extremes.
    extremes = (
        np.unique([f(z) for z in (p, by_a, by_b) for f in (np.argmin, np.argmax)]) if len(p) else np.zeros(0, int)
    )
    logs = np.arange(0.0, 60.0, 0.25)
    v = np.exp(logs) / k[extremes, None]
    y = -np.expm1(-v)
    lift = -p[extremes, None] * np.log1p(by_a[extremes, None] * y) - q * np.log1p(by_b[extremes, None] * y)
    terms = logs - np.exp(logs) + lift
    matter = terms > np.maximum(terms.max(axis=1, keepdims=True, initial=0.0), 0.0) - _NEGLIGIBLE
    return float(logs[np.flatnonzero(matter.any(axis=0))[-1]]) + 0.25 if matter.any() else 4.0


def arrivals_before_dropout(
    counts: FloatArray, rate_shapes: FloatArray, dropout_shape: float, near: FloatArray, far: FloatArray
) -> FloatArray:
    """Return P(at least m purchases within t) of customers who are alive.

    Parameters
    ----------
    counts : array of float64, shape (n,)
        m, 1 or more.
    rate_shapes : array of float64, shape (n,)
        k = r + x.
    dropout_shape : float
        s.
    near, far : arrays of float64, shape (n,)
        t/A and t/B, positive: the horizon in units of alpha + T and of beta + T.

    Returns
    -------
    array of float64, shape (n,)
        With a relative error below 1e-8 up to s = 1, below 1e-4 at s = 30, for probabilities
        that are not themselves next to nothing (tests: against adaptive quadrature).
    """
    survived = np.empty(len(counts))
    nodes, weights = _rule()
    size = max(1, _BLOCK // len(nodes))
    for first in range(0, len(counts), size):
        rows = slice(first, first + size)
        m, k, reach = counts[rows], rate_shapes[rows], np.log(near[rows])
        low, high = _interval(m, k, reach)
        top = np.minimum(np.log(m / k), reach)
        sides = np.where(nodes < 0, (top - low)[:, None], (high - top)[:, None])
        y = top[:, None] + sides * nodes
        density = weights * sides * np.exp(_log_density(y, m[:, None], k[:, None]) - _log_density(top, m, k)[:, None])
        # u/B = (u/A) (A/B): e^y times the ratio of far to near.
        stays = np.exp(-dropout_shape * np.log1p(np.exp(y) * (far[rows] / near[rows])[:, None]))
        survived[rows] = (density * stays).sum(axis=1) / density.sum(axis=1)
    return np.asarray(betainc(counts, rate_shapes, near / (1.0 + near)) * survived, dtype=np.float64)


def _rule() -> tuple[FloatArray, FloatArray]:
    """Return nodes and weights of all panels."""
    nodes, weights = roots_legendre(_PANEL_NODES)
    parts = [(low + (high - low) * (nodes + 1.0) / 2.0, (high - low) * weights) for low, high in pairwise(_PANELS)]
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def _log_density(y: FloatArray, m: FloatArray, k: FloatArray) -> FloatArray:
    """Return ln of e^(m y) (1 + e^y)^-(m+k), the density of y = ln(u/A) but for its norm."""
    return np.asarray(m * y - (m + k) * np.logaddexp(0.0, y), dtype=np.float64)


def _interval(m: FloatArray, k: FloatArray, reach: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return where the density within ``reach`` is not negligible."""
    mode = np.log(m / k)
    top = np.minimum(mode, reach)
    floor = _log_density(top, m, k) - _TAIL_NEGLIGIBLE
    # A parabola's width about the mode, and more than the exponential tails': outside on both sides.
    width = np.sqrt(2.0 * _TAIL_NEGLIGIBLE * (1.0 / m + 1.0 / k))
    low = top - width - _TAIL_NEGLIGIBLE / m
    high = mode + width + _TAIL_NEGLIGIBLE / k
    for _ in range(_NEWTON_STEPS):
        share = expit(low)
        low += np.maximum((floor - _log_density(low, m, k)) / (m - (m + k) * share), 0.0)
    for _ in range(_NEWTON_STEPS):
        share = expit(high)
        high -= np.maximum((floor - _log_density(high, m, k)) / ((m + k) * share - m), 0.0)
    return low, np.minimum(high, reach)
