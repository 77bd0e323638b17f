"""A purchase model for each value of an attribute, drawn towards that of all customers: empirical Bayes.

A group's log parameters are those of all customers plus effects b ~ N(0, tau^2), with a tau^2 of its own for each
parameter. Effects are the posterior mode: the group's log-likelihood minus the sum of b^2 / (2 tau^2) is largest
there. The tau^2 maximise the marginal likelihood, in which the group's log-likelihood is a parabola around that
mode (Laplace's approximation; Gelman et al. (2013), Bayesian Data Analysis, 3rd ed., sections 5.4 and 13.3). With
the parabola's score u and information I at b = 0, u is N(0, I + I T I) over groups, T = diag(tau^2), which is

    sum over groups of (u' T (1 + I T)^-1 u - ln |1 + I T|) / 2

relative to no differences. Its maximum lies at tau^2 = 0 for parameters in which groups differ no more than by
chance: they are then those of all customers exactly. A likelihood sees a group's patterns only, so the cost stays
with them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import minimize

from cltv_assets.models.arrays import FloatArray
from cltv_assets.models.estimation.optimise import hessian_by_differences
from cltv_assets.models.groups.grouped import REACH, Group, GroupedFit, Values, along, logs, positions, values_of
from cltv_assets.models.purchase.registry import model_named
from cltv_assets.models.sufficient_statistics import Objective, Parameters, PurchaseStatistics

#: Largest tau^2: groups that differ by a factor e from all.
_WIDEST = 1.0
#: Where the search for tau^2 begins: groups that differ by 5 % or by half.
_STARTS = (0.0025, 0.25)
#: Rounds of modes and tau^2, and the change of a tau at which they have settled.
_ROUNDS, _SETTLED = 12, 1e-2
#: Newton steps to a mode, and the gain in nats below which there are no more.
_STEPS, _GAIN = 25, 1e-6
#: A marginal likelihood that gains less than this, in nats, shows no difference.
_NO_GAIN = 1e-6


@dataclass(frozen=True, eq=False)
class PooledFit(GroupedFit):
    """A model with groups, drawn towards all.

    Parameters
    ----------
    spread : mapping of str to float
        tau: the standard deviation, between groups, of the log of each parameter that may differ.
    """

    spread: Mapping[str, float]


@dataclass(frozen=True, eq=False)
class _Parabola:
    """A group's log-likelihood over effects, near ``at``: ``u`` b - b' ``bend`` b / 2 and a constant."""

    at: FloatArray
    u: FloatArray
    bend: FloatArray

    @classmethod
    def of(cls, objective: Objective, at: FloatArray) -> _Parabola:
        """Return the parabola that touches at a point. Where the likelihood bends upwards it knows nothing."""
        values, vectors = np.linalg.eigh(-hessian_by_differences(objective, at))
        bend = np.asarray((vectors * np.maximum(values, 0.0)) @ vectors.T, dtype=np.float64)
        return cls(at, objective(at)[1] + bend @ at, bend)


def fit_pooled(
    name: str, base: Parameters, varying: Sequence[str], groups: Mapping[Values, PurchaseStatistics]
) -> PooledFit:
    """Fit a model to groups of customers, drawn towards all.

    Parameters
    ----------
    name : str
        A name of `model_named`.
    base : mapping of str to float
        The parameters of all customers, in the statistics' unit of time.
    varying : sequence of str
        The parameters that may differ between groups: those that the data of all customers tell.
    groups : mapping of tuple of str to PurchaseStatistics
        The customers of each group, by its values.

    Returns
    -------
    PooledFit
        Where groups do not differ beyond chance, its parameters are those of ``base``.
    """
    model, at, start = model_named(name), positions(name, varying), logs(name, base)
    likelihoods = [model.likelihood(each) for each in groups.values()]
    objectives = [along(each, start, at) for each in likelihoods]
    tau2 = np.full(len(at), _WIDEST)
    parabolas = [_Parabola.of(each, np.zeros(len(at))) for each in objectives]
    for _ in range(_ROUNDS):
        before, tau2 = tau2, _spread(parabolas)
        if not tau2.any():
            break
        modes = [_mode(each, near, tau2) for each, near in zip(objectives, parabolas, strict=True)]
        strayed = max(float(np.max(np.abs(mode - near.at))) for mode, near in zip(modes, parabolas, strict=True))
        if max(strayed, float(np.max(np.abs(np.sqrt(tau2) - np.sqrt(before))))) < _SETTLED:
            break
        parabolas = [_Parabola.of(each, mode) for each, mode in zip(objectives, modes, strict=True)]
    found: dict[Values, Group] = {}
    total = 0.0
    for values, likelihood, near in zip(groups, likelihoods, parabolas, strict=True):
        point = start.copy()
        if tau2.any():
            point[at] += near.at
        # To the last digit where nothing moved: the logs of parameters are not quite their own inverse.
        moved = values_of(name, point) if tau2.any() else dict(base)
        found[values] = Group(moved, *_errors(near, tau2))
        total += likelihood(point)[0]
    spread = dict(zip(varying, np.sqrt(tau2).tolist(), strict=True))
    return PooledFit(name, base, tuple(varying), found, None, total, spread)


def _spread(parabolas: Sequence[_Parabola]) -> FloatArray:
    """Return the tau^2 of the largest marginal likelihood; zeros where none is larger than without differences."""
    scores = np.array([each.u for each in parabolas])
    bends = np.array([each.bend for each in parabolas])
    k = scores.shape[1]

    def loss(tau2: FloatArray) -> tuple[float, FloatArray]:
        widened = np.eye(k) + bends * tau2
        seen = np.linalg.solve(widened, scores[:, :, None])[:, :, 0]
        known = np.linalg.solve(widened, bends)
        gain = (scores * tau2 * seen).sum() - np.linalg.slogdet(widened)[1].sum()
        slope = (seen**2).sum(axis=0) - np.einsum("gjj->j", known)
        return -gain / 2.0, -slope / 2.0

    best, least = np.zeros(k), -_NO_GAIN
    for start in _STARTS:
        found = minimize(loss, np.full(k, start), jac=True, method="L-BFGS-B", bounds=[(0.0, _WIDEST)] * k)
        if found.fun < least:
            best, least = np.asarray(found.x, dtype=np.float64), float(found.fun)
    return best


def _mode(objective: Objective, near: _Parabola, tau2: FloatArray) -> FloatArray:
    """Return the effects of the largest posterior density, by Newton steps with the bend of ``near``."""
    free = tau2 > 0.0
    prior = 1.0 / tau2[free]

    def posterior(effects: FloatArray) -> tuple[float, FloatArray]:
        value, gradient = objective(effects)
        return value - float((effects[free] ** 2 * prior).sum()) / 2.0, gradient[free] - effects[free] * prior

    point = np.where(free, near.at, 0.0)
    precision = near.bend[np.ix_(free, free)] + np.diag(prior)
    value, gradient = posterior(point)
    for _ in range(_STEPS):
        move = np.linalg.solve(precision, gradient)
        if float(move @ gradient) < _GAIN:
            break
        move /= max(1.0, float(np.max(np.abs(move))))
        for _ in range(_STEPS):
            trial = point.copy()
            trial[free] = np.clip(point[free] + move, -REACH, REACH)
            found = posterior(trial)
            if found[0] > value:
                break
            move = move / 2.0
        else:
            break
        point, (value, gradient) = trial, found
    return point


def _errors(near: _Parabola, tau2: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return how a group's log parameters err with those of all, and their covariance beyond that.

    The mode is W times what the group says by itself plus 1 - W times what all say, W = V I, where V is the posterior
    covariance of the effects. What does not differ errs as it does for all.
    """
    k, free = len(tau2), np.flatnonzero(tau2)
    loading, own = np.eye(k), np.zeros((k, k))
    if len(free):
        bend, prior = near.bend[np.ix_(free, free)], np.diag(1.0 / tau2[free])
        own[np.ix_(free, free)] = np.linalg.inv(bend + prior)
        loading[free] = -own[free] @ near.bend
        loading[free, free] += 1.0
    return loading, (own + own.T) / 2.0
