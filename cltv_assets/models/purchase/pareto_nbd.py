"""The Pareto/NBD model: gamma-distributed purchase rates, gamma-distributed dropout rates.

A customer buys at rate lambda ~ Gamma(r, alpha) and drops out at rate mu ~ Gamma(s, beta),
at any time and not only with a purchase. Source: Schmittlein, Morrison and Colombo (1987),
Counting Your Customers, Management Science 33(1), 1-24; formulas as in Fader and Hardie
(2005), A Note on Deriving the Pareto/NBD Model, http://www.brucehardie.com/notes/009/.
Whoever is alive at T has lambda ~ Gamma(r+x, alpha+T) and mu ~ Gamma(s, beta+T), independent.
"""

from __future__ import annotations

import numpy as np

from cltv_assets.models.estimation.axes import Pairs
from cltv_assets.models.estimation.statistics import FloatArray, PurchaseStatistics
from cltv_assets.models.purchase.pareto_likelihood import ParetoNbdLikelihood, alive, dropout_first, purchase_first
from cltv_assets.models.purchase.pareto_tail import arrivals_before_dropout
from cltv_assets.models.purchase.purchase_model import Parameters, Patterns

#: A mean time to dropout of so many times the mean age is none to speak of.
_NEVER = 1e3


class ParetoNbd:
    """The Pareto/NBD model behind the common protocol of purchase models."""

    name = "pareto_nbd"
    parameter_names = ("r", "alpha", "s", "beta")
    time_parameters = frozenset({"alpha", "beta"})
    together = (("r", "alpha"), ("alpha", "r"), ("s", "beta"), ("beta", "s"))

    def likelihood(self, statistics: PurchaseStatistics) -> ParetoNbdLikelihood:
        """Return the log-likelihood of ``statistics`` over ln r, ln alpha, ln s, ln beta."""
        return ParetoNbdLikelihood(statistics)

    def log_repeat_probability(self, log_parameters: FloatArray, ages: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return ln P(a repeat purchase within T) and its gradient.

        The first event is a purchase, and not one that lies beyond T: the branch
        `purchase_first` at 0 less the same at T, for x = 0.
        """
        values = np.exp(log_parameters)
        r, alpha, s, beta = (float(value) for value in values)
        times = np.append(0.0, ages)
        branch = purchase_first(np.zeros_like(times), times, (r, alpha, s, beta))
        ratio = branch.log_value[1:] - branch.log_value[0]
        within = -np.expm1(ratio)
        slopes = (branch.slopes[:, :1] - np.exp(ratio) * branch.slopes[:, 1:]) / within
        return branch.log_value[0] + np.log(within), slopes.T * values

    def starts(self, purchase_rate: float) -> list[Parameters]:
        """Return where to start from, given repeat purchases a customer and unit of time.

        The unit is the mean age: they differ in the spread of purchase rates and in how
        many customers drop out within it.
        """
        return [
            {"r": r, "alpha": r / (lift * purchase_rate), "s": s, "beta": beta}
            for r, lift, s, beta in ((0.5, 1.5, 0.6, 0.4), (1.0, 1.2, 0.3, 1.0), (0.5, 1.0, 2.0, 10.0))
        ]

    def boundary_reason(self, parameters: Parameters, unidentified: frozenset[str]) -> str:
        """Say in plain words what the run-away parameters mean."""
        reasons = []
        if unidentified & {"s", "beta"}:
            if parameters["s"] / parameters["beta"] * parameters["alpha"] / parameters["r"] < 1.0 / _NEVER:
                reasons.append(
                    "dropout cannot be identified: the data show hardly a customer who stopped, "
                    "so P(alive) is close to 1 for everyone"
                )
            else:
                reasons.append(
                    "the spread of dropout rates cannot be identified: "
                    "the data fit as well if customers differ in it in quite another way"
                )
        if unidentified & {"r", "alpha"}:
            reasons.append(
                "the spread of purchase rates cannot be identified: "
                "the data fit as well if customers differ in it in quite another way"
            )
        return "; ".join(reasons)

    def p_alive(self, parameters: Parameters, patterns: Patterns) -> FloatArray:
        """Return P(alive | pattern), shape (n,): the density of being alive at T by the likelihood."""
        values = _values(parameters)
        x = patterns.frequency.astype(np.float64)
        ends, lasts = Pairs.of(patterns.frequency, patterns.T), Pairs.of(patterns.frequency, patterns.recency)
        on = purchase_first(ends.x, ends.ages, values).log_value[ends.index]
        left = dropout_first(lasts.x, lasts.ages, values).log_value[lasts.index]
        return np.minimum(np.exp(alive(x, patterns.T, values) - np.logaddexp(on, left)), 1.0)

    def expected_purchases(self, parameters: Parameters, patterns: Patterns, horizons: FloatArray) -> FloatArray:
        """Return E[purchases in (T, T+t] | pattern] for each horizon t, shape (n, H).

        (r+x)/(alpha+T) times the expected time alive within t,
        (beta+T)/(s-1) (1 - ((beta+T)/(beta+T+t))^(s-1)), times P(alive) (equation 22 of
        the paper). With y = ln(1 + t/(beta+T)) the time is (beta+T) (1 - exp(-(s-1) y))/(s-1),
        which is (beta+T) y at s = 1.
        """
        r, alpha, s, beta = _values(parameters)
        rate = (r + patterns.frequency) / (alpha + patterns.T)
        far = beta + patterns.T
        y = np.log1p(horizons[None, :] / far[:, None])
        z = (s - 1.0) * y
        decline = np.where(z == 0.0, 1.0, -np.expm1(-z) / np.where(z == 0.0, 1.0, z))
        lifetime = far[:, None] * y * decline
        return np.asarray((self.p_alive(parameters, patterns) * rate)[:, None] * lifetime, dtype=np.float64)

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


def _values(parameters: Parameters) -> tuple[float, float, float, float]:
    return parameters["r"], parameters["alpha"], parameters["s"], parameters["beta"]
