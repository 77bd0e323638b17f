"""The NBD model: gamma-distributed purchase rates, and nobody ever drops out.

The null model of every buy-till-you-die model (Ehrenberg 1959; the likelihood of
purchase times as in Fader, Hardie and Lee 2005 with p = 0). A model with dropout
that fits no better than this one has found no dropout.
"""

from __future__ import annotations

import numpy as np
from scipy.special import betainc

from cltv_assets.models.arrays import FloatArray, IntArray
from cltv_assets.models.distinct import Distinct
from cltv_assets.models.purchase.bound import log_at_least
from cltv_assets.models.sufficient_statistics import Parameters, Patterns, PurchaseStatistics, inner


class NbdLikelihood:
    """The log-likelihood of statistics and its exact gradient.

    A pattern's log-likelihood is
    ln Gamma(r+x)/Gamma(r) + r ln alpha - (r+x) ln(alpha+T): recency does not matter.
    """

    def __init__(self, statistics: PurchaseStatistics) -> None:
        self._counts = Distinct.whole(statistics.frequency)
        self._customers_by_count = self._counts.total(statistics.weights)
        ages = statistics.ages
        self._ages = ages.values
        self._customers_by_age = ages.total(statistics.weights)
        self._purchases_by_age = ages.total(statistics.weights * statistics.frequency)

    def __call__(self, log_parameters: FloatArray) -> tuple[float, FloatArray]:
        """Return the log-likelihood (nats) and its gradient by ln r, ln alpha."""
        parameters = np.exp(log_parameters)
        r, alpha = (float(value) for value in parameters)
        steps, by_count = self._counts.steps, self._customers_by_count
        since_first = np.log1p(self._ages / alpha)
        value = (
            inner(by_count, self._counts.running(np.log(r + steps)))
            - r * inner(self._customers_by_age, since_first)
            - inner(self._purchases_by_age, np.log(alpha + self._ages))
        )
        by_r = inner(by_count, self._counts.running(1.0 / (r + steps))) - inner(self._customers_by_age, since_first)
        pooled = self._customers_by_age * (r / alpha) * self._ages - self._purchases_by_age
        by_alpha = inner(pooled, 1.0 / (alpha + self._ages))
        return value, np.array([by_r, by_alpha]) * parameters


def spread_unknown(what: str) -> str:
    """Say that the data do not tell how customers differ in ``what``."""
    return (
        f"the spread of {what} cannot be identified: "
        f"the data fit as well if customers differ in it in quite another way"
    )


def dropout_reason(unidentified: frozenset[str], dropout: set[str], what: str, *, negligible: bool) -> str:
    """Say in plain words why parameters of a model with dropout run away.

    ``dropout`` names those of them that describe dropout, ``what`` it is measured in, and ``negligible`` says
    whether next to nobody drops out.
    """
    reasons = []
    if unidentified & dropout:
        none = (
            "dropout cannot be identified: the data show hardly a customer who stopped, "
            "so P(alive) is close to 1 for everyone"
        )
        reasons.append(none if negligible else spread_unknown(what))
    if unidentified & {"r", "alpha"}:
        reasons.append(spread_unknown("purchase rates"))
    return "; ".join(reasons)


class Nbd:
    """The NBD model behind the common protocol of purchase models."""

    name = "nbd"
    parameter_names = ("r", "alpha")
    time_parameters = frozenset({"alpha"})
    together = (("r", "alpha"), ("alpha", "r"))
    k = 1

    def likelihood(self, statistics: PurchaseStatistics) -> NbdLikelihood:
        """Return the log-likelihood of ``statistics`` over ln r, ln alpha."""
        return NbdLikelihood(statistics)

    def log_at_least(self, log_parameters: FloatArray, ages: FloatArray, count: int) -> tuple[FloatArray, FloatArray]:
        """Return ln P(X(T) >= count) and its gradient by ln r, ln alpha."""
        r, alpha = (float(value) for value in np.exp(log_parameters))
        return log_at_least(count, ages, (r, alpha))

    def starts(self, purchase_rate: float) -> list[Parameters]:
        """Return where to start from, given the repeat purchases of a customer in a unit of time."""
        return [{"r": r, "alpha": r / purchase_rate} for r in (0.3, 1.0, 3.0)]

    def boundary_reason(self, parameters: Parameters, unidentified: frozenset[str]) -> str:  # noqa: ARG002
        """Say in plain words what the run-away parameters mean."""
        return spread_unknown("purchase rates")

    def p_alive(self, parameters: Parameters, patterns: Patterns) -> FloatArray:  # noqa: ARG002
        """Return 1 for everyone, shape (n,)."""
        return np.ones(len(patterns))

    def expected_purchases(self, parameters: Parameters, patterns: Patterns, horizons: FloatArray) -> FloatArray:
        """Return (r+x) t / (alpha+T) for each horizon t, shape (n, H): the posterior mean rate times t."""
        rate = (parameters["r"] + patterns.frequency) / (parameters["alpha"] + patterns.T)
        return np.multiply.outer(rate, horizons)

    def progress(self, parameters: Parameters, patterns: Patterns) -> tuple[IntArray, FloatArray] | None:  # noqa: ARG002
        """Return None: purchases come by chance."""
        return None

    def expected_given_alive(self, parameters: Parameters, states: Patterns, horizons: FloatArray) -> FloatArray:
        """Return the expected purchases: everyone is alive."""
        return self.expected_purchases(parameters, states, horizons)

    def at_least_given_alive(
        self, parameters: Parameters, patterns: Patterns, horizons: FloatArray, counts: FloatArray
    ) -> FloatArray:
        """Return P(purchases in (T, T+t] >= m): the tail I_z(m, r+x), z = t/(alpha+T+t), of a negative binomial."""
        odds = horizons / (parameters["alpha"] + patterns.T + horizons)
        return np.asarray(betainc(counts, parameters["r"] + patterns.frequency, odds), dtype=np.float64)
