"""How well a prediction orders customers, from counts of customers with equal predictions.

All figures are read off one curve: customers from the lowest prediction to the
highest, and the running sum of what they did. Customers whose predictions are equal
stand on a straight piece of it: ties are shared out, and so are customers on the edge
between two tenths.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cltv_assets.models.estimation.statistics import FloatArray, inner

#: Groups of equal size that calibration looks at.
DECILES = 10


@dataclass(frozen=True, eq=False)
class Ordered:
    """Customers in rising order of a prediction, customers with equal ones together.

    Parameters
    ----------
    customers : array of float64, shape (k,)
        How many customers share each prediction, positive.
    totals : array of float64, shape (k,)
        What these customers did, or were predicted, together.
    """

    customers: FloatArray
    totals: FloatArray

    def up_to(self, ranks: FloatArray) -> FloatArray:
        """Return the running sum at ``ranks`` customers from the lowest, ties shared out evenly.

        Parameters
        ----------
        ranks : array of float64
            Within 0 and the number of customers; fractions of a customer count as such.
        """
        at = np.concatenate(([0.0], np.cumsum(self.customers)))
        return np.interp(ranks, at, np.concatenate(([0.0], np.cumsum(self.totals))))

    def decile_means(self) -> FloatArray:
        """Return the mean a customer in each tenth, the tenth of the lowest predictions first, shape (10,)."""
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

        Divided by n times the total it is the Gini coefficient of the values in this order.
        """
        above = np.cumsum(self.customers)
        # Twice the mean rank of a group that begins after `above - customers`.
        twice_rank = 2.0 * above - self.customers + 1.0
        return inner(twice_rank - float(above[-1]) - 1.0, self.totals) if len(above) else 0.0


def gini_correlation(by_prediction: Ordered, by_value: Ordered) -> float | None:
    """Return the normalised Gini coefficient: how much of the possible ordering a prediction achieved.

    The Gini coefficient of the values in the order of the prediction, over that in
    their own order: cov(value, rank of prediction) / cov(value, rank of value), the
    Gini correlation of Schechtman and Yitzhaki (1987), *Communications in Statistics:
    Theory and Methods* 16(1), 207-231. 1 is the right order, 0 none, -1 the reverse.

    Parameters
    ----------
    by_prediction, by_value : Ordered
        The same customers and values, in the two orders.

    Returns
    -------
    float or None
        None where all customers did the same, so that there is no order to find.
    """
    possible = by_value.rank_sum()
    # Of equal values only rounding is left, against n times the total.
    scale = float(by_value.customers.sum()) * float(np.abs(by_value.totals).sum())
    return by_prediction.rank_sum() / possible if possible > 1e-12 * scale else None
