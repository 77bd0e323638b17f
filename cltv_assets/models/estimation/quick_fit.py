"""Parameters near known ones: for refits that predict and are thrown away.

A holdout's origin and each round of a seasonal index need parameters only. One
search from those known, without Newton's last digits and without a Hessian, takes
a dozen evaluations of the likelihood where a whole fit takes fifty to a hundred.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from scipy.optimize import minimize

from cltv_assets.errors import ModelError
from cltv_assets.models.estimation.fitting import fit_purchase_model
from cltv_assets.models.estimation.statistics import FloatArray, PurchaseStatistics
from cltv_assets.models.estimation.sufficiency import too_few_purchases
from cltv_assets.models.purchase.registry import purchase_model

#: How far a log parameter may move: a factor 20. Beyond, it is another maximum.
_REACH = 3.0
#: Largest gradient component a customer, in log parameters. What is left is a millionth
#: of a nat a customer, far below what two models differ by.
_GRADIENT = 1e-4


def quick_parameters(statistics: PurchaseStatistics, name: str, start: Mapping[str, float]) -> dict[str, float]:
    """Return the maximum likelihood parameters near ``start``, to three digits or better.

    Where a search from there finds none, a whole fit is made.

    Parameters
    ----------
    statistics : PurchaseStatistics
    name : str
        A key of `PURCHASE_MODELS`.
    start : mapping of str to float
        In the statistics' unit of time.

    Raises
    ------
    ModelError
        If the data are too few, or no maximum is found.
    """
    model = purchase_model(name)
    names = model.parameter_names
    reason = too_few_purchases(statistics, len(names))
    if reason is not None:
        raise ModelError(f"{name} cannot be fitted: {reason}.", "Fit on more months.")
    scale = statistics.mean_age
    units = [scale if each in model.time_parameters else 1.0 for each in names]
    known = np.log([start[each] / unit for each, unit in zip(names, units, strict=True)])
    likelihood, customers = model.likelihood(statistics.in_units_of(scale)), float(statistics.weights.sum())

    def loss(point: FloatArray) -> tuple[float, FloatArray]:
        value, gradient = likelihood(point)
        return -value / customers, -gradient / customers

    found = minimize(
        loss,
        known,
        jac=True,
        method="L-BFGS-B",
        bounds=[(each - _REACH, each + _REACH) for each in known],
        options={"maxiter": 100, "ftol": 1e-10, "gtol": 1e-5},
    )
    settled = bool(np.isfinite(found.fun)) and float(np.max(np.abs(found.jac))) <= _GRADIENT
    if settled and float(np.max(np.abs(found.x - known))) < _REACH:
        return {each: math.exp(at) * unit for each, at, unit in zip(names, found.x, units, strict=True)}
    return fit_purchase_model(statistics, name, start=start).usable_parameters()
