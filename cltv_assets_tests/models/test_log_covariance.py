"""Covariances of log parameters, and searches from a given start."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cltv_assets.errors import ModelError
from cltv_assets.models.estimation.fits import Fit
from cltv_assets.models.estimation.fitting import fit_purchase_model, fit_spend_model
from cltv_assets.models.estimation.optimise import maximise
from cltv_assets.models.gamma_gamma import GammaGammaLikelihood
from cltv_assets.models.purchase.registry import PURCHASE_MODELS
from cltv_assets.models.sufficient_statistics import Objective, PurchaseStatistics, SpendStatistics
from cltv_assets_tests.models.conftest import Histories, grouped, simulate_purchases

MODELS = ["bg_nbd", "mbg_nbd", "pareto_nbd", "nbd"]


def by_values(objective: Objective, point: np.ndarray, step: float = 3e-3) -> np.ndarray:
    """Return the inverse of minus the Hessian from second differences of the values alone."""
    size = len(point)
    axes = step * np.eye(size)
    bends = np.empty((size, size))
    for i in range(size):
        for j in range(size):
            corners = [
                (axes[i] + axes[j], 1),
                (axes[i] - axes[j], -1),
                (axes[j] - axes[i], -1),
                (-axes[i] - axes[j], 1),
            ]
            bends[i, j] = sum(sign * objective(point + shift)[0] for shift, sign in corners) / (4 * step**2)
    return np.linalg.inv(-bends)


def matrix(fit: Fit) -> np.ndarray:
    assert fit.log_covariance is not None
    return np.array([[fit.log_covariance[one][other] for other in fit.parameters] for one in fit.parameters])


@pytest.mark.parametrize("name", MODELS)
def test_it_is_the_inverse_curvature(name: str, weeks: PurchaseStatistics) -> None:
    fit = fit_purchase_model(weeks, name)
    point = np.log(list(fit.usable_parameters().values()))
    expected = by_values(PURCHASE_MODELS[name].likelihood(weeks), point)
    spread = np.sqrt(np.diag(expected))
    assert matrix(fit) / np.outer(spread, spread) == pytest.approx(expected / np.outer(spread, spread), abs=3e-3)
    for parameter, value in fit.usable_parameters().items():
        assert fit.log_covariance is not None
        error = value * math.sqrt(fit.log_covariance[parameter][parameter])
        assert fit.standard_errors[parameter] == pytest.approx(error, rel=1e-12)


def test_it_is_the_spend_models_inverse_curvature(spend: SpendStatistics) -> None:
    fit = fit_spend_model(spend)
    expected = by_values(GammaGammaLikelihood(spend), np.log(list(fit.usable_parameters().values())))
    assert matrix(fit) == pytest.approx(expected, rel=5e-3)
    assert matrix(fit)[0, 2] < 0, "p and v trade off"


@pytest.mark.parametrize("name", MODELS)
def test_it_has_no_unit(name: str, sample: Histories) -> None:
    days = fit_purchase_model(sample.statistics(), name)
    weeks = fit_purchase_model(sample.statistics(unit=7.0), name)
    assert matrix(days) == pytest.approx(matrix(weeks), rel=1e-5, abs=1e-8)


def test_parameters_that_run_away_are_left_out() -> None:
    rng = np.random.default_rng(3)
    ages = rng.integers(0, 540, 5_000).astype(np.float64)
    x, t_x = simulate_purchases(rng, rng.gamma(0.8, 1 / 60.0, 5_000), np.zeros(5_000), ages)
    fit = fit_purchase_model(PurchaseStatistics(x, t_x, ages, np.ones(5_000)))
    assert fit.status == "boundary"
    assert fit.log_covariance is not None
    assert set(fit.log_covariance) == {"r", "alpha"}
    assert set(fit.log_covariance["r"]) == {"r", "alpha"}


def test_without_a_fit_there_is_none() -> None:
    nothing = PurchaseStatistics(*(np.zeros(0) for _ in range(4)))
    assert fit_purchase_model(nothing).log_covariance is None


@pytest.mark.parametrize("name", MODELS)
def test_a_start_gives_the_same_maximum_in_one_search(name: str, master: Histories) -> None:
    data = grouped(master.statistics())
    fit = fit_purchase_model(data, name)
    near = {parameter: 1.1 * value for parameter, value in fit.usable_parameters().items()}
    again = fit_purchase_model(data, name, start=near)
    assert again.parameters == pytest.approx(fit.parameters, rel=1e-6)
    assert again.starts_agreeing == 1
    assert fit.starts_agreeing == len(PURCHASE_MODELS[name].starts(1.0))
    assert fit.iterations is not None
    assert again.iterations is not None
    assert again.iterations <= fit.iterations


@pytest.mark.parametrize("start", [{"r": 0.3, "alpha": 30.0}, {"r": 0.3, "alpha": 30.0, "a": -1.0, "b": 2.0}])
def test_a_start_must_name_positive_parameters(start: dict[str, float], weeks: PurchaseStatistics) -> None:
    with pytest.raises(ModelError, match="not a positive number for each of r, alpha, a, b"):
        fit_purchase_model(weeks, start=start)


def test_it_is_taken_at_the_maximum_itself() -> None:
    """Of two gamma rates: k y - c exp(y) bends by k at its maximum and by another amount beside it."""
    k, c = np.array([3.0, 400.0]), np.array([50.0, 2.0])

    def objective(point: np.ndarray) -> tuple[float, np.ndarray]:
        return float((k * point - c * np.exp(point)).sum()), k - c * np.exp(point)

    best = maximise(objective, [np.zeros(2)], (np.full(2, -20.0), np.full(2, 20.0)), 1000.0)
    assert best.log_parameters == pytest.approx(np.log(k / c), rel=1e-9)
    assert np.diag(best.log_covariance) == pytest.approx(1.0 / k, rel=1e-8)
