"""Whether customers buy more regularly than by chance: two intervals between purchases of each, compared.

Wheat and Morrison (1990), Estimating Purchase Regularity with Two Interpurchase Times, Journal of Marketing Research
27(1), 87-93: where intervals are gamma of shape k, the share of the first of two is Beta(k, k), whatever the
customer's rate. Here k is found by maximum likelihood, which needs only the sum of the logs of the intervals, and
the distribution is that on whole days: of s days, g are in the first interval with a probability proportional to
(g (s - g))^(k-1), g = 1 to s - 1. For k = 1 this is exact for purchases by chance that are merged by day, so that
frequent buyers, whose intervals are a day at least, do not look regular for that alone. Customers' last two intervals
are compared, given their sum, so neither the end of the history nor dropout matters.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.optimize import minimize_scalar

from cltv_assets.models.arrays import FloatArray, IntArray
from cltv_assets.models.purchase.regular import SHAPES
from cltv_assets.models.sufficient_statistics import inner

#: Standard errors by which a k has to be likelier than chance.
_NOISE = 3.0
#: Customers with two intervals that it takes to say anything.
MIN_CUSTOMERS = 30

#: Regularity is looked for between these.
_LEAST, _MOST = 0.05, 1000.0

#: Sums of two intervals up to so many days are counted day by day; beyond, some, and what lies between is interpolated.
_EXACT, _NODES = 128, 24


@dataclass(frozen=True, eq=False)
class DayCounts:
    """Numbers of days, each with how often it occurs.

    Parameters
    ----------
    days, counts : arrays of int64, shape (n,)
        Days are positive.
    """

    days: IntArray
    counts: IntArray

    @property
    def total(self) -> int:
        """How many there are."""
        return int(self.counts.sum())

    @property
    def sum_of_logs(self) -> float:
        """The sum of the natural logs of the days."""
        return inner(self.counts, np.log(self.days))


@dataclass(frozen=True, eq=False)
class Intervals:
    """Days between consecutive purchase days, up to the end of a history.

    Parameters
    ----------
    every : DayCounts
        All intervals of all customers.
    last_two : DayCounts
        Of customers with two or more, the last two.
    sums : DayCounts
        Of the same customers, the sum of the last two.
    """

    every: DayCounts
    last_two: DayCounts
    sums: DayCounts

    @cached_property
    def shape(self) -> float | None:
        """The maximum likelihood estimate of k; None of too few customers."""
        if self.sums.total < MIN_CUSTOMERS:
            return None
        found = minimize_scalar(
            lambda log_k: -self._log_likelihood(float(np.exp(log_k))),
            bounds=(np.log(_LEAST), np.log(_MOST)),
            method="bounded",
            options={"xatol": 1e-6},
        )
        return float(np.exp(found.x))

    @cached_property
    def k(self) -> int:
        """The number of steps that describes the intervals best, 1 unless they are more regular than chance."""
        if self.shape is None or self.shape <= 1.0:
            return 1
        # The log-likelihood is concave in k: the best of the shapes is next to its maximum.
        chance, after = self._log_likelihood(1.0), bisect_left(SHAPES, self.shape)
        gains = {k: self._log_likelihood(float(k)) - chance for k in SHAPES[max(after - 1, 0) : after + 1]}
        best = max(gains, key=lambda k: gains[k])
        return best if gains[best] > _NOISE**2 / 2.0 else 1

    def sum_of_logs(self, days_per_unit: int) -> float:
        """Return the sum of the logs of all intervals in the models' time unit."""
        return self.every.sum_of_logs - self.every.total * float(np.log(days_per_unit))

    def _log_likelihood(self, k: float) -> float:
        return (k - 1.0) * self.last_two.sum_of_logs - inner(self.sums.counts, self._log_totals(k))

    def _log_totals(self, k: float) -> FloatArray:
        """Return the logs of what the probabilities of one interval are divided by, for each sum of two."""
        days = self.sums.days.astype(np.float64)
        longest = int(days.max())
        if longest <= _EXACT:
            return np.array([_log_total(k, s) for s in self.sums.days])
        few = np.geomspace(_EXACT, longest, _NODES).round()
        nodes: FloatArray = np.unique(np.concatenate((np.arange(2.0, _EXACT), few)))
        # ln(total) is (2k - 1) ln s and something that is smooth in 1/s.
        rest = np.array([_log_total(k, int(s)) for s in nodes]) - (2.0 * k - 1.0) * np.log(nodes)
        return np.asarray(np.interp(-1.0 / days, -1.0 / nodes, rest) + (2.0 * k - 1.0) * np.log(days))


def _log_total(k: float, days: int) -> float:
    """Return ln of the sum over g = 1 to s - 1 of (g (s - g))^(k-1), s being ``days``."""
    g = np.arange(1, days, dtype=np.float64)
    middle = days / 2.0
    powers = (k - 1.0) * np.log(g * (days - g) / middle**2)
    largest = float(powers.max())
    return 2.0 * (k - 1.0) * float(np.log(middle)) + largest + float(np.log(np.exp(powers - largest).sum()))
