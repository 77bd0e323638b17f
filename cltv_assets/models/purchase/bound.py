"""The probability that a customer has bought so often: what the likelihood of a filtered extract is conditional on.

With lambda ~ Gamma(r, alpha), the time u of the k-th purchase, if nobody drops out, has the density
alpha^r u^(k-1) (alpha+u)^-(r+k) / B(k, r). A dropout rate ~ Gamma(s, beta) has not struck by u with probability
(1 + u/beta)^-s. In y = ln(1 + u/alpha), with Y = ln(1 + T/alpha),

    P(X(T) >= k) = 1/B(k, r) times the integral over 0 < y < Y of (1 - e^-y)^(k-1) e^(-r y) (1 + u/beta)^-s.

Its derivatives are means under the integrand, so that nothing cancels where the probability is next to nothing.
One minus the probabilities of fewer purchases would lose its digits there.
"""

from __future__ import annotations

import numpy as np
from scipy.special import gammaln, roots_legendre

from cltv_assets.models.arrays import FloatArray

#: Nodes of the rule of Gauss and Legendre in each panel, beside one for each purchase: the power has that degree. A
#: panel is as wide as all that is left of it, and the first one narrower than whatever else bends the integrand.
_NODES = 16

#: exp(-60) of the integrand's mass is left out where it decays before Y.
_NEGLIGIBLE = 60.0


def log_at_least(
    count: int, ages: FloatArray, rate: tuple[float, float], dropout: tuple[float, float] | None = None
) -> tuple[FloatArray, FloatArray]:
    """Return ln P(X(T) >= count) and its gradient by the logs of the parameters.

    Parameters
    ----------
    count : int
        k, 1 or more.
    ages : array of float64, shape (n,)
        T, positive.
    rate : pair of float
        r and alpha.
    dropout : pair of float, optional
        s and beta; without them nobody drops out.

    Returns
    -------
    value : array of float64, shape (n,)
    gradient : array of float64, shape (n, 2) or (n, 4)
        By ln r and ln alpha, then by ln s and ln beta.
    """
    r, alpha = rate
    width = np.minimum(np.log1p(ages / alpha), (count + _NEGLIGIBLE) / r)
    s, ratio = (dropout[0], alpha / dropout[1]) if dropout is not None else (0.0, 0.0)
    nodes, weights = _rule(_NODES + count, float(width.max(initial=0.0)) * (1.0 + r + ratio * (1.0 + s)))
    y = np.multiply.outer(width, nodes)
    z, top = -np.expm1(-y), -np.expm1(-width)
    beyond = ratio * np.expm1(y)
    log_staying = np.log1p(beyond)
    log_density = (count - 1) * np.log(z / top[:, None]) - r * y - s * log_staying
    largest = log_density.max(axis=1)
    density = weights * np.exp(log_density - largest[:, None])
    total = density.sum(axis=1)
    steps = r + np.arange(count, dtype=np.float64)
    value = (
        np.log(total) + largest + np.log(width) + (count - 1) * np.log(top)
        + (np.log(steps).sum() - gammaln(count))
    )  # fmt: skip

    def mean(of: FloatArray) -> FloatArray:
        return np.asarray((density * of).sum(axis=1) / total, dtype=np.float64)

    share = mean(z)
    slopes = [r * ((1.0 / steps).sum() - mean(y)), r * share - count * (1.0 - share)]
    if dropout is not None:
        slopes += [-s * mean(log_staying), s * mean(beyond / (1.0 + beyond))]
    return value, np.column_stack(slopes)


def _rule(order: int, steepness: float) -> tuple[FloatArray, FloatArray]:
    """Return nodes and weights on (0, 1) for an integrand that bends within 1/steepness of 0."""
    panels = 2 + max(0, int(np.ceil(np.log2(max(steepness, 1.0)))))
    ends = np.concatenate(([0.0], 0.5 ** np.arange(panels - 1, -1, -1)))
    nodes, weights = roots_legendre(order)
    half = np.diff(ends)[:, None] / 2.0
    return (ends[:-1, None] + half * (nodes + 1.0)).ravel(), (half * weights).ravel()
