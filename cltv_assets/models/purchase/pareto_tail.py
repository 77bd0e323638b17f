"""The m-th purchase before the horizon and before dropout, for customers of the Pareto/NBD who are alive.

With lambda ~ Gamma(k, A), the m-th arrival's time u has the density of a beta-prime
variable, u^(m-1) (A+u)^-(k+m), and dropout has not come by u with probability
(1 + u/B)^-s. So

    P(N >= m) = I_z(m, k) E[(1 + u/B)^-s | u <= t],   z = t/(A+t),

I being the regularised incomplete beta function. The conditional mean is a ratio of two
integrals over the same density, taken with the same nodes: their errors, and the density's
norm, cancel. In ln u the density is log-concave; Gauss and Legendre's rule runs over the part
of it that is not negligible: one panel right of the mode, three left of it, where for a
small m the density falls slowly and survival may turn anywhere.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy.special import betainc, expit, roots_legendre

from cltv_assets.models.estimation.statistics import FloatArray

#: Ends of the panels, in units of the way from the mode to where the density is negligible.
_PANELS = (-1.0, -2.0 / 3.0, -1.0 / 3.0, 0.0, 1.0)
_NODES = 16

#: Nats by which the log density falls to count as negligible.
_NEGLIGIBLE = 27.0

#: Newton steps towards the ends of that interval; they start outside and come closer each time.
_STEPS = 6

_BLOCK = 16_384


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
    nodes, weights = roots_legendre(_NODES)
    parts = [(low + (high - low) * (nodes + 1.0) / 2.0, (high - low) * weights) for low, high in pairwise(_PANELS)]
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def _log_density(y: FloatArray, m: FloatArray, k: FloatArray) -> FloatArray:
    """Return ln of e^(m y) (1 + e^y)^-(m+k), the density of y = ln(u/A) but for its norm."""
    return np.asarray(m * y - (m + k) * np.logaddexp(0.0, y), dtype=np.float64)


def _interval(m: FloatArray, k: FloatArray, reach: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return where the density within ``reach`` is not negligible."""
    mode = np.log(m / k)
    top = np.minimum(mode, reach)
    floor = _log_density(top, m, k) - _NEGLIGIBLE
    # A parabola's width about the mode, and more than the exponential tails': outside on both sides.
    width = np.sqrt(2.0 * _NEGLIGIBLE * (1.0 / m + 1.0 / k))
    low = top - width - _NEGLIGIBLE / m
    high = mode + width + _NEGLIGIBLE / k
    for _ in range(_STEPS):
        share = expit(low)
        low += np.maximum((floor - _log_density(low, m, k)) / (m - (m + k) * share), 0.0)
    for _ in range(_STEPS):
        share = expit(high)
        high -= np.maximum((floor - _log_density(high, m, k)) / ((m + k) * share - m), 0.0)
    return low, np.minimum(high, reach)
