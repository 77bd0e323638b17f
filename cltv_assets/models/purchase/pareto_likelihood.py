"""The log-likelihood of the Pareto/NBD, its exact gradient, and what P(alive) needs of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cltv_assets.models.estimation.axes import CountAxis, Pairs
from cltv_assets.models.estimation.statistics import FloatArray, PurchaseStatistics, inner
from cltv_assets.models.purchase.pareto_integral import decay_integral


@dataclass(frozen=True, eq=False)
class Branch:
    """One way on from a moment, relative to Gamma(r+x)/Gamma(r): its log density and slopes.

    Parameters
    ----------
    log_value : array of float64, shape (n,)
    slopes : array of float64, shape (4, n)
        By r, alpha, s, beta.
    """

    log_value: FloatArray
    slopes: FloatArray


def purchase_first(x: FloatArray, ages: FloatArray, parameters: tuple[float, float, float, float]) -> Branch:
    """Return the branch where, T having passed, the next event is a purchase.

    ln of (r+x) alpha^r beta^s times the integral over u > T of (alpha+u)^-(r+x+1) (beta+u)^-s.
    """
    r, alpha, s, beta = parameters
    integral = decay_integral(r + x + 1.0, s, ages, (alpha, beta))
    common = _common(x, ages, parameters)
    near, far = alpha + ages, beta + ages
    slopes = common.slopes - np.stack((integral.log_a, 1.0 / near, integral.log_b, np.zeros_like(ages)))
    slopes[0] += 1.0 / (r + x)
    slopes[1] += (r + x + 1.0) / near * integral.share_a
    slopes[3] += s / far * integral.share_b
    return Branch(common.log_value + np.log((r + x) / near) + integral.log_value, slopes)


def dropout_first(x: FloatArray, ages: FloatArray, parameters: tuple[float, float, float, float]) -> Branch:
    """Return the branch where, t_x having passed, the next event is the dropout.

    ln of s alpha^r beta^s times the integral over u > t_x of (alpha+u)^-(r+x) (beta+u)^-(s+1).
    """
    r, alpha, s, beta = parameters
    integral = decay_integral(r + x, s + 1.0, ages, (alpha, beta))
    common = _common(x, ages, parameters)
    near, far = alpha + ages, beta + ages
    slopes = common.slopes - np.stack((integral.log_a, np.zeros_like(ages), integral.log_b, 1.0 / far))
    slopes[1] += (r + x) / near * integral.share_a
    slopes[2] += 1.0 / s
    slopes[3] += (s + 1.0) / far * integral.share_b
    return Branch(common.log_value + np.log(s / far) + integral.log_value, slopes)


def _common(x: FloatArray, ages: FloatArray, parameters: tuple[float, float, float, float]) -> Branch:
    """Return ln of alpha^r beta^s (alpha+u)^-(r+x) (beta+u)^-s, written so that nothing cancels for a large r or s."""
    r, alpha, s, beta = parameters
    near, far = alpha + ages, beta + ages
    passed_a, passed_b = np.log1p(ages / alpha), np.log1p(ages / beta)
    slopes = np.stack((-passed_a, (r * ages / alpha - x) / near, -passed_b, s * ages / beta / far))
    return Branch(-r * passed_a - s * passed_b - x * np.log(near), slopes)


def alive(x: FloatArray, ages: FloatArray, parameters: tuple[float, float, float, float]) -> FloatArray:
    """Return the log density of being alive at T, relative to Gamma(r+x)/Gamma(r), shape (n,)."""
    return _common(x, ages, parameters).log_value


class ParetoNbdLikelihood:
    """The log-likelihood of statistics and its exact gradient.

    A pattern's likelihood is Gamma(r+x)/Gamma(r) times the sum of two ways on from the
    last purchase: the customer dropped out before buying again, or was to buy again
    first, but not within T (`dropout_first` at t_x and `purchase_first` at T). It equals
    equation 41 in the appendix of Schmittlein, Morrison and Colombo (1987), Counting Your
    Customers, Management Science 33(1), 1-24, as derived in Fader and Hardie (2005), A
    Note on Deriving the Pareto/NBD Model, http://www.brucehardie.com/notes/009/. The
    first depends on (x, t_x) only and the second on (x, T) only, so that the integrals
    are taken once for each of these pairs and only a sum of two for each pattern.

    Parameters
    ----------
    statistics : PurchaseStatistics
    """

    def __init__(self, statistics: PurchaseStatistics) -> None:
        x, weights = statistics.frequency, statistics.weights
        self._weights = weights
        self._counts = CountAxis.of(x)
        self._customers_by_count = self._counts.total(weights)
        self._at_end = Pairs.of(x, statistics.T)
        self._at_last = Pairs.of(x, statistics.recency)

    def __call__(self, log_parameters: FloatArray) -> tuple[float, FloatArray]:
        """Return the log-likelihood (nats) and its gradient by ln r, ln alpha, ln s, ln beta."""
        values = np.exp(log_parameters)
        r, alpha, s, beta = (float(value) for value in values)
        parameters = (r, alpha, s, beta)
        bought = purchase_first(self._at_end.x, self._at_end.ages, parameters)
        left = dropout_first(self._at_last.x, self._at_last.ages, parameters)
        on = bought.log_value[self._at_end.index]
        gap = left.log_value[self._at_last.index]
        gap -= on
        small = np.exp(-np.abs(gap))
        ones = 1.0 + small
        share = np.where(gap > 0, 1.0, small)
        share *= self._weights / ones
        either = np.maximum(gap, 0.0)
        either += np.log(ones)
        either += on
        steps, by_count = self._counts.steps, self._customers_by_count
        value = inner(by_count, self._counts.running(np.log(r + steps))) + inner(self._weights, either)
        by_last, by_end = self._at_last.total(share), self._at_end.total(self._weights - share)
        gradient = (bought.slopes * by_end).sum(axis=1) + (left.slopes * by_last).sum(axis=1)
        gradient[0] += inner(by_count, self._counts.running(1.0 / (r + steps)))
        return value, gradient * values
