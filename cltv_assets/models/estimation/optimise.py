"""Maximum likelihood from several starts, with a verdict on convergence.

The parameters are positive, so everything happens in their logarithms. L-BFGS-B
finds the neighbourhood from each start; Newton steps on the best one take the
gradient down to rounding. The Hessian comes from central differences of the
exact gradient and is good to about ten digits.

A likelihood may rise for ever in some direction: without dropout in the data,
the dropout parameters run away. Directions along which the likelihood hardly
bends are therefore set apart (`Maximum.unidentified`) instead of being
reported as an estimate with an enormous standard error.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize

from cltv_assets.errors import ModelError
from cltv_assets.models.arrays import BoolArray, FloatArray
from cltv_assets.models.sufficient_statistics import Objective

#: Least and largest log parameters.
Bounds = tuple[FloatArray, FloatArray]

#: A fit whose largest gradient component, per customer, exceeds this has not converged.
#: Proper maxima end near 1e-15 (CDNOW), fits at a bound near 1e-10.
MAX_GRADIENT_NORM = 1e-6

#: Starts count as agreeing when their log-likelihoods per customer differ by less.
AGREEMENT = 1e-6

#: Rounding of a log-likelihood, in nats per customer: near the bounds, terms of a million nats
#: cancel. The gradient keeps more digits, so within this it decides.
_ROUNDING = 1e-9

#: How far in a log parameter a Hessian may be from its point: to step by it, and to report it.
_NEAR = 1e-3
_SAME = 1e-7
#: By how much a rough likelihood may err, in nats per customer, when it tells two maxima apart, and how far
#: apart in a log parameter two searches of one maximum may end.
_ROUGH, _APART = 1e-3, 0.1

_NEWTON_STEPS = 60

#: Least bend of the log-likelihood (nats for one unit of a log parameter squared) at
#: which a direction counts as identified. 0.1 is a standard error of 3.2 in the log:
#: the data do not tell a parameter from one twenty times as large.
MIN_INFORMATION = 0.1

#: A parameter belongs to an unidentified direction from this share of the unit vector.
MIN_COMPONENT = 0.3

#: Step of the differences, in a log parameter.
_STEP = 1e-3


@dataclass(frozen=True, eq=False)
class Maximum:
    """Where the log-likelihood is largest, and how well that is known.

    Parameters
    ----------
    log_parameters : array of float64, shape (k,)
        The place.
    value : float
        Log-likelihood there, in nats.
    gradient_norm : float
        Largest component of the gradient per customer, by log parameters; components
        that push against a bound do not count.
    iterations : int
        L-BFGS-B and Newton iterations of the winning start.
    starts_agreeing : int
        Starts whose log-likelihood came within `AGREEMENT` of the best one's, before Newton.
    unidentified : array of bool, shape (k,)
        Parameters that run away: at a bound, or part of a direction along which the
        log-likelihood bends less than `MIN_INFORMATION`. With none of them the maximum is a proper one.
    log_covariance : array of float64, shape (k, k)
        Of the log parameters, from the observed information; of the identified ones
        given the others where some are unidentified, and NaN for those.
    """

    log_parameters: FloatArray
    value: float
    gradient_norm: float
    iterations: int
    starts_agreeing: int
    unidentified: BoolArray
    log_covariance: FloatArray

    @property
    def log_standard_errors(self) -> FloatArray:
        """Square roots of the covariance's diagonal, shape (k,)."""
        return np.asarray(np.sqrt(np.diag(self.log_covariance)), dtype=np.float64)


def maximise(
    objective: Objective,
    starts: Sequence[FloatArray],
    bounds: Bounds,
    customers: float,
    *,
    together: Sequence[tuple[int, ...]] = (),
    rough: Objective | None = None,
    max_iterations: int = 500,
) -> Maximum:
    """Maximise a log-likelihood over log parameters.

    Parameters
    ----------
    objective : callable
        Gives the log-likelihood (nats, all customers) and its gradient.
    starts : sequence of arrays, shape (k,)
        Log parameters to start from; at least one.
    bounds : pair of arrays, shape (k,)
        Least and largest log parameters.
    customers : float
        Customers in the likelihood, for measures per customer.
    together : sequence of tuples of int
        Positions of parameters that describe one distribution. Where the first of a tuple
        runs away the others follow it, and their values mean nothing by themselves.
    rough : callable, optional
        A cheap stand-in for ``objective`` that all starts search on. Newton steps on
        ``objective`` begin at its maximum, with its Hessian there.
    max_iterations : int
        L-BFGS-B iterations for each start, and Newton steps at the end.

    Raises
    ------
    ModelError
        If the best start has not converged, or converged to a saddle.
    """
    found = _search(rough or objective, starts, bounds, customers, max_iterations)
    agreeing = sum(found[0].value - one.value <= AGREEMENT for one in found)
    iterations, steps = found[0].iterations, min(_NEWTON_STEPS, max_iterations)
    if rough is None:
        point, newton, hessian = _polish(objective, found[0].point, bounds, customers, steps)
    else:
        tops = [_polish(rough, each, bounds, customers, steps) for each in _distinct(found)]
        near = [_polish(objective, top, bounds, customers, steps, bend) for top, _, bend in tops]
        best = max(range(len(near)), key=lambda i: objective(near[i][0])[0])
        iterations += tops[best][1] + near[best][1]
        # With a Hessian of its own: rarely more than one step.
        point, newton, hessian = _polish(objective, near[best][0], bounds, customers, steps)
    value, gradient = objective(point)
    norm = float(np.max(np.abs(free_gradient(gradient, point, bounds)))) / customers
    if not norm <= MAX_GRADIENT_NORM:
        raise ModelError(
            f"The fit did not converge: after {iterations + newton} iterations the gradient a customer is "
            f"{norm:.2g}, above {MAX_GRADIENT_NORM:g}.",
            "Its parameters are refused. Fit on more months, or look for absurd values among the statistics.",
        )
    unidentified = unidentified_parameters(hessian, point, bounds)
    for first, *others in together:
        unidentified[others] |= unidentified[first]
    return Maximum(
        log_parameters=point,
        value=value,
        gradient_norm=norm,
        iterations=iterations + newton,
        starts_agreeing=agreeing,
        unidentified=unidentified,
        log_covariance=covariance(hessian, unidentified),
    )


def loss_per_customer(objective: Objective, customers: float) -> Objective:
    """Return what a minimiser is given: minus the log-likelihood per customer, and its gradient."""

    def loss(point: FloatArray) -> tuple[float, FloatArray]:
        value, gradient = objective(point)
        return -value / customers, -gradient / customers

    return loss


@dataclass(frozen=True, eq=False)
class _Found:
    """Where a search ended: log parameters, the log-likelihood per customer, iterations."""

    point: FloatArray
    value: float
    iterations: int


def climbed(loss: Objective, start: FloatArray, bounds: Bounds, **options: float) -> Any:
    """Return where L-BFGS-B ends that begins at ``start`` within the bounds: scipy's result, with its ``options``."""
    lower, upper = bounds
    return minimize(
        loss,
        np.clip(start, lower, upper),
        jac=True,
        method="L-BFGS-B",
        bounds=list(zip(lower, upper, strict=True)),
        options=options,
    )


def _search(
    objective: Objective, starts: Sequence[FloatArray], bounds: Bounds, customers: float, max_iterations: int
) -> list[_Found]:
    """Climb from each start, and return where that ended, the best first."""
    loss = loss_per_customer(objective, customers)
    found = []
    for start in starts:
        result = climbed(loss, start, bounds, maxiter=max_iterations, ftol=1e-11, gtol=1e-6, maxls=40)
        if np.isfinite(result.fun):
            found.append(_Found(np.asarray(result.x, dtype=np.float64), -float(result.fun), int(result.nit)))
    if not found:
        raise ModelError(
            "The log-likelihood is not finite from any start.",
            "Look for absurd values among the statistics: frequencies, ages or order values.",
        )
    return sorted(found, key=lambda one: -one.value)


def _distinct(found: Sequence[_Found]) -> list[FloatArray]:
    """Return the ends of a rough search that differ and may each be the better one when looked at closely."""
    points: list[FloatArray] = []
    for one in found:
        near = found[0].value - one.value <= _ROUGH
        if near and all(float(np.max(np.abs(one.point - point))) > _APART for point in points):
            points.append(one.point)
    return points


def _held(gradient: FloatArray, point: FloatArray, bounds: Bounds) -> BoolArray:
    """Return which parameters stand at a bound with the likelihood rising beyond it."""
    lower, upper = bounds
    return np.asarray(((point <= lower) & (gradient < 0)) | ((point >= upper) & (gradient > 0)))


def free_gradient(gradient: FloatArray, point: FloatArray, bounds: Bounds) -> FloatArray:
    """Return the gradient without what pushes against a bound."""
    return np.where(_held(gradient, point, bounds), 0.0, gradient)


def _polish(
    objective: Objective,
    point: FloatArray,
    bounds: Bounds,
    customers: float,
    steps: int,
    like: FloatArray | None = None,
) -> tuple[FloatArray, int, FloatArray]:
    """Take Newton steps until one promises less than 1e-10 nats, and return point, steps and Hessian.

    The limit is a gain in nats and not a gradient per customer: with millions of customers a
    gradient that looks small still hides a parameter on its way to the bound. A Hessian costs as much
    as sixteen gradients, so it is used again where a step was short. ``like``, the Hessian of a
    similar log-likelihood, serves for the first short steps, and may be the one returned.
    """
    value, gradient = objective(point)
    hessian, strayed = hessian_by_differences(objective, point) if like is None else like, 0.0
    taken = 0
    while taken < steps:
        if strayed > (_NEAR if like is None else _APART):
            hessian, strayed = hessian_by_differences(objective, point), 0.0
        move, promised = _newton_move(hessian, gradient, point, bounds)
        accepted = (
            _climb(objective, point, (value, gradient), move, bounds, _ROUNDING * customers) if move.any() else None
        )
        if accepted is None:
            break
        strayed += float(np.max(np.abs(accepted[0] - point)))
        point, value, gradient = accepted
        taken += 1
        if promised < 1e-10:
            break
    if like is None and strayed > _SAME:
        hessian = hessian_by_differences(objective, point)
    return point, taken, hessian


def _newton_move(
    hessian: FloatArray, gradient: FloatArray, point: FloatArray, bounds: Bounds
) -> tuple[FloatArray, float]:
    """Return a step uphill that ends within the bounds, and the gain in nats that the parabola promises."""
    lower, upper = bounds
    free = ~_held(gradient, point, bounds)
    while free.any():
        bends, directions = np.linalg.eigh(-hessian[np.ix_(free, free)])
        along = directions.T @ gradient[free]
        # Where the likelihood bends upwards or not at all, follow the slope: |bend|, with a floor.
        moves = along / np.maximum(np.abs(bends), 1e-6)
        move = np.zeros_like(point)
        move[free] = directions @ moves
        outward = free & (((point <= lower) & (move < 0)) | ((point >= upper) & (move > 0)))
        if outward.any():
            free &= ~outward
            continue
        # A log parameter never moves by more than 1: beyond a factor e no parabola is to be trusted.
        move /= max(1.0, float(np.max(np.abs(move))))
        # Stop at the first bound on the way. Cutting off each parameter by itself would change the direction.
        room = np.where(move > 0, upper - point, point - lower)[move != 0] / np.abs(move[move != 0])
        return move * min(1.0, float(room.min(initial=1.0))), float(along @ moves) / 2
    return np.zeros_like(point), 0.0


def _climb(
    objective: Objective,
    point: FloatArray,
    here: tuple[float, FloatArray],
    move: FloatArray,
    bounds: Bounds,
    rounding: float,
) -> tuple[FloatArray, float, FloatArray] | None:
    """Halve ``move`` until it gains or, near the top where rounding hides the gain, until the gradient shrinks."""
    value, gradient = here
    slope = np.max(np.abs(free_gradient(gradient, point, bounds)))
    for _ in range(30):
        trial = np.clip(point + move, *bounds)
        trial_value, trial_gradient = objective(trial)
        flatter = np.max(np.abs(free_gradient(trial_gradient, trial, bounds))) < slope
        if trial_value > value + rounding or (trial_value >= value - rounding and flatter):
            return trial, trial_value, trial_gradient
        move = move / 2
    return None


def hessian_by_differences(objective: Objective, point: FloatArray) -> FloatArray:
    """Return the Hessian by central differences of the exact gradient, of fourth order and made symmetric.

    The order is the fourth because the log-likelihood bends a million times more across a ridge
    than along it, and the error of the large bend must not drown the small one.
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
    """Return which parameters the data do not tell; refuse a saddle of the log-likelihood."""
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
