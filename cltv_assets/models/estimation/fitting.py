"""Fits of the purchase and spend models: statistics in, a `PurchaseFit` or `SpendFit` out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from cltv_assets.errors import ModelError
from cltv_assets.models import gamma_gamma
from cltv_assets.models.arrays import FloatArray
from cltv_assets.models.estimation.fits import PurchaseFit, SpendFit
from cltv_assets.models.estimation.optimise import (
    Bounds,
    Maximum,
    climbed,
    free_gradient,
    loss_per_customer,
    maximise,
)
from cltv_assets.models.purchase.registry import PurchaseModel, model_named
from cltv_assets.models.sufficient_statistics import Objective, Parameters, PurchaseStatistics, SpendStatistics, inner

#: Where parameters are searched, in units of the mean age and the mean order value. At
#: 1e4, shape parameters make customers alike to one percent, and even millions of customers
#: do not tell more. Much beyond, gamma functions lose the digits that the gradient needs.
#: Parameters with a unit follow their shape: alpha is r over a rate.
_SHAPE_BOUNDS = (1e-6, gamma_gamma.ALIKE)
_UNIT_BOUNDS = (1e-8, 1e8)

#: A truncated fit whose r runs below this says that next to nobody comes back: the
#: logarithmic series, the limit of the truncated NBD.
_NO_SHARE = 1e-3

#: How far a quick search may move a log parameter: a factor 20. Beyond, it is another maximum.
_REACH = 3.0
#: Largest gradient component per customer, in log parameters, that a quick search may leave. What is left is
#: a millionth of a nat per customer at a maximum, and some 1e-4 along a ridge: less than what two models differ by.
_GRADIENT = 1e-4


def fit_purchase_model(
    statistics: PurchaseStatistics,
    name: str = "bg_nbd",
    *,
    least: int = 0,
    start: Parameters | None = None,
    max_iterations: int = 500,
) -> PurchaseFit:
    """Fit a purchase model by maximum likelihood.

    Parameters
    ----------
    statistics : PurchaseStatistics
        Grouped by pattern or not: the result is the same.
    name : str
        A key of `PURCHASE_MODELS`.
    least : int
        Where the statistics hold only customers with so many repeat purchases, because others are not
        known, the likelihood is conditional on that. 0: they hold all customers.
    start : mapping of str to float, optional
        Parameters to start from, in the statistics' unit of time, instead of the model's
        own starts: one search only, for refits near a known maximum.
    max_iterations : int
        Iterations for each start before the optimiser gives up.

    Raises
    ------
    ModelError
        If the optimiser did not converge, there is no such model, ``start`` lacks a
        parameter, or a customer has fewer than ``least`` repeat purchases.
    """
    model = model_named(name)
    names = model.parameter_names
    reason = statistics.why_too_few(len(names))
    if reason is not None:
        return purchase_model_not_fitted(statistics, name, reason, least=least)
    # In units of the mean age the search is the same in weeks and in days.
    scale = statistics.mean_age
    scaled = statistics.scaled
    purchases = inner(statistics.weights, statistics.frequency)
    rate = purchases / inner(scaled.weights, scaled.T)
    units = _units(model, scale)

    def likelihood(of: PurchaseStatistics) -> Objective:
        return truncated_likelihood(model, of, least) if least else model.likelihood(of)

    coarse = scaled.coarsened if start is None else None
    best = maximise(
        likelihood(scaled),
        _starts(model, rate, least) if start is None else [_given_start(start, units)],
        _bounds(names, model.time_parameters),
        float(statistics.weights.sum()),
        together=[tuple(names.index(n) for n in group) for group in model.together],
        rough=None if coarse is None else likelihood(coarse),
        max_iterations=max_iterations,
    )
    parameters = _parameters(best.log_parameters, units)
    unidentified = _unidentified(best, names)
    return PurchaseFit(
        model_name=name,
        status="boundary" if unidentified else "fitted",
        status_reason=_boundary_reason(model, parameters, unidentified, least) if unidentified else None,
        **_counts(statistics, least),
        # Each step has a density per unit of time.
        **_evidence(best, parameters, best.value - model.k * purchases * math.log(scale)),
    )


def purchase_model_not_fitted(statistics: PurchaseStatistics, name: str, reason: str, *, least: int = 0) -> PurchaseFit:
    """Return what stands for a fit that was not made or failed; ``reason`` becomes its status reason."""
    nothing = dict.fromkeys(model_named(name).parameter_names)
    return PurchaseFit(
        model_name=name,
        status="not_fitted",
        status_reason=reason,
        parameters=nothing,
        standard_errors=nothing,
        **_counts(statistics, least),
    )


def fit_spend_model(statistics: SpendStatistics, *, by_frequency: bool = False, max_iterations: int = 500) -> SpendFit:
    """Fit the Gamma-Gamma model to repeat customers, binned or not, by maximum likelihood.

    With ``by_frequency`` order values may depend on how often customers buy: there is a fourth parameter, ``doubling``.

    A fit with q <= 1 has an infinite mean order value and cannot price anyone: it
    comes back as ``not_fitted`` with that reason.

    Raises
    ------
    ModelError
        If the optimiser did not converge within ``max_iterations`` for each start.
    """
    names = gamma_gamma.BY_FREQUENCY_NAMES if by_frequency else gamma_gamma.PARAMETER_NAMES
    mean = statistics.mean_order_value
    nothing = dict.fromkeys(names)
    not_fitted = SpendFit(
        model_name=gamma_gamma.NAME,
        status="not_fitted",
        status_reason=statistics.why_too_few(len(names)),
        parameters=nothing,
        standard_errors=nothing,
        patterns=len(statistics.frequency),
        customers=statistics.customers,
        prices=statistics.prices,
        mean_order_value=mean if statistics.customers else None,
        frequency_value_correlation=_correlation(statistics),
    )
    if not_fitted.status_reason is not None:
        return not_fitted
    if statistics.prices == 1:
        # The density at one common value grows without bound as the spread goes to 0.
        return replace(
            not_fitted,
            status="boundary",
            status_reason="every customer has the same mean order value, which is expected of all",
            parameters=dict.fromkeys(names, 1.0) | {**gamma_gamma.one_price(mean)},
            expected_order_value=mean,
        )
    scaled = statistics.in_units_of(mean)
    best = maximise(
        gamma_gamma.GammaGammaLikelihood(scaled, by_frequency=by_frequency),
        [np.log([start.get(n, 1.0) for n in names]) for start in gamma_gamma.starts(1.0)],
        _bounds(names, frozenset({"v"})),
        float(statistics.weights.sum()),
        together=[tuple(names.index(n) for n in group) for group in gamma_gamma.TOGETHER],
        max_iterations=max_iterations,
    )
    parameters = _parameters(best.log_parameters, dict.fromkeys(names, 1.0) | {"v": mean})
    if parameters["q"] <= 1.0:
        return replace(
            not_fitted,
            status_reason="order values spread so widely between customers that the model's mean is infinite "
            f"(q = {parameters['q']:.3g}, not above 1); treat outliers or fit on more months",
        )
    unidentified = _unidentified(best, names)
    return replace(
        not_fitted,
        status="boundary" if unidentified else "fitted",
        status_reason=gamma_gamma.boundary_reason(unidentified) if unidentified else None,
        expected_order_value=gamma_gamma.population_mean(parameters),
        # Each customer's mean has a density per unit of currency.
        **_evidence(best, parameters, best.value - float(statistics.weights.sum()) * math.log(mean)),
    )


def quick_parameters(statistics: PurchaseStatistics, name: str, start: Parameters) -> dict[str, float]:
    """Return the maximum likelihood parameters near ``start``, to three digits or better.

    The origin of a holdout and each round of a seasonal index need parameters and no evidence. One search
    without Newton's last digits and without a Hessian takes a dozen evaluations of the likelihood, where a
    whole fit takes fifty to a hundred, and thousands where the maximum lies at the end of a ridge: there
    the search stops where it gains nothing any more, and predicts what the end would. Where it stops on a
    slope, a whole fit is made. ``start`` and the result are in the statistics' unit of time.

    Raises
    ------
    ModelError
        If the data are too few, or no maximum is found.
    """
    model = model_named(name)
    reason = statistics.why_too_few(len(model.parameter_names))
    if reason is not None:
        raise ModelError(f"{name} cannot be fitted: {reason}.", "Fit on more months.")
    units = _units(model, statistics.mean_age)
    loss = loss_per_customer(model.likelihood(statistics.scaled), float(statistics.weights.sum()))
    known = _given_start(start, units)
    everywhere = least, most = _bounds(model.parameter_names, model.time_parameters)
    nearby = np.maximum(known - _REACH, least), np.minimum(known + _REACH, most)
    # Near first: a first step from there can lead far away, to another maximum.
    for bounds in (nearby, everywhere):
        found = climbed(loss, known, bounds, maxiter=100, ftol=1e-10, gtol=1e-5)
        if not np.isfinite(found.fun):
            continue
        slope = free_gradient(-found.jac, found.x, everywhere)
        if float(np.max(np.abs(slope))) <= _GRADIENT:
            return _parameters(found.x, units)
    return fit_purchase_model(statistics, name, start=start).usable_parameters()


def truncated_likelihood(model: PurchaseModel, statistics: PurchaseStatistics, least: int) -> Objective:
    """Return the log-likelihood of customers who are known only because they have ``least`` repeat purchases or more.

    Many extracts hold repeat customers alone, or those with three orders and more. The likelihood of such a
    history is conditional on that many purchases within T, ln L(x, t_x, T) - ln P(X(T) >= least): the usual
    truncated likelihood (for the NBD: Cameron and Trivedi 2013, Regression Analysis of Count Data, 2nd ed.,
    section 4.3). Without the second term the data seem to say that every customer buys: on CDNOW's repeat
    customers r becomes 3.2 instead of 0.25.

    Raises
    ------
    ModelError
        If a customer has fewer repeat purchases, or could not have had one by T.
    """
    below = statistics.weights[statistics.frequency < least].sum()
    if below > 0:
        fewer = "no repeat purchase" if least == 1 else f"fewer than {least} repeat purchases"
        raise ModelError(
            f"{below:,.0f} customers have {fewer}: the data are not truncated.",
            "Fit on all customers, or on those with as many alone.",
        )
    if (statistics.T <= 0).any():
        raise ModelError(
            "A customer has a repeat purchase with T = 0, which happens with probability 0.",
            "Merge purchases of one day before counting, and observe at least a day.",
        )
    likelihood = model.likelihood(statistics)
    ages = statistics.ages
    customers = ages.total(statistics.weights)

    def objective(log_parameters: FloatArray) -> tuple[float, FloatArray]:
        value, gradient = likelihood(log_parameters)
        known, slopes = model.log_at_least(log_parameters, ages.values, least)
        return value - inner(customers, known), gradient - (customers[:, None] * slopes).sum(axis=0)

    return objective


def customer_counts(statistics: PurchaseStatistics) -> dict[str, Any]:
    """Return what a fit tells of its customers."""
    return {
        "customers": statistics.customers,
        "repeat_customers": statistics.repeat_customers,
        "repeat_purchases": statistics.repeat_purchases,
    }


def _counts(statistics: PurchaseStatistics, least: int) -> dict[str, Any]:
    return customer_counts(statistics) | {
        "patterns": len(statistics.frequency),
        "truncated": least > 0,
        "least_frequency": least or None,
        "left_out": 0 if least else None,
    }


def _starts(model: PurchaseModel, rate: float, least: int) -> list[FloatArray]:
    """Return the model's own starts as log parameters.

    Repeat customers buy faster than all customers do. A search on them starts at a third of
    their rate, which is what all of CDNOW's customers have.
    """
    starts = model.starts(rate / (1.0 + 2.0 * least))
    return [np.log([start[n] for n in model.parameter_names]) for start in starts]


def _given_start(start: Parameters, units: Mapping[str, float]) -> FloatArray:
    """Return a given start as log parameters in units of the search."""
    if not all(start.get(n, 0.0) > 0 and math.isfinite(start[n]) for n in units):
        raise ModelError(
            f"The start {dict(start)} is not a positive number for each of {', '.join(units)}.",
            "Start from the parameters of an earlier fit of the same model.",
        )
    return np.log([start[n] / unit for n, unit in units.items()])


def _boundary_reason(model: PurchaseModel, parameters: Parameters, unidentified: frozenset[str], least: int) -> str:
    if least and "r" in unidentified and parameters["r"] < _NO_SHARE:
        fewer = "never bought again" if least == 1 else f"have bought again fewer than {least} times"
        return (
            f"how many customers {fewer} cannot be told from those who did: "
            "the fewer of all customers come back, the better the fit"
        )
    return model.boundary_reason(parameters, unidentified)


def _units(model: PurchaseModel, scale: float) -> dict[str, float]:
    """Return the unit of each parameter where times are in units of ``scale``."""
    return {name: scale if name in model.time_parameters else 1.0 for name in model.parameter_names}


def _parameters(log_parameters: FloatArray, units: Mapping[str, float]) -> dict[str, float]:
    """Return the parameters by name, in the caller's units."""
    return {name: math.exp(at) * unit for (name, unit), at in zip(units.items(), log_parameters, strict=True)}


def _bounds(names: tuple[str, ...], with_unit: frozenset[str]) -> Bounds:
    bounds = np.log([_UNIT_BOUNDS if name in with_unit else _SHAPE_BOUNDS for name in names])
    return bounds[:, 0], bounds[:, 1]


def _unidentified(best: Maximum, names: tuple[str, ...]) -> frozenset[str]:
    return frozenset(name for name, away in zip(names, best.unidentified, strict=True) if away)


def _evidence(best: Maximum, parameters: Parameters, log_likelihood: float) -> dict[str, Any]:
    """Return what fits of all models tell about a maximum."""
    # Delta method: the error of exp(y) is exp(y) times that of y. Where a parameter runs away, the others' errors are
    # known only for its value there, and would look smaller than they are.
    proper = not best.unidentified.any()
    errors = {
        name: float(log_error) * parameters[name] if proper else None
        for name, log_error in zip(parameters, best.log_standard_errors, strict=True)
    }
    known = [(i, name) for i, name in enumerate(parameters) if not best.unidentified[i]]
    return {
        "parameters": parameters,
        "standard_errors": errors,
        "log_likelihood": log_likelihood,
        "aic": 2.0 * len(parameters) - 2.0 * log_likelihood,
        "gradient_norm": best.gradient_norm,
        "hessian_positive_definite": not best.unidentified.any(),
        "iterations": best.iterations,
        "starts_agreeing": best.starts_agreeing,
        "log_covariance": {name: {other: float(best.log_covariance[i, j]) for j, other in known} for i, name in known},
    }


def _correlation(statistics: SpendStatistics) -> float | None:
    if not len(statistics.weights):
        return None
    weights: FloatArray = statistics.weights / statistics.weights.sum()
    x = statistics.frequency - inner(weights, statistics.frequency)
    m = statistics.monetary_value - inner(weights, statistics.monetary_value)
    spread = math.sqrt(inner(weights, x**2) * inner(weights, m**2))
    # Rounding leaves a spread of about 1e-16 where all values are equal.
    if spread <= 1e-12 * float(statistics.monetary_value.max()):
        return None
    return min(1.0, max(-1.0, inner(weights, x * m) / spread))
