"""What many customers are expected to buy together, and how far chance alone takes them from it."""

from __future__ import annotations

import math

import numpy as np

from cltv_assets.models.estimation.fits import PurchaseFit
from cltv_assets.models.estimation.statistics import FloatArray, inner
from cltv_assets.models.purchase.purchase_model import Patterns
from cltv_assets.models.purchase.registry import purchase_model

#: Tails of P(N >= m) below this no longer count.
_NEGLIGIBLE = 1e-9


def expected_total(fit: PurchaseFit, patterns: Patterns, customers: FloatArray, horizon: float) -> tuple[float, float]:
    """Return mean and standard deviation of the purchases of all customers up to ``horizon``.

    Customers are independent given the parameters, which are taken as known. From the
    tails of a count N: E[N] = sum over m >= 1 of P(N >= m), and E[N^2] of (2m - 1) P(N >= m).

    Parameters
    ----------
    fit : PurchaseFit
        A fitted model.
    patterns : Patterns
        Shape (n,), in the fit's time unit.
    customers : array of float64, shape (n,)
        Customers of each pattern.
    horizon : float
        Time after the observation end; short, for the sum runs over every count that
        is not impossible.

    Raises
    ------
    ModelError
        If the model was not fitted.
    """
    model, parameters = purchase_model(fit.model_name), fit.usable_parameters()
    n = len(patterns)
    alive = model.p_alive(parameters, patterns)
    mean, square = np.zeros(n), np.zeros(n)
    active = np.arange(n)
    m = 0
    while len(active):
        m += 1
        times, counts = np.full(len(active), horizon), np.full(len(active), float(m))
        tail = alive[active] * model.at_least_given_alive(parameters, patterns.take(active), times, counts)
        mean[active] += tail
        square[active] += (2 * m - 1) * tail
        active = active[tail > _NEGLIGIBLE]
    variance = inner(customers, square - mean**2)
    return inner(customers, mean), math.sqrt(max(variance, 0.0))
