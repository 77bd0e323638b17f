"""The Pareto/NBD model: gamma-distributed purchase rates, gamma-distributed dropout rates.

A customer buys at rate lambda ~ Gamma(r, alpha) and drops out at rate mu ~ Gamma(s, beta),
at any time and not only with a purchase. Source: Schmittlein, Morrison and Colombo (1987),
Counting Your Customers, Management Science 33(1), 1-24; formulas as in Fader and Hardie
(2005), A Note on Deriving the Pareto/NBD Model, http://www.brucehardie.com/notes/009/.
Whoever is alive at T has lambda ~ Gamma(r+x, alpha+T) and mu ~ Gamma(s, beta+T), independent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cltv_assets.models.arrays import FloatArray, IntArray
from cltv_assets.models.distinct import Distinct, Pairs
from cltv_assets.models.purchase.bound import log_at_least
from cltv_assets.models.purchase.nbd import dropout_reason
from cltv_assets.models.purchase.pareto_integrals import arrivals_before_dropout, decay_integral
from cltv_assets.models.sufficient_statistics import Parameters, Patterns, PurchaseStatistics, inner

#: A mean time to dropout of so many times the mean age is none to speak of.
_NEVER = 1e3

#: r, alpha, s, beta.
Values = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Branch:
    """What may happen next, relative to Gamma(r+x)/Gamma(r).

    Parameters
    ----------
    log_value : array of float64, shape (n,)
        Log density.
    slopes : array of float64, shape (4, n)
        Its derivatives by r, alpha, s, beta.
    """

    log_value: FloatArray
    slopes: FloatArray


def purchase_first(x: FloatArray, ages: FloatArray, parameters: Values) -> Branch:
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


def dropout_first(x: FloatArray, ages: FloatArray, parameters: Values) -> Branch:
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


def _common(x: FloatArray, ages: FloatArray, parameters: Values) -> Branch:
    """Return ln of alpha^r beta^s (alpha+u)^-(r+x) (beta+u)^-s, written so that nothing cancels for a large r or s."""
    r, alpha, s, beta = parameters
    near, far = alpha + ages, beta + ages
    passed_a, passed_b = np.log1p(ages / alpha), np.log1p(ages / beta)
    slopes = np.stack((-passed_a, (r * ages / alpha - x) / near, -passed_b, s * ages / beta / far))
    return Branch(-r * passed_a - s * passed_b - x * np.log(near), slopes)


def alive(x: FloatArray, ages: FloatArray, parameters: Values) -> FloatArray:
    """Return the log density of being alive at T, relative to Gamma(r+x)/Gamma(r), shape (n,)."""
    return _common(x, ages, parameters).log_value


class ParetoNbdLikelihood:
    """The log-likelihood of statistics and its exact gradient.

    A pattern's likelihood is Gamma(r+x)/Gamma(r) times the sum of two branches after the
    last purchase: the customer dropped out before buying again, or was to buy again
    first, but not within T (`dropout_first` at t_x and `purchase_first` at T). It equals
    equation 41 in the appendix of Schmittlein, Morrison and Colombo. The first branch depends
    on (x, t_x) only and the second on (x, T) only. The integrals are therefore taken once
    for each of these pairs, and each pattern needs only a sum of two.
    """

    def __init__(self, statistics: PurchaseStatistics) -> None:
        x, weights = statistics.frequency, statistics.weights
        self._weights = weights
        self._counts = Distinct.whole(x)
        self._customers_by_count = self._counts.total(weights)
        self._at_end = Pairs.of(x, statistics.ages)
        self._at_last = Pairs.of(x, statistics.recencies)

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


class ParetoNbd:
    """The Pareto/NBD model."""

    name = "pareto_nbd"
    parameter_names = ("r", "alpha", "s", "beta")
    time_parameters = frozenset({"alpha", "beta"})
    together = (("r", "alpha"), ("alpha", "r"), ("s", "beta"), ("beta", "s"))
    k = 1

    def likelihood(self, statistics: PurchaseStatistics) -> ParetoNbdLikelihood:
        """Return the log-likelihood of ``statistics`` over ln r, ln alpha, ln s, ln beta."""
        return ParetoNbdLikelihood(statistics)

    def log_at_least(self, log_parameters: FloatArray, ages: FloatArray, count: int) -> tuple[FloatArray, FloatArray]:
        """Return ln P(X(T) >= count) and its gradient."""
        r, alpha, s, beta = (float(value) for value in np.exp(log_parameters))
        return log_at_least(count, ages, (r, alpha), (s, beta))

    def starts(self, purchase_rate: float) -> list[Parameters]:
        """Return where to start from, given the repeat purchases of a customer in a unit of time.

        The unit is the mean age. Starts differ in the spread of purchase rates and in how
        many customers drop out within it.
        """
        return [
            {"r": r, "alpha": r / (lift * purchase_rate), "s": s, "beta": beta}
            for r, lift, s, beta in ((0.5, 1.5, 0.6, 0.4), (1.0, 1.2, 0.3, 1.0), (0.5, 1.0, 2.0, 10.0))
        ]

    def boundary_reason(self, parameters: Parameters, unidentified: frozenset[str]) -> str:
        """Say in plain words what the run-away parameters mean."""
        ages_to_dropout = parameters["s"] / parameters["beta"] * parameters["alpha"] / parameters["r"]
        return dropout_reason(unidentified, {"s", "beta"}, "dropout rates", negligible=ages_to_dropout < 1.0 / _NEVER)

    def p_alive(self, parameters: Parameters, patterns: Patterns) -> FloatArray:
        """Return P(alive | pattern), shape (n,): the density of being alive at T by the likelihood."""
        values = _values(parameters)
        x = patterns.frequency.astype(np.float64)
        ends, lasts = (Pairs.of(patterns.frequency, Distinct.of(times)) for times in (patterns.T, patterns.recency))
        on = purchase_first(ends.x, ends.ages, values).log_value[ends.index]
        left = dropout_first(lasts.x, lasts.ages, values).log_value[lasts.index]
        return np.minimum(np.exp(alive(x, patterns.T, values) - np.logaddexp(on, left)), 1.0)

    def progress(self, parameters: Parameters, patterns: Patterns) -> tuple[IntArray, FloatArray] | None:  # noqa: ARG002
        """Return None: purchases come by chance."""
        return None

    def expected_purchases(self, parameters: Parameters, patterns: Patterns, horizons: FloatArray) -> FloatArray:
        """Return E[purchases in (T, T+t] | pattern] for each horizon t, shape (n, H)."""
        return self.p_alive(parameters, patterns)[:, None] * self.expected_given_alive(parameters, patterns, horizons)

    def expected_given_alive(self, parameters: Parameters, states: Patterns, horizons: FloatArray) -> FloatArray:
        """Return E[purchases in (T, T+t] | alive at T] for each horizon t, shape (n, H).

        (r+x)/(alpha+T) times the expected time alive within t,
        (beta+T)/(s-1) (1 - ((beta+T)/(beta+T+t))^(s-1)) (equation 22 of
        the paper). With y = ln(1 + t/(beta+T)) the time is (beta+T) (1 - exp(-(s-1) y))/(s-1),
        which is (beta+T) y at s = 1.
        """
        r, alpha, s, beta = _values(parameters)
        rate = (r + states.frequency) / (alpha + states.T)
        far = beta + states.T
        y = np.log1p(horizons[None, :] / far[:, None])
        z = (s - 1.0) * y
        decline = np.where(z == 0.0, 1.0, -np.expm1(-z) / np.where(z == 0.0, 1.0, z))
        lifetime = far[:, None] * y * decline
        return np.asarray(rate[:, None] * lifetime, dtype=np.float64)

    def at_least_given_alive(
        self, parameters: Parameters, patterns: Patterns, horizons: FloatArray, counts: FloatArray
    ) -> FloatArray:
        """Return P(purchases in (T, T+t] >= m | alive at T) for m >= 1, shape (n,).

        The m-th arrival lies within t, and before the dropout; see `arrivals_before_dropout`.
        """
        r, alpha, s, beta = _values(parameters)
        n = len(patterns)
        return arrivals_before_dropout(
            np.broadcast_to(counts, n),
            r + patterns.frequency.astype(np.float64),
            s,
            np.broadcast_to(horizons, n) / (alpha + patterns.T),
            np.broadcast_to(horizons, n) / (beta + patterns.T),
        )


def _values(parameters: Parameters) -> Values:
    return parameters["r"], parameters["alpha"], parameters["s"], parameters["beta"]
