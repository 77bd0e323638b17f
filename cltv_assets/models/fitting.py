"""Fitting: statistics in, a `PurchaseFit` or `SpendFit` out."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TypedDict

import numpy as np

from cltv_assets.models import gamma_gamma
from cltv_assets.models.fits import Degeneracy, PurchaseFit, SpendFit
from cltv_assets.models.optimise import Maximum, maximise
from cltv_assets.models.purchase_model import Patterns
from cltv_assets.models.registry import purchase_model
from cltv_assets.models.statistics import FloatArray, PurchaseStatistics, SpendStatistics, inner

#: With fewer repeat customers a fit is not tried. Samples of CDNOW show how little so few
#: timings tell: of 40 samples with about 10 repeat customers 2 had a proper BG/NBD maximum,
#: of 40 with about 20 repeat customers 10 had, of 40 with about 100 repeat customers 37.
MIN_REPEAT_CUSTOMERS = 10

#: Where parameters are searched, in units of the mean age and the mean order value. At
#: 1e4, shape parameters make customers alike to one percent, which is past what even
#: millions of customers tell; much beyond, gamma functions lose the digits that the
#: gradient needs. Parameters with a unit follow their shape: alpha is r over a rate.
_SHAPE_BOUNDS = (1e-6, 1e4)
_UNIT_BOUNDS = (1e-8, 1e8)


class _Evidence(TypedDict):
    parameters: Mapping[str, float | None]
    standard_errors: Mapping[str, float | None]
    log_likelihood: float
    aic: float
    gradient_norm: float
    hessian_positive_definite: bool
    iterations: int
    starts_agreeing: int


def fit_purchase_model(
    statistics: PurchaseStatistics, name: str = "bg_nbd", *, max_iterations: int = 500
) -> PurchaseFit:
    """Fit a purchase model to all customers by maximum likelihood.

    Parameters
    ----------
    statistics : PurchaseStatistics
        Grouped by pattern or not: the result is the same.
    name : str
        A key of `PURCHASE_MODELS`.
    max_iterations : int
        Iterations a start before the optimiser gives up.

    Raises
    ------
    ModelError
        If the optimiser did not converge, or there is no such model.
    """
    model = purchase_model(name)
    names = model.parameter_names
    reason = _too_few_purchases(statistics, len(names))
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
        )
    # In units of the mean age the search is the same in weeks and in days.
    scale = statistics.mean_age
    scaled = statistics.in_units_of(scale)
    purchases = inner(statistics.weights, statistics.frequency)
    rate = purchases / inner(scaled.weights, scaled.T)
    best = maximise(
        model.likelihood(scaled),
        [np.log([start[n] for n in names]) for start in model.starts(rate)],
        _bounds(names, model.time_parameters),
        float(statistics.weights.sum()),
        together=[tuple(names.index(n) for n in group) for group in model.together],
        max_iterations=max_iterations,
    )
    parameters = _parameters(best, {n: scale if n in model.time_parameters else 1.0 for n in names})
    unidentified = _unidentified(best, names)
    return PurchaseFit(
        model_name=name,
        status="boundary" if unidentified else "fitted",
        status_reason=model.boundary_reason(parameters, unidentified) if unidentified else None,
        patterns=len(statistics.frequency),
        customers=statistics.customers,
        repeat_customers=statistics.repeat_customers,
        repeat_purchases=statistics.repeat_purchases,
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
    reason = _too_few_values(statistics)
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


def _too_few_purchases(statistics: PurchaseStatistics, parameters: int) -> str | None:
    if statistics.customers == 0:
        return "no customers"
    if statistics.repeat_customers == 0:
        return "no customer has bought on a second day"
    if statistics.repeat_customers < MIN_REPEAT_CUSTOMERS:
        return f"{statistics.repeat_customers} repeat customers; a fit needs {MIN_REPEAT_CUSTOMERS}"
    if statistics.mean_age <= 0:
        return "every customer's first purchase is on the last day"
    # With no more patterns than parameters, the likelihood is an interpolation.
    if statistics.distinct_patterns <= parameters:
        return f"{statistics.distinct_patterns} distinct purchase histories; a fit needs {parameters + 1}"
    return None


def _too_few_values(statistics: SpendStatistics) -> str | None:
    if statistics.customers == 0:
        return "no repeat customer with a positive order value"
    if statistics.customers < MIN_REPEAT_CUSTOMERS:
        return f"{statistics.customers} repeat customers; a fit needs {MIN_REPEAT_CUSTOMERS}"
    values = statistics.monetary_value
    # The density at one common value grows without bound as the spread goes to 0.
    if values.max() - values.min() <= 1e-9 * values.max():
        return "every customer has the same mean order value"
    least = len(gamma_gamma.PARAMETER_NAMES) + 1
    if statistics.distinct_patterns < least:
        return f"{statistics.distinct_patterns} distinct pairs of frequency and order value; a fit needs {least}"
    return None


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
    }


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
