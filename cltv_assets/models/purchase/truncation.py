"""Fits to customers who are known only because they bought again.

Many extracts hold repeat customers alone. The likelihood of such a history is that of
the model on the condition of a repeat purchase within T,

    ln L(x, t_x, T) - ln P(X(T) >= 1),

the usual zero-truncated likelihood (for the NBD: Cameron and Trivedi 2013, Regression
Analysis of Count Data, 2nd ed., section 4.3). Without the second term the same data seem
to say that every customer buys: on CDNOW's repeat customers r becomes 3.2 instead of 0.25.
"""

from __future__ import annotations

import numpy as np

from cltv_assets.errors import ModelError
from cltv_assets.models.estimation.curvature import Objective
from cltv_assets.models.estimation.statistics import FloatArray, PurchaseStatistics, inner
from cltv_assets.models.purchase.purchase_model import PurchaseModel


def truncated_likelihood(model: PurchaseModel, statistics: PurchaseStatistics) -> Objective:
    """Return the log-likelihood of ``statistics`` on the condition of a repeat purchase.

    Parameters
    ----------
    model : PurchaseModel
        Any; what it says of a first repeat purchase is its `log_repeat_probability`.
    statistics : PurchaseStatistics
        Of repeat customers.

    Raises
    ------
    ModelError
        If a customer has no repeat purchase, or none could have had one by T.
    """
    bought_once = statistics.weights[statistics.frequency == 0].sum()
    if bought_once > 0:
        raise ModelError(
            f"{bought_once:,.0f} customers have no repeat purchase: the data are not truncated.",
            "Fit on all customers, or on those with a repeat purchase alone.",
        )
    if (statistics.T <= 0).any():
        raise ModelError(
            "A customer has a repeat purchase with T = 0, which happens with probability 0.",
            "Merge purchases of one day before counting, and observe at least a day.",
        )
    likelihood = model.likelihood(statistics)
    ages, index = np.unique(statistics.T, return_inverse=True)
    customers = np.bincount(index, weights=statistics.weights, minlength=len(ages)).astype(np.float64)

    def objective(log_parameters: FloatArray) -> tuple[float, FloatArray]:
        value, gradient = likelihood(log_parameters)
        known, slopes = model.log_repeat_probability(log_parameters, ages)
        return value - inner(customers, known), gradient - (customers[:, None] * slopes).sum(axis=0)

    return objective
