"""BG/NBD and MBG/NBD: gamma-distributed purchase rates, beta-distributed dropout after a purchase.

A customer buys at rate lambda ~ Gamma(r, alpha) and may stop after each purchase with
probability p ~ Beta(a, b): after repeat purchases only (BG/NBD), or after the first
purchase too (MBG/NBD). The models differ in the occasions of dropout that a customer
with x repeat purchases has had, x or x + 1. One set of formulas over the number of
occasions therefore serves both.

Sources: Fader, Hardie and Lee (2005), "Counting Your Customers" the Easy Way, Marketing
Science 24(2), 275-284, whose equations are named below; Batislam, Denizel and Filiztekin
(2007), Empirical Validation and Comparison of Models for Customer Base Analysis,
International Journal of Research in Marketing 24(3), 201-209. Every formula here is
written so that it survives parameters that run to their bounds, frequencies of ten
thousand and customers seen for the first time today. Tests hold them against mpmath.
"""

from __future__ import annotations

import numpy as np
from scipy.special import betainc, betaln, expit

from cltv_assets.models.arrays import FloatArray, IntArray
from cltv_assets.models.distinct import Distinct
from cltv_assets.models.purchase.bound import log_at_least
from cltv_assets.models.purchase.dropout_integral import mean_purchases_before_dropout
from cltv_assets.models.purchase.living import Living
from cltv_assets.models.purchase.nbd import dropout_reason
from cltv_assets.models.sufficient_statistics import (
    Objective,
    Parameters,
    Patterns,
    PurchaseStatistics,
    inner,
)

#: A mean dropout probability after a purchase below this is none to speak of.
NEGLIGIBLE_DROPOUT = 1e-3

#: Patterns worked on at once: their temporary arrays stay within the cache.
_BLOCK = 16_384


class BetaGeometricLikelihood:
    """The log-likelihood of statistics and its exact gradient.

    With o occasions of dropout and w = P(dropped out | pattern), a pattern's
    log-likelihood (equation 6) is
    ln Gamma(r+x)/Gamma(r) + r ln alpha + ln B(a,b+o)/B(a,b) - (r+x) ln(alpha+T) - ln(1-w),
    so customers without an occasion (w = 0) enter through sums by age only.
    ``first_purchase`` says whether the first purchase is an occasion of dropout.
    """

    def __init__(self, statistics: PurchaseStatistics, *, first_purchase: bool) -> None:
        weights, x = statistics.weights, statistics.frequency
        self._counts = Distinct.whole(x)
        self._customers_by_count = self._counts.total(weights)
        ages = statistics.ages
        self._ages = ages.values
        self._customers_by_age = ages.total(weights)
        self._purchases_by_age = ages.total(weights * x)
        # In the order of the counts: an occasion more for everyone changes no order.
        self._occasions = Distinct.whole(x + int(first_purchase))
        tempted = x + int(first_purchase) > 0
        recencies = statistics.recencies.at(tempted)
        self._recencies = recencies.values
        self._at_age, self._at_recency = ages.index[tempted], recencies.index
        self._at_count = self._counts.index[tempted]
        self._x, self._weights = x[tempted].astype(np.float64), weights[tempted]

    def __call__(self, log_parameters: FloatArray) -> tuple[float, FloatArray]:
        """Return the log-likelihood (nats) and its gradient by ln r, ln alpha, ln a, ln b."""
        parameters = np.exp(log_parameters)
        r, alpha, a, b = (float(value) for value in parameters)
        steps, by_count = self._counts.steps, self._customers_by_count
        coins = self._occasions.steps
        log_age, log_recency = np.log(alpha + self._ages), np.log(alpha + self._recencies)

        since_first = np.log1p(self._ages / alpha)

        last = b + self._occasions.values - 1.0
        log_hazard = np.log(a / np.where(last > 0, last, 1.0))
        loss = by_gap = 0.0
        by_age, by_recency = np.zeros(len(self._ages)), np.zeros(len(self._recencies))
        dropped_by_count = np.zeros(len(last))
        for first in range(0, len(self._x), _BLOCK):
            rows = slice(first, first + _BLOCK)
            at_age, at_recency, at_count = self._at_age[rows], self._at_recency[rows], self._at_count[rows]
            # ln(P(dropped out) / P(alive)) of each pattern with an occasion.
            gap = log_age[at_age] - log_recency[at_recency]
            shape = r + self._x[rows]
            log_odds = shape * gap
            log_odds += log_hazard[at_count]
            # ln(1 + odds) and odds / (1 + odds) from one exponential that cannot overflow:
            # at 200 purchases the odds themselves do.
            small = np.exp(-np.abs(log_odds))
            dropped = np.where(log_odds > 0, 1.0, small)
            # Not log1p, which takes three times as long: what it would save is 1e-16 nats a customer.
            small += 1.0
            dropped *= self._weights[rows] / small
            loss += inner(self._weights[rows], np.maximum(log_odds, 0.0) + np.log(small))
            by_gap += inner(dropped, gap)
            dropped_by_count += np.bincount(at_count, weights=dropped, minlength=len(last))
            dropped *= shape
            by_age += np.bincount(at_age, weights=dropped, minlength=len(by_age))
            by_recency += np.bincount(at_recency, weights=dropped, minlength=len(by_recency))
        value = (
            inner(by_count, self._counts.running(np.log(r + steps)))
            - inner(by_count, self._occasions.running(np.log1p(a / (b + coins))))
            - r * inner(self._customers_by_age, since_first)
            - inner(self._purchases_by_age, log_age)
            + loss
        )
        per_age, per_recency = 1.0 / (alpha + self._ages), 1.0 / (alpha + self._recencies)
        pooled = self._customers_by_age * (r / alpha) * self._ages - self._purchases_by_age
        by_r = (
            inner(by_count, self._counts.running(1.0 / (r + steps)))
            - inner(self._customers_by_age, since_first)
            + by_gap
        )
        by_alpha = inner(pooled + by_age, per_age) - inner(by_recency, per_recency)
        by_a = -inner(by_count, self._occasions.running(1.0 / (a + b + coins))) + float(dropped_by_count.sum()) / a
        by_b = inner(by_count, self._occasions.running(a / ((b + coins) * (a + b + coins)))) - inner(
            dropped_by_count, 1.0 / np.where(last > 0, last, 1.0)
        )
        by_parameter = np.array([by_r, by_alpha, by_a, by_b])
        return value, by_parameter * parameters


class BetaGeometricNbd:
    """What both models have in common. Subclasses say whether the first purchase is an occasion of dropout."""

    name: str
    first_purchase: bool
    parameter_names = ("r", "alpha", "a", "b")
    time_parameters = frozenset({"alpha"})
    together = (("r", "alpha"), ("alpha", "r"), ("a", "b"), ("b", "a"))
    k = 1

    def likelihood(self, statistics: PurchaseStatistics) -> Objective:
        """Return the log-likelihood of ``statistics`` over ln r, ln alpha, ln a, ln b."""
        return BetaGeometricLikelihood(statistics, first_purchase=self.first_purchase)

    def log_at_least(self, log_parameters: FloatArray, ages: FloatArray, count: int) -> tuple[FloatArray, FloatArray]:
        """Return ln P(X(T) >= count) and its gradient: k steps each, times staying at each occasion but the last."""
        r, alpha, a, b = (float(value) for value in np.exp(log_parameters))
        value, by_rate = log_at_least(self.k * count, ages, (r, alpha))
        stayed = b + np.arange(count - 1 + int(self.first_purchase), dtype=np.float64)
        by_dropout = [-(a / (a + stayed)).sum(), (a * b / (stayed * (a + stayed))).sum()]
        return value - np.log1p(a / stayed).sum(), np.column_stack((by_rate, np.tile(by_dropout, (len(ages), 1))))

    def starts(self, purchase_rate: float) -> list[Parameters]:
        """Return where to start from, given the repeat purchases of a customer in a unit of time.

        Starts differ in what makes a search miss the maximum: the spread of purchase
        rates, and whether few or many customers drop out.
        """
        return [
            {"r": r, "alpha": r / purchase_rate, "a": a, "b": b}
            for r, a, b in ((0.3, 0.8, 2.5), (1.0, 0.1, 2.0), (2.0, 1.0, 1.0), (0.3, 2.0, 20.0))
        ]

    def boundary_reason(self, parameters: Parameters, unidentified: frozenset[str]) -> str:
        """Say in plain words what the run-away parameters mean."""
        mean = parameters["a"] / (parameters["a"] + parameters["b"])
        return dropout_reason(unidentified, {"a", "b"}, "dropout probabilities", negligible=mean < NEGLIGIBLE_DROPOUT)

    def p_alive(self, parameters: Parameters, patterns: Patterns) -> FloatArray:
        """Return P(alive | pattern), shape (n,).

        Fader, Hardie and Lee (2008), Computing P(alive) Using the BG/NBD Model,
        http://www.brucehardie.com/notes/021/, in logs. A customer who had no
        occasion to drop out is alive with certainty: in the BG/NBD one without a repeat purchase.
        """
        r, alpha, a, b = (parameters[name] for name in self.parameter_names)
        x = patterns.frequency.astype(np.float64)
        occasions = x + float(self.first_purchase)
        log_hazard = np.log(a) - np.log(b + np.maximum(occasions, 1.0) - 1.0)
        silent = (patterns.T - patterns.recency) / (alpha + patterns.recency)
        log_odds = log_hazard + (r + x) * np.log1p(silent)
        return np.where(occasions == 0, 1.0, expit(-log_odds))

    def progress(self, parameters: Parameters, patterns: Patterns) -> tuple[IntArray, FloatArray] | None:  # noqa: ARG002
        """Return None: purchases come by chance."""
        return None

    def expected_purchases(self, parameters: Parameters, patterns: Patterns, horizons: FloatArray) -> FloatArray:
        """Return E[purchases in (T, T+t] | pattern] for each horizon t, shape (n, H)."""
        living = Living.of(self, parameters, patterns)
        given_alive = living.mean(self.expected_given_alive(parameters, living.states, horizons))
        return self.p_alive(parameters, patterns)[:, None] * given_alive

    def expected_given_alive(self, parameters: Parameters, states: Patterns, horizons: FloatArray) -> FloatArray:
        """Return E[purchases in (T, T+t] | alive at T] for each horizon t, shape (n, H).

        Equation 10 without its hypergeometric function, which is NaN for a + b < 1
        and cancels at a = 1: given that the customer is alive after o occasions, lambda
        is Gamma(r+x, alpha+T) and p is Beta(a, b+o), independent of each other, and
        E[(1 - exp(-lambda p t)) / p] is a smooth integral over p alone.
        """
        r, alpha, a, b = (parameters[name] for name in self.parameter_names)
        return mean_purchases_before_dropout(
            frequency=states.frequency,
            rate_shape=r,
            dropout=(a, b + float(self.first_purchase)),
            horizons=np.asarray(horizons[None, :] / (alpha + states.T[:, None]), dtype=np.float64),
        )

    def at_least_given_alive(
        self, parameters: Parameters, patterns: Patterns, horizons: FloatArray, counts: FloatArray
    ) -> FloatArray:
        """Return P(purchases in (T, T+t] >= m | alive at T) for m >= 1.

        Customers with m purchases did not drop out after any of the first
        m - 1, and the Poisson process had m arrivals; with the posteriors of lambda and
        p independent that is B(a, b+o+m-1)/B(a, b+o) I_z(m, r+x) after o occasions, where
        z = t/(alpha+T+t). For the BG/NBD it is the tail sum of equation 8 in closed form.
        """
        r, alpha, a, b = (parameters[name] for name in self.parameter_names)
        x = patterns.frequency.astype(np.float64)
        after = b + x + float(self.first_purchase)
        stays = np.exp(betaln(a, after + counts - 1.0) - betaln(a, after))
        arrives = betainc(counts, r + x, horizons / (alpha + patterns.T + horizons))
        return np.asarray(stays * arrives, dtype=np.float64)


class BgNbd(BetaGeometricNbd):
    """The BG/NBD model: without a repeat purchase there was no occasion to stop, so P(alive) is 1."""

    name = "bg_nbd"
    first_purchase = False


class MbgNbd(BetaGeometricNbd):
    """The MBG/NBD model: the first purchase may be the last, and P(alive) is b / (a + b) on its day."""

    name = "mbg_nbd"
    first_purchase = True
