"""Fitting: statistics in, a `PurchaseFit` or `SpendFit` out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypedDict

import numpy as np

from cltv_assets.errors import ModelError
from cltv_assets.models.estimation.coarse import coarsened
from cltv_assets.models.estimation.curvature import Objective
from cltv_assets.models.estimation.fits import Degeneracy, PurchaseFit, SpendFit
from cltv_assets.models.estimation.optimise import Maximum, maximise
from cltv_assets.models.estimation.statistics import FloatArray, PurchaseStatistics, SpendStatistics, inner
from cltv_assets.models.estimation.sufficiency import MIN_REPEAT_CUSTOMERS as MIN_REPEAT_CUSTOMERS
from cltv_assets.models.estimation.sufficiency import too_few_purchases, too_few_values
from cltv_assets.models.purchase.purchase_model import Patterns, PurchaseModel
from cltv_assets.models.purchase.registry import purchase_model
from cltv_assets.models.purchase.truncation import truncated_likelihood
from cltv_assets.models.value import gamma_gamma

#: Where parameters are searched, in units of the mean age and the mean order value. At
#: 1e4, shape parameters make customers alike to one percent, which is past what even
#: millions of customers tell; much beyond, gamma functions lose the digits that the
#: gradient needs. Parameters with a unit follow their shape: alpha is r over a rate.
_SHAPE_BOUNDS = (1e-6, 1e4)
_UNIT_BOUNDS = (1e-8, 1e8)


#: A truncated fit whose r runs below this says that next to nobody comes back: the
#: logarithmic series, the limit of the truncated NBD.
_NO_SHARE = 1e-3


class _Evidence(TypedDict):
    parameters: Mapping[str, float | None]
    standard_errors: Mapping[str, float | None]
    log_likelihood: float
    aic: float
    gradient_norm: float
    hessian_positive_definite: bool
    iterations: int
    starts_agreeing: int
    log_covariance: Mapping[str, Mapping[str, float]]


def fit_purchase_model(
    statistics: PurchaseStatistics,
    name: str = "bg_nbd",
    *,
    truncated: bool = False,
    start: Mapping[str, float] | None = None,
    max_iterations: int = 500,
) -> PurchaseFit:
    """Fit a purchase model by maximum likelihood.

    Parameters
    ----------
    statistics : PurchaseStatistics
        Grouped by pattern or not: the result is the same.
    name : str
        A key of `PURCHASE_MODELS`.
    truncated : bool
        Whether the statistics hold repeat customers only, known for that: the likelihood
        is then on the condition of a repeat purchase. Else they hold all customers.
    start : mapping of str to float, optional
        Parameters to start from, in the statistics' unit of time, instead of the model's
        own starts: one search only, for refits near a known maximum.
    max_iterations : int
        Iterations a start before the optimiser gives up.

    Raises
    ------
    ModelError
        If the optimiser did not converge, there is no such model, ``start`` lacks a
        parameter, or ``truncated`` is said of customers without a repeat purchase.
    """
    model = purchase_model(name)
    names = model.parameter_names
    reason = too_few_purchases(statistics, len(names))
    if reason is not None:
        nothing = dict.fromkeys(names)
        return PurchaseFit(
            model_name=name,
            status="not_fitted",
            status_reason=reason,
            parameters=nothing,
            standard_errors=nothing,
            patterns=len(statistics.frequency),
            customers=statistics.customers,
            repeat_customers=statistics.repeat_customers,
            repeat_purchases=statistics.repeat_purchases,
            truncated=truncated,
        )
    # In units of the mean age the search is the same in weeks and in days.
    scale = statistics.mean_age
    scaled = statistics.in_units_of(scale)
    purchases = inner(statistics.weights, statistics.frequency)
    rate = purchases / inner(scaled.weights, scaled.T)
    units = {n: scale if n in model.time_parameters else 1.0 for n in names}

    def likelihood(of: PurchaseStatistics) -> Objective:
        return truncated_likelihood(model, of) if truncated else model.likelihood(of)

    coarse = coarsened(scaled) if start is None else None
    best = maximise(
        likelihood(scaled),
        _starts(model, rate, truncated) if start is None else [_given_start(start, units)],
        _bounds(names, model.time_parameters),
        float(statistics.weights.sum()),
        together=[tuple(names.index(n) for n in group) for group in model.together],
        rough=None if coarse is None else likelihood(coarse),
        max_iterations=max_iterations,
    )
    parameters = _parameters(best, units)
    unidentified = _unidentified(best, names)
    return PurchaseFit(
        model_name=name,
        status="boundary" if unidentified else "fitted",
        status_reason=_boundary_reason(model, parameters, unidentified, truncated) if unidentified else None,
        patterns=len(statistics.frequency),
        customers=statistics.customers,
        repeat_customers=statistics.repeat_customers,
        repeat_purchases=statistics.repeat_purchases,
        truncated=truncated,
        # Each purchase has a density a unit of time.
        **_evidence(best, parameters, best.value - purchases * math.log(scale)),
    )


def fit_spend_model(statistics: SpendStatistics, *, max_iterations: int = 500) -> SpendFit:
    """Fit the Gamma-Gamma model to repeat customers by maximum likelihood.

    A fit with q <= 1 has an infinite mean order value and cannot price anyone: it
    comes back as ``not_fitted`` with that reason.

    Parameters
    ----------
    statistics : SpendStatistics
    max_iterations : int
        Iterations a start before the optimiser gives up.

    Raises
    ------
    ModelError
        If the optimiser did not converge.
    """
    names = gamma_gamma.PARAMETER_NAMES
    mean = statistics.mean_order_value
    reason = too_few_values(statistics)
    if reason is not None:
        return _spend_not_fitted(statistics, reason)
    scaled = statistics.in_units_of(mean)
    best = maximise(
        gamma_gamma.GammaGammaLikelihood(scaled),
        [np.log([start[n] for n in names]) for start in gamma_gamma.starts(1.0)],
        _bounds(names, frozenset({"v"})),
        float(statistics.weights.sum()),
        together=[tuple(names.index(n) for n in group) for group in gamma_gamma.TOGETHER],
        max_iterations=max_iterations,
    )
    parameters = _parameters(best, {"p": 1.0, "q": 1.0, "v": mean})
    if parameters["q"] <= 1.0:
        return _spend_not_fitted(
            statistics,
            "order values spread so widely between customers that the model's mean is infinite "
            f"(q = {parameters['q']:.3g}, not above 1); treat outliers or fit on more months",
        )
    unidentified = _unidentified(best, names)
    return SpendFit(
        model_name=gamma_gamma.NAME,
        status="boundary" if unidentified else "fitted",
        status_reason=gamma_gamma.boundary_reason(unidentified) if unidentified else None,
        patterns=len(statistics.frequency),
        customers=statistics.customers,
        mean_order_value=mean,
        expected_order_value=gamma_gamma.population_mean(parameters),
        frequency_value_correlation=_correlation(statistics),
        # Each customer's mean has a density a unit of currency.
        **_evidence(best, parameters, best.value - float(statistics.weights.sum()) * math.log(mean)),
    )


def degeneracy(fit: PurchaseFit, null: PurchaseFit, statistics: PurchaseStatistics) -> Degeneracy | None:
    """Hold a fit against the null model's on the same statistics.

    Returns
    -------
    Degeneracy or None
        None if either model was not fitted.
    """
    if fit.log_likelihood is None or null.log_likelihood is None or fit.aic is None or null.aic is None:
        return None
    repeat = statistics.frequency > 0
    patterns = Patterns(statistics.frequency[repeat], statistics.recency[repeat], statistics.T[repeat])
    p_alive = purchase_model(fit.model_name).p_alive(fit.usable_parameters(), patterns)
    return Degeneracy(
        fit.log_likelihood - null.log_likelihood,
        null.aic - fit.aic,
        float(np.average(p_alive, weights=statistics.weights[repeat])),
    )


def _starts(model: PurchaseModel, rate: float, truncated: bool) -> list[FloatArray]:
    """Return the model's own starts as log parameters.

    Repeat customers buy faster than all customers do: from a truncated sample the
    search starts at a third of their rate, which CDNOW's is.
    """
    starts = model.starts(rate / 3.0 if truncated else rate)
    return [np.log([start[n] for n in model.parameter_names]) for start in starts]


def _given_start(start: Mapping[str, float], units: Mapping[str, float]) -> FloatArray:
    """Return a given start as log parameters in units of the search."""
    if not all(start.get(n, 0.0) > 0 and math.isfinite(start[n]) for n in units):
        raise ModelError(
            f"The start {dict(start)} is not a positive number for each of {', '.join(units)}.",
            "Start from the parameters of an earlier fit of the same model.",
        )
    return np.log([start[n] / unit for n, unit in units.items()])


def _boundary_reason(
    model: PurchaseModel, parameters: Mapping[str, float], unidentified: frozenset[str], truncated: bool
) -> str:
    if truncated and "r" in unidentified and parameters["r"] < _NO_SHARE:
        return (
            "how many customers never bought again cannot be told from those who did: "
            "the fewer of all customers come back, the better the fit"
        )
    return model.boundary_reason(parameters, unidentified)


def _parameters(best: Maximum, units: Mapping[str, float]) -> dict[str, float]:
    """Return the parameters by name, in the caller's units."""
    return {
        name: math.exp(log_value) * unit
        for (name, unit), log_value in zip(units.items(), best.log_parameters, strict=True)
    }


def _bounds(names: tuple[str, ...], with_unit: frozenset[str]) -> tuple[FloatArray, FloatArray]:
    """Return the least and largest log parameters."""
    bounds = np.log([_UNIT_BOUNDS if name in with_unit else _SHAPE_BOUNDS for name in names])
    return bounds[:, 0], bounds[:, 1]


def _unidentified(best: Maximum, names: tuple[str, ...]) -> frozenset[str]:
    return frozenset(name for name, away in zip(names, best.unidentified, strict=True) if away)


def _evidence(best: Maximum, parameters: Mapping[str, float], log_likelihood: float) -> _Evidence:
    # Delta method: the error of exp(y) is exp(y) times that of y.
    errors = {
        name: None if math.isnan(log_error) else float(log_error) * parameters[name]
        for name, log_error in zip(parameters, best.log_standard_errors, strict=True)
    }
    return {
        "parameters": parameters,
        "standard_errors": errors,
        "log_likelihood": log_likelihood,
        "aic": 2.0 * len(parameters) - 2.0 * log_likelihood,
        "gradient_norm": best.gradient_norm,
        "hessian_positive_definite": best.positive_definite,
        "iterations": best.iterations,
        "starts_agreeing": best.starts_agreeing,
        "log_covariance": _log_covariance(best, tuple(parameters)),
    }


def _log_covariance(best: Maximum, names: tuple[str, ...]) -> dict[str, dict[str, float]]:
    """Return the covariance of the identified log parameters, by name."""
    known = [(position, name) for position, name in enumerate(names) if not best.unidentified[position]]
    return {name: {other: float(best.log_covariance[i, j]) for j, other in known} for i, name in known}


def _spend_not_fitted(statistics: SpendStatistics, reason: str) -> SpendFit:
    nothing = dict.fromkeys(gamma_gamma.PARAMETER_NAMES)
    return SpendFit(
        model_name=gamma_gamma.NAME,
        status="not_fitted",
        status_reason=reason,
        parameters=nothing,
        standard_errors=nothing,
        patterns=len(statistics.frequency),
        customers=statistics.customers,
        mean_order_value=statistics.mean_order_value if statistics.customers else None,
        frequency_value_correlation=_correlation(statistics),
    )


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
