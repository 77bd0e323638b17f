"""BG/CNBD-k and MBG/CNBD-k: customers who buy more regularly than by chance, and may stop after a purchase.

The intervals between a customer's purchases are Erlang-k: sums of k steps, each exponential at rate
lambda ~ Gamma(r, alpha). A mean interval is k / lambda, so that r / alpha is the mean rate of steps, not of purchases.
(This is the parametrisation of the source and of the R package BTYDplus.) Dropout is that of BG/NBD or MBG/NBD. With
k = 1 every formula here is theirs.

Source: Reutterer, Platzer and Schroeder (2021), Leveraging purchase regularity for predicting customer behavior the
easy way, International Journal of Research in Marketing 38(1), 194-215. Its likelihood is written here with
C_j = Gamma(A+j) / (Gamma(A) j!) w^A z^j, the probability of j steps since the last purchase, where A = r + k x,
w = (alpha+t_x)/(alpha+T) and z = 1 - w. With o occasions of dropout a history has the log-likelihood

    ln Gamma(A)/Gamma(r) + r ln alpha - A ln(alpha+t_x) + ln B(a,b+o)/B(a,b) + ln(a/(b+o-1) + sum over j < k of C_j),

and (k - 1) times the sum of the logs of its intervals less x ln Gamma(k), which no parameter enters.

The paper approximates the expected purchases. Here they are exact: given that a customer is alive, j < k steps have
been done since the last purchase with probability C_j over their sum; then lambda is Gamma(A+j, alpha+T), p is
Beta(a, b+o), and m more purchases take k m - j more steps.
"""

from __future__ import annotations

import numpy as np
from scipy.special import betainc, betaln, digamma, expit, gammaln

from cltv_assets.models.arrays import FloatArray, IntArray
from cltv_assets.models.distinct import Distinct
from cltv_assets.models.purchase.beta_geometric import BetaGeometricNbd
from cltv_assets.models.sufficient_statistics import (
    Objective,
    Parameters,
    Patterns,
    PurchaseStatistics,
    inner,
)

#: The k that are tried. Neighbours differ little in what they predict, and a coarse choice changes seldom.
SHAPES = (2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64, 96, 128, 192)

#: Up to so many steps are told apart; of more, some are taken and those between shared among the neighbours.
_STATES = 24

#: exp(-600) is still a normal float.
_UNDERFLOW = -600.0

#: Tails of a count below this share of their sum no longer count in an expectation.
_NEGLIGIBLE = 1e-12

#: Above this r, rates vary between customers by less than 3 %.
_ALIKE = 1e3

#: Patterns worked on at once: their temporary arrays stay within the cache.
_BLOCK = 16_384


def log_survival(
    k: int, shape: FloatArray, log_w: FloatArray, z: FloatArray
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Return ln S, its derivative by the shape A, and C_(k-1) / S, where S is the sum of C_j over j < k.

    S is the probability of fewer than k steps, an incomplete beta function I_w(A, k); as a sum it has a derivative
    by A. The terms are summed upwards from C_0 = w^A or, where that underflows, downwards from C_(k-1): then
    there are many more than k steps to be expected, and the last term is the largest.

    Parameters
    ----------
    k : int
        Steps of a purchase.
    shape, log_w, z : arrays of float64, shape (n,)
        A, ln w and z = 1 - w.
    """
    first = shape * log_w
    value, slope, last = (np.empty(len(shape)) for _ in range(3))
    up = first > _UNDERFLOW
    for rows, upwards in ((np.flatnonzero(up), True), (np.flatnonzero(~up), False)):
        if not len(rows):
            continue
        A, odds = shape[rows], z[rows]
        term, total, by_shape = np.ones(len(rows)), np.ones(len(rows)), np.zeros(len(rows))
        if upwards:
            harmonic = np.zeros(len(rows))
            for j in range(1, k):
                term = term * ((A + (j - 1.0)) / j * odds)
                harmonic = harmonic + 1.0 / (A + (j - 1.0))
                total += term
                by_shape += term * harmonic
            value[rows], last[rows] = first[rows] + np.log(total), term / total
        else:
            harmonic = digamma(A + (k - 1.0)) - digamma(A)
            by_shape += harmonic
            for j in range(k - 1, 0, -1):
                term = term * (j / ((A + (j - 1.0)) * odds))
                harmonic = harmonic - 1.0 / (A + (j - 1.0))
                total += term
                by_shape += term * harmonic
            log_last = gammaln(A + (k - 1.0)) - gammaln(A) - gammaln(k) + first[rows] + (k - 1.0) * np.log(odds)
            value[rows], last[rows] = log_last + np.log(total), 1.0 / total
        slope[rows] = by_shape / total + log_w[rows]
    return value, slope, last


class RegularLikelihood:
    """The log-likelihood of statistics and its exact gradient, without the factor of the single intervals."""

    def __init__(self, statistics: PurchaseStatistics, k: int, *, first_purchase: bool) -> None:
        weights, x = statistics.weights, statistics.frequency
        self._k, self._weights = k, weights
        self._steps = Distinct.whole(k * x)
        self._customers_by_steps = self._steps.total(weights)
        # In the order of the counts: an occasion more for everyone changes no order.
        self._occasions = Distinct.whole(x + int(first_purchase))
        self._customers_by_count = self._occasions.total(weights)
        self._shape = (k * x).astype(np.float64)
        self._recency, self._silent = statistics.recency, statistics.T - statistics.recency
        self._age = statistics.T

    def __call__(self, log_parameters: FloatArray) -> tuple[float, FloatArray]:
        """Return the log-likelihood (nats) and its gradient by ln r, ln alpha, ln a, ln b."""
        parameters = np.exp(log_parameters)
        r, alpha, a, b = (float(value) for value in parameters)
        steps, coins = self._steps.steps, self._occasions.steps
        last = b + self._occasions.values - 1.0
        tempted = self._occasions.values > 0
        log_hazard = np.where(tempted, np.log(a / np.where(tempted, last, 1.0)), -np.inf)
        value = inner(self._customers_by_steps, self._steps.running(np.log(r + steps))) - inner(
            self._customers_by_count, self._occasions.running(np.log1p(a / (b + coins)))
        )
        by_r = inner(self._customers_by_steps, self._steps.running(1.0 / (r + steps)))
        by_alpha = 0.0
        dropped_by_count = np.zeros(len(last))
        for first in range(0, len(self._weights), _BLOCK):
            rows = slice(first, first + _BLOCK)
            weights, bought, silent = self._weights[rows], self._shape[rows], self._silent[rows]
            at_count, shape = self._occasions.index[rows], r + bought
            recency, till_last, till_end = self._recency[rows], alpha + self._recency[rows], alpha + self._age[rows]
            z = silent / till_end
            survival, by_shape, final = log_survival(self._k, shape, -np.log1p(silent / till_last), z)
            hazard = log_hazard[at_count]
            either = np.logaddexp(hazard, survival)
            alive = np.exp(survival - either)
            since_first = np.log1p(recency / alpha)
            value += inner(weights, either - r * since_first - bought * np.log(till_last))
            by_r += inner(weights, alive * by_shape - since_first)
            pooled = (r / alpha * recency - bought) / till_last
            by_alpha += inner(weights, pooled + alive * final * (shape + (self._k - 1.0)) * z / till_last)
            dropped = weights * np.exp(hazard - either)
            dropped_by_count += np.bincount(at_count, weights=dropped, minlength=len(last))
        by_count = self._customers_by_count
        by_a = -inner(by_count, self._occasions.running(1.0 / (a + b + coins))) + float(dropped_by_count.sum()) / a
        by_b = inner(by_count, self._occasions.running(a / ((b + coins) * (a + b + coins)))) - inner(
            dropped_by_count, 1.0 / np.where(tempted, last, 1.0)
        )
        return value, np.array([by_r, by_alpha, by_a, by_b]) * parameters


class Regular(BetaGeometricNbd):
    """What both models have in common. Subclasses say whether the first purchase is an occasion of dropout.

    Parameters
    ----------
    k : int
        Steps that a purchase takes; 1 is a purchase by chance.
    """

    family: str

    def __init__(self, k: int) -> None:
        self.k = k
        self.name = f"{self.family}_{k}"

    def likelihood(self, statistics: PurchaseStatistics) -> Objective:
        """Return the log-likelihood of ``statistics`` over ln r, ln alpha, ln a, ln b, without single intervals."""
        return RegularLikelihood(statistics, self.k, first_purchase=self.first_purchase)

    def starts(self, purchase_rate: float) -> list[Parameters]:
        """Return where to start from, given the repeat purchases of a customer in a unit of time."""
        return [each | {"alpha": each["alpha"] / self.k} for each in map(dict, super().starts(purchase_rate))]

    def boundary_reason(self, parameters: Parameters, unidentified: frozenset[str]) -> str:
        """Say in plain words what the run-away parameters mean."""
        if {"r", "alpha"} & unidentified and parameters["r"] > _ALIKE:
            rest = super().boundary_reason(parameters, unidentified - {"r", "alpha"})
            return "; ".join(filter(None, ("customers hardly differ in how often they buy", rest)))
        return super().boundary_reason(parameters, unidentified)

    def p_alive(self, parameters: Parameters, patterns: Patterns) -> FloatArray:
        """Return P(alive | pattern), shape (n,): the share of the sum in the bracket of the likelihood."""
        r, alpha, a, b = (parameters[name] for name in self.parameter_names)
        x = patterns.frequency.astype(np.float64)
        occasions = x + float(self.first_purchase)
        silent = patterns.T - patterns.recency
        log_w = -np.log1p(silent / (alpha + patterns.recency))
        survival, _, _ = log_survival(self.k, r + self.k * x, log_w, silent / (alpha + patterns.T))
        log_hazard = np.log(a) - np.log(b + np.maximum(occasions, 1.0) - 1.0)
        return np.where(occasions == 0, 1.0, expit(survival - log_hazard))

    def progress(self, parameters: Parameters, patterns: Patterns) -> tuple[IntArray, FloatArray] | None:
        """Return the steps that customers may have done, shape (n, P), and their probabilities given alive."""
        if self.k == 1:
            return None
        j = np.arange(self.k, dtype=np.float64)
        done = j if self.k <= _STATES else np.unique(np.rint(np.linspace(0.0, self.k - 1.0, _STATES)))
        weights = np.empty((len(patterns), len(done)))
        for first in range(0, len(patterns), _BLOCK // 4):
            rows = np.arange(first, min(first + _BLOCK // 4, len(patterns)))
            weights[rows] = self._steps_done(parameters, patterns.take(rows), done)
        return (self.k * patterns.frequency)[:, None] + done.astype(np.int64), weights

    def expected_given_alive(self, parameters: Parameters, states: Patterns, horizons: FloatArray) -> FloatArray:
        """Return E[purchases in (T, T+t] | alive, steps done], shape (n, H): the sum of `at_least_given_alive`.

        It is summed over steps: with f_c the probability of c more steps, a negative binomial one, and W_c the
        chance of no dropout before, summed over the purchases that they make, it is the sum of f_c W_c.
        """
        expected = np.zeros((len(states), len(horizons)))
        z = horizons / (parameters["alpha"] + states.T[:, None] + horizons)
        shape = parameters["r"] + states.frequency.astype(np.float64)
        # Steps by the dozen are dearer than an incomplete beta function.
        small = (shape * np.log1p(-z.max(axis=1, initial=0.0)) > _UNDERFLOW) & (self.k <= _STATES)
        # Of like lengths, so that no row waits for another.
        order = np.argsort(shape * z.max(axis=1, initial=0.0), kind="stable")
        for rows, add in ((order[small[order]], self._by_steps), (order[~small[order]], self._by_purchases)):
            for first in range(0, len(rows), _BLOCK // 4):
                part = rows[first : first + _BLOCK // 4]
                expected[part] = add(parameters, states.frequency[part], shape[part][:, None], z[part])
        return expected

    def at_least_given_alive(
        self, parameters: Parameters, patterns: Patterns, horizons: FloatArray, counts: FloatArray
    ) -> FloatArray:
        """Return P(purchases in (T, T+t] >= m | alive, steps done), m >= 1, shape (n,).

        k m - j more steps within t are I_z(k m - j, A + j), z = t/(alpha+T+t), and a customer stays at m - 1 occasions.
        """
        r, alpha, a, b = (parameters[name] for name in self.parameter_names)
        bought, done = np.divmod(patterns.frequency, self.k)
        after = b + bought + float(self.first_purchase)
        stays = np.exp(betaln(a, after + counts - 1.0) - betaln(a, after))
        z = horizons / (alpha + patterns.T + horizons)
        return np.asarray(stays * betainc(self.k * counts - done, r + patterns.frequency, z), dtype=np.float64)

    def _steps_done(self, parameters: Parameters, patterns: Patterns, done: FloatArray) -> FloatArray:
        """Return the probabilities of the given numbers of steps; those of others go to their neighbours."""
        j = np.arange(self.k, dtype=np.float64)
        shape = parameters["r"] + self.k * patterns.frequency.astype(np.float64)
        with np.errstate(divide="ignore"):
            log_z = np.log((patterns.T - patterns.recency) / (parameters["alpha"] + patterns.T))
        # ln C_j less ln C_0.
        terms = np.log((shape[:, None] + j[:-1]) / (j[:-1] + 1.0)) + log_z[:, None]
        logs = np.concatenate((np.zeros((len(shape), 1)), np.cumsum(terms, axis=1)), axis=1)
        weights: FloatArray = np.exp(logs - logs.max(axis=1, keepdims=True))
        weights /= weights.sum(axis=1, keepdims=True)
        if len(done) == self.k:
            return weights
        shares = np.array([np.interp(j, done, each) for each in np.eye(len(done))]).T
        # Not a matrix product: see `inner`.
        return np.asarray(np.einsum("nj,jd->nd", weights, shares), dtype=np.float64)

    def _by_steps(self, parameters: Parameters, steps: IntArray, shape: FloatArray, z: FloatArray) -> FloatArray:
        bought, done = np.divmod(steps, self.k)
        chance, worth = np.exp(shape * np.log1p(-z)), np.zeros((len(steps), 1))
        stays, expected = np.ones(len(steps)), np.zeros_like(z)
        after = parameters["b"] + bought + float(self.first_purchase)
        c = 0
        while True:
            c += 1
            chance = chance * ((shape + (c - 1.0)) / c * z)
            buys = np.flatnonzero((c + done) % self.k == 0)
            worth[buys, 0] += stays[buys]
            stays[buys] *= after[buys] / (parameters["a"] + after[buys])
            after[buys] += 1.0
            expected += chance * worth
            # Beyond its mode the probability falls by this ratio or faster.
            ratio = (shape + c) / (c + 1.0) * z
            if (chance * (worth + 1.0) <= _NEGLIGIBLE * (1.0 - ratio) * expected).all() and c >= self.k:
                return expected

    def _by_purchases(self, parameters: Parameters, steps: IntArray, shape: FloatArray, z: FloatArray) -> FloatArray:
        bought, done = np.divmod(steps, self.k)
        stays, expected = np.ones((len(steps), 1)), np.zeros_like(z)
        after = parameters["b"] + bought[:, None] + float(self.first_purchase)
        m = 0
        while True:
            m += 1
            tail = stays * betainc((self.k * m - done)[:, None], shape, z)
            expected += tail
            stays *= after / (parameters["a"] + after)
            after += 1.0
            if (tail <= _NEGLIGIBLE * expected).all():
                return expected


class BgCnbd(Regular):
    """The BG/CNBD-k model: customers may stop after repeat purchases."""

    family = "bg_cnbd"
    first_purchase = False


class MbgCnbd(Regular):
    """The MBG/CNBD-k model: customers may stop after any purchase."""

    family = "mbg_cnbd"
    first_purchase = True
