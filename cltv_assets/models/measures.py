"""How well a prediction orders customers, and how far a distribution has moved: measures of small arrays.

The figures on ordering are read off one curve: customers from the lowest prediction to the
highest, and the running sum of what they did. Customers with equal predictions stand on a
straight piece of it. Ties are therefore shared out, and so are customers on the edge between
two tenths.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtri

from cltv_assets.models.arrays import FloatArray
from cltv_assets.models.sufficient_statistics import inner

#: Groups of equal size that calibration looks at.
DECILES = 10

#: A bin without customers counts as half a customer in the stability index: the index stays
#: finite, and an empty bin weighs less the more customers there are.
EMPTY = 0.5


@dataclass(frozen=True, eq=False)
class Ordered:
    """Customers in rising order of a prediction, customers with equal ones together, shape (k,).

    Parameters
    ----------
    customers : array of float64
        How many customers share each prediction, positive.
    totals : array of float64
        What these customers did, or were predicted, together.
    """

    customers: FloatArray
    totals: FloatArray

    def up_to(self, ranks: FloatArray) -> FloatArray:
        """Return the running sum at ``ranks`` customers from the lowest, ties shared out evenly.

        Ranks lie within 0 and the number of customers, and may be fractions.
        """
        at = np.concatenate(([0.0], np.cumsum(self.customers)))
        return np.interp(ranks, at, np.concatenate(([0.0], np.cumsum(self.totals))))

    def decile_means(self) -> FloatArray:
        """Return the mean per customer in each tenth, the tenth of the lowest predictions first, shape (10,)."""
        total = float(self.customers.sum())
        edges = np.linspace(0.0, total, DECILES + 1)
        return np.diff(self.up_to(edges)) * (DECILES / total)

    def top_decile_share(self) -> float | None:
        """Return the share of the total that the highest tenth accounts for; None without a positive total."""
        total = float(self.totals.sum())
        if total <= 0:
            return None
        below = self.up_to(np.array([0.9 * float(self.customers.sum())]))
        return (total - float(below[0])) / total

    def rank_sum(self) -> float:
        """Return the sum of (2 rank - n - 1) x value over customers, ties at their mean rank.

        Divided by n times the total this is the Gini coefficient of the values in this order.
        """
        above = np.cumsum(self.customers)
        # Twice the mean rank of a group that begins after `above - customers`.
        twice_rank = 2.0 * above - self.customers + 1.0
        return inner(twice_rank - float(above[-1]) - 1.0, self.totals) if len(above) else 0.0


def gini_correlation(by_prediction: Ordered, by_value: Ordered) -> float | None:
    """Return the normalised Gini coefficient: how much of the possible ordering a prediction achieved.

    It is the Gini coefficient of the values in the order of the prediction, divided by that in
    their own order: cov(value, rank of prediction) / cov(value, rank of value), the Gini
    correlation of Schechtman and Yitzhaki (1987), *Communications in Statistics: Theory and
    Methods* 16(1), 207-231. 1 is the right order, 0 none, -1 the reverse. It is None where all
    customers did the same, because then there is no order to find.
    """
    possible = by_value.rank_sum()
    # Equal values leave rounding only, which is small against n times the total.
    scale = float(by_value.customers.sum()) * float(np.abs(by_value.totals).sum())
    return by_prediction.rank_sum() / possible if possible > 1e-12 * scale else None


def population_stability_index(before: Sequence[float], now: Sequence[float]) -> float:
    """Return the population stability index of two counts over the same bins, 0 for equal shares.

    It is the sum over bins of (share now - share before) x ln(share now / share before): the
    Kullback-Leibler divergence in both directions (Kullback and Leibler, 1951). The
    index, its bins at the deciles of the earlier sample and the usual bounds 0.1 and
    0.25 come from credit scoring: Siddiqi (2006), *Credit Risk Scorecards*, Wiley.
    An empty bin counts as half a customer.
    """
    shares = [
        np.maximum(np.asarray(counts, dtype=np.float64), EMPTY) / max(sum(counts), EMPTY) for counts in (before, now)
    ]
    return float(np.sum((shares[1] - shares[0]) * np.log(shares[1] / shares[0])))


def stability_by_chance(bins: int, before: float, now: float, probability: float = 0.999) -> float:
    """Return the index that two samples of one distribution stay below with ``probability``.

    For such samples the index divided by (1/before + 1/now), the customers in each, is about chi-squared with B - 1
    degrees of freedom: Yurdakul and Naranjo (2020), *Journal of Risk Model Validation* 14(4), 89-100.
    """
    if bins < 2:
        return 0.0
    return float(chdtri(bins - 1, 1.0 - probability)) * (1.0 / before + 1.0 / now)
