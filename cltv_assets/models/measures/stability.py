"""How far a distribution has moved: the population stability index."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import chdtri

#: A bin without customers counts as half a customer: the index stays finite, and one
#: empty bin weighs less the more customers there are.
EMPTY = 0.5


def population_stability_index(before: Sequence[float], now: Sequence[float]) -> float:
    """Return the population stability index of two counts over the same bins.

    The sum over bins of (share now - share before) x ln(share now / share before): the
    Kullback-Leibler divergence in both directions (Kullback and Leibler, 1951). The
    index, its bins at the deciles of the earlier sample and the usual bounds 0.1 and
    0.25 come from credit scoring: Siddiqi (2006), *Credit Risk Scorecards*, Wiley.

    Parameters
    ----------
    before, now : sequence of float, shape (B,)
        Customers in each bin. An empty bin counts as half a customer.

    Returns
    -------
    float
        0 for equal shares, and larger without bound.
    """
    shares = [
        np.maximum(np.asarray(counts, dtype=np.float64), EMPTY) / max(sum(counts), EMPTY) for counts in (before, now)
    ]
    return float(np.sum((shares[1] - shares[0]) * np.log(shares[1] / shares[0])))


def stability_by_chance(bins: int, before: float, now: float, probability: float = 0.999) -> float:
    """Return what the index exceeds with 1 - ``probability`` though both samples come from one distribution.

    Then the index over (1/before + 1/now) is about chi-squared with B - 1 degrees of
    freedom: Yurdakul and Naranjo (2020), *Journal of Risk Model Validation* 14(4), 89-100.

    Parameters
    ----------
    bins : int
        Number of bins B.
    before, now : float
        Customers in each sample, positive.
    probability : float
    """
    if bins < 2:
        return 0.0
    return float(chdtri(bins - 1, 1.0 - probability)) * (1.0 / before + 1.0 / now)
