"""How a log-likelihood bends at a point, and what that says about its parameters."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from cltv_assets.errors import ModelError
from cltv_assets.models.estimation.statistics import BoolArray, FloatArray

#: Log parameters in; the log-likelihood and its gradient by log parameters out.
Objective = Callable[[FloatArray], tuple[float, FloatArray]]

#: Least and largest log parameters.
Bounds = tuple[FloatArray, FloatArray]

#: Least bend of the log-likelihood (nats for one unit of a log parameter squared) at
#: which a direction counts as identified. 0.1 is a standard error of 3.2 in the log:
#: the data would not tell a parameter from one twenty times as large.
MIN_INFORMATION = 0.1

#: A parameter belongs to an unidentified direction from this share of the unit vector.
MIN_COMPONENT = 0.3

_STEP = 1e-3


def hessian_by_differences(objective: Objective, point: FloatArray) -> FloatArray:
    """Return the Hessian by central differences of the exact gradient, of fourth order and made symmetric.

    Fourth order, because parameters on a ridge bend the log-likelihood a million times
    more across than along it: the error of the large bend must not drown the small one.
    """
    rows = []
    for axis in range(len(point)):
        shift = np.zeros_like(point)
        shift[axis] = _STEP
        near = objective(point + shift)[1] - objective(point - shift)[1]
        far = objective(point + 2 * shift)[1] - objective(point - 2 * shift)[1]
        rows.append((8.0 * near - far) / (12.0 * _STEP))
    hessian = np.array(rows)
    return np.asarray((hessian + hessian.T) / 2, dtype=np.float64)


def unidentified_parameters(hessian: FloatArray, point: FloatArray, bounds: Bounds) -> BoolArray:
    """Return the parameters that the data do not tell.

    Raises
    ------
    ModelError
        If the log-likelihood bends upwards in a direction: a saddle, not a maximum.
    """
    lower, upper = bounds
    unidentified = (point <= lower + 1e-6) | (point >= upper - 1e-6)
    # Fix what is found and look again: one unknown parameter can blur all directions.
    while not unidentified.all():
        known = ~unidentified
        bends, directions = np.linalg.eigh(-hessian[np.ix_(known, known)])
        if bends[0] >= MIN_INFORMATION:
            break
        if bends[0] < -MIN_INFORMATION:
            raise ModelError(
                "The fit ended on a saddle of the log-likelihood, not on a maximum.",
                "Its parameters are refused. Fit on more months, or look for absurd values among the statistics.",
            )
        part = np.abs(directions[:, 0])
        unidentified[np.flatnonzero(known)[part >= min(MIN_COMPONENT, part.max())]] = True
    return np.asarray(unidentified, dtype=np.bool_)


def covariance(hessian: FloatArray, unidentified: BoolArray) -> FloatArray:
    """Return the covariance of the identified log parameters given the others; NaN for those."""
    matrix = np.full_like(hessian, np.nan)
    known = ~unidentified
    if known.any():
        inverse = np.linalg.inv(-hessian[np.ix_(known, known)])
        matrix[np.ix_(known, known)] = (inverse + inverse.T) / 2
    return matrix
