"""What a new customer is expected to buy and bring, and how far the mean of a cohort may lie off.

A new customer has bought once and has no history: x = 0, t_x = 0, T = 0. Everything is relative to the day of the first
purchase. The mean of a cohort of n such customers misses its expectation for four reasons:

- chance, which averages out: variances are those of one customer over n;
- the parameters, by the delta method, and which of several models is right (see ``totals``): shared by all of the
  cohort, so neither averages out;
- the model's own error tau, as the rolling holdouts tell it, on what is bought again;
- what a first order is worth, which is an estimate, too.

The interval of orders is that of a gamma distribution for the repeat orders, beyond the first one that is certain; that
of value is one for the sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cltv_assets.models.arrays import FloatArray
from cltv_assets.models.mixture import Mixture
from cltv_assets.models.sufficient_statistics import Parameters, Patterns
from cltv_assets.models.value.totals import Covariance, CustomerGroups, MoneyWeights, Sums, totals_of

#: The history of a new customer.
NEW = Patterns(np.zeros(1, dtype=np.int64), np.zeros(1), np.zeros(1))


@dataclass(frozen=True, eq=False)
class Repeats:
    """What a new customer does after the first purchase, up to each of H horizons.

    Parameters
    ----------
    expected : array of float64, shape (H,)
        Expectation of a customer.
    centre : array of float64, shape (H,)
        Mean for the interval: the same, except where a heavy tail of values is cut (see ``totals``).
    chance : array of float64, shape (H,)
        Variance of one customer given the models and their parameters.
    shared : array of float64, shape (H,)
        Variance that all customers of a cohort share: the parameters' and that of which model is right.
    """

    expected: FloatArray
    centre: FloatArray
    chance: FloatArray
    shared: FloatArray


def expected_repeats(mixture: Mixture, times: FloatArray) -> FloatArray:
    """Return E[X(t)] of a new customer, shape (K,), for times of shape (K,) since the first purchase; 0 at 0.

    Equation 9 of Fader, Hardie and Lee (2005), *Marketing Science* 24(2), for BG/NBD, and its like of the other models:
    each model's expectation after a history without any length.
    """
    found = np.zeros(len(times))
    later = times > 0
    if later.any():
        found[later] = mixture.expected_purchases(NEW, times[later])[0]
    return found


def repeats_of(
    mixture: Mixture,
    spend: Parameters,
    month_ends: FloatArray,
    factors: FloatArray,
    horizons: Sequence[int],
    cohort: int,
    spend_covariance: Covariance | None = None,
) -> tuple[Repeats, Repeats]:
    """Return the repeat purchases of a new customer, and what they bring.

    Parameters
    ----------
    mixture : Mixture
        The models that predict together.
    spend : mapping
        p, q and v of the Gamma-Gamma model.
    month_ends : array of float64, shape (K,)
        Time from the first purchase to each following month's end, on the models' clock.
    factors : array of float64, shape (K,)
        What a unit of spend in each month counts for: discount, trend.
    horizons : sequence of int, length H
        Months, each between 1 and K.
    cohort : int
        Customers of the cohort. A heavy tail of values is cut where any of them exceeds it with a chance of a tenth.
    spend_covariance : mapping or None
        Of the logs of the spend model's identified parameters.

    Returns
    -------
    pair of Repeats
        In purchase days, and in currency before any margin.
    """
    n, nothing = np.array([float(max(cohort, 1))]), np.zeros(1)
    money = MoneyWeights(margins=n, values=nothing, margin_squares=n, margin_values=nothing, value_squares=nothing)
    groups = CustomerGroups(NEW.frequency, NEW.recency, NEW.T, n, money)
    weights = np.array(mixture.weights)
    parts = [totals_of(fit, spend, groups, month_ends, factors, horizons, spend_covariance) for fit in mixture.fits]
    return (
        _of_one(weights, [part.purchases for part in parts], float(n[0])),
        _of_one(weights, [part.value for part in parts], float(n[0])),
    )


def _of_one(shares: FloatArray, sums: Sequence[Sums], cohort: float) -> Repeats:
    """Return the moments of one customer, from totals of a cohort by models of these weights."""
    rows, weights = np.arange(1), shares[:, None]
    by_chance = [each.moments(rows, with_parameters=False) for each in sums]
    centres = np.stack([mean for mean, _, _ in by_chance]) / cohort
    chance = np.stack([variance for _, variance, _ in by_chance])
    with_parameters = np.stack([each.moments(rows)[1] for each in sums])
    centre = (weights * centres).sum(axis=0)
    between = (weights * (centres - centre) ** 2).sum(axis=0)
    return Repeats(
        expected=(weights * np.stack([each.expected[0] for each in sums])).sum(axis=0) / cohort,
        centre=centre,
        chance=(weights * chance).sum(axis=0) / cohort,
        shared=between + (weights * (with_parameters - chance)).sum(axis=0) / cohort**2,
    )
