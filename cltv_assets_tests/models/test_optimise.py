"""Searches: convergence, curvature at the maximum, and searches that do less because they start nearby."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench.published.figures import PUBLISHED
from cltv_assets.errors import ModelError
from cltv_assets.models.arrays import FloatArray
from cltv_assets.models.estimation.fitting import fit_purchase_model, fit_spend_model, quick_parameters
from cltv_assets.models.estimation.optimise import maximise
from cltv_assets.models.gamma_gamma import GammaGammaLikelihood
from cltv_assets.models.purchase.pareto_nbd import ParetoNbdLikelihood
from cltv_assets.models.purchase.registry import PURCHASE_MODELS
from cltv_assets.models.sufficient_statistics import WORTHWHILE, Objective, PurchaseStatistics, SpendStatistics
from cltv_assets_tests.models.conftest import CdnowFit, one_each
from cltv_assets_tests.models.test_fitting import covariance


def by_values(objective: Objective, point: np.ndarray, step: float = 3e-3) -> np.ndarray:
    """Return the inverse of minus the Hessian from second differences of the values alone."""
    axes = step * np.eye(len(point))
    bends = np.empty((len(point), len(point)))
    for i, one in enumerate(axes):
        for j, other in enumerate(axes):
            corners = [(one + other, 1), (one - other, -1), (other - one, -1), (-one - other, 1)]
            bends[i, j] = sum(sign * objective(point + shift)[0] for shift, sign in corners) / (4 * step**2)
    return np.linalg.inv(-bends)


@pytest.mark.parametrize("name", PURCHASE_MODELS)
def test_the_covariance_is_the_inverse_curvature(name: str, weeks: PurchaseStatistics, cdnow_fit: CdnowFit) -> None:
    fit = cdnow_fit(name)
    expected = by_values(PURCHASE_MODELS[name].likelihood(weeks), np.log(list(fit.parameters.values())))
    spread = np.sqrt(np.diag(expected))
    assert covariance(fit) / np.outer(spread, spread) == pytest.approx(expected / np.outer(spread, spread), abs=3e-3)
    for parameter, value in fit.parameters.items():
        error = value * math.sqrt(fit.log_covariance[parameter][parameter])
        assert fit.standard_errors[parameter] == pytest.approx(error, rel=1e-12)


def test_the_spend_models_covariance_is_the_inverse_curvature(spend: SpendStatistics, spend_fit) -> None:
    expected = by_values(GammaGammaLikelihood(spend), np.log(list(spend_fit.parameters.values())))
    assert covariance(spend_fit) == pytest.approx(expected, rel=5e-3)
    assert covariance(spend_fit)[0, 2] < 0, "p and v trade off"


def test_the_covariance_is_taken_at_the_maximum_itself() -> None:
    """Of two gamma rates: k y - c exp(y) bends by k at its maximum and by another amount beside it."""
    k, c = np.array([3.0, 400.0]), np.array([50.0, 2.0])

    def objective(point: np.ndarray) -> tuple[float, np.ndarray]:
        return float((k * point - c * np.exp(point)).sum()), k - c * np.exp(point)

    best = maximise(objective, [np.zeros(2)], (np.full(2, -20.0), np.full(2, 20.0)), 1000.0)
    assert best.log_parameters == pytest.approx(np.log(k / c), rel=1e-9)
    assert np.diag(best.log_covariance) == pytest.approx(1.0 / k, rel=1e-8)


@pytest.mark.parametrize("name", PURCHASE_MODELS)
def test_a_start_gives_the_same_maximum_in_one_search(
    name: str, master: PurchaseStatistics, cdnow_fit: CdnowFit
) -> None:
    """A search from a given start runs on all patterns, all others begin on merged ones."""
    fit = cdnow_fit(name, "master")
    again = fit_purchase_model(master, name, start={key: 1.1 * value for key, value in fit.parameters.items()})
    assert again.parameters == pytest.approx(fit.parameters, rel=1e-6)
    assert again.standard_errors == pytest.approx(fit.standard_errors, rel=1e-5)
    assert again.log_likelihood == pytest.approx(fit.log_likelihood, rel=1e-13)
    assert again.starts_agreeing == 1
    assert again.iterations <= fit.iterations


@pytest.mark.parametrize("start", [{"r": 0.3, "alpha": 30.0}, {"r": 0.3, "alpha": 30.0, "a": -1.0, "b": 2.0}])
def test_a_start_must_name_positive_parameters(start: dict[str, float], weeks: PurchaseStatistics) -> None:
    with pytest.raises(ModelError, match="not a positive number for each of r, alpha, a, b"):
        fit_purchase_model(weeks, start=start)


@pytest.mark.parametrize("name", PURCHASE_MODELS)
def test_a_quick_search_from_nearby_ends_at_the_published_estimates(
    name: str, weeks: PurchaseStatistics, cdnow_fit: CdnowFit
) -> None:
    published = PUBLISHED[name]
    start = {key: value * by for (key, value), by in zip(published.items(), (1.6, 1.4, 0.5, 0.6), strict=False)}
    found = quick_parameters(weeks, name, start)
    for key, value in published.items():
        # Where the likelihood is flat, its parameters are known to two digits and no more.
        assert abs(math.log(found[key] / value)) < 0.03, key
    value, _ = PURCHASE_MODELS[name].likelihood(weeks)(np.log(list(found.values())))
    assert value == pytest.approx(cdnow_fit(name).log_likelihood, abs=1e-6 * len(weeks.T))


def test_a_quick_search_from_far_away_finds_the_same_maximum(weeks: PurchaseStatistics) -> None:
    found = quick_parameters(weeks, "bg_nbd", {"r": 0.24259 * 400, "alpha": 4.4136 * 400, "a": 0.79, "b": 2.4})
    assert found == pytest.approx(PUBLISHED["bg_nbd"], rel=1e-3)


def test_a_quick_search_does_not_walk_along_a_ridge(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where nobody stops buying, each model's maximum is that of the NBD, at the end of a ridge without an end."""
    rng = np.random.default_rng(3)
    age = rng.uniform(100.0, 300.0, 800)
    bought = rng.poisson(rng.gamma(0.7, 1 / 70.0, 800) * age)
    last = np.where(bought > 0, age * rng.beta(np.maximum(bought, 1), 1), 0.0)
    everybody = PurchaseStatistics(bought, last, age, np.ones(800))
    evaluations, evaluate = [], ParetoNbdLikelihood.__call__
    monkeypatch.setattr(ParetoNbdLikelihood, "__call__", lambda self, at: evaluations.append(at) or evaluate(self, at))
    found = quick_parameters(everybody, "pareto_nbd", {"r": 0.9, "alpha": 80.0, "s": 0.8, "beta": 700.0})
    assert len(evaluations) < 250
    value, _ = evaluate(PURCHASE_MODELS["pareto_nbd"].likelihood(everybody), np.log(list(found.values())))
    best = fit_purchase_model(everybody, "nbd").log_likelihood
    assert value == pytest.approx(best, abs=1e-4 * 800)


def test_merging_patterns_keeps_customers_purchases_and_times(master: PurchaseStatistics) -> None:
    coarse = master.coarsened
    assert len(coarse.frequency) < len(master.frequency) / 2
    assert coarse.customers == master.customers
    for x in (0, 1, 5):
        assert coarse.weights[coarse.frequency == x].sum() == master.weights[master.frequency == x].sum()
    # A cell's mean replaces its times; some last purchases are moved to the end, hence the tolerance.
    for name in ("recency", "T"):
        before, after = (np.average(getattr(one, name), weights=one.weights) for one in (master, coarse))
        assert after == pytest.approx(before, rel=2e-3)
    assert (coarse.recency[coarse.frequency == 0] == 0).all()
    n = WORTHWHILE - 1
    assert one_each(np.ones(n), np.arange(n) / n, np.ones(n)).coarsened is None


def test_the_whole_likelihood_is_evaluated_a_few_times_only(
    master: PurchaseStatistics, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    model = type(PURCHASE_MODELS["bg_nbd"])
    original = model.likelihood

    def counting(self: object, of: PurchaseStatistics) -> Objective:
        objective = original(self, of)
        return lambda point: (sizes.append(len(of.frequency)), objective(point))[1]

    monkeypatch.setattr(model, "likelihood", counting)
    fit_purchase_model(master, "bg_nbd")
    # Two Hessians take 32 of them.
    assert sizes.count(len(master.frequency)) <= 45


def test_a_fit_that_did_not_converge_is_refused(weeks: PurchaseStatistics, spend: SpendStatistics) -> None:
    # So few that they are not searched roughly first, which brings one iteration near enough to be right.
    few = one_each(weeks.frequency[:900], weeks.recency[:900], weeks.T[:900])
    with pytest.raises(ModelError, match=r"did not converge.*parameters are refused"):
        fit_purchase_model(few, max_iterations=1)
    with pytest.raises(ModelError, match=r"did not converge.*parameters are refused"):
        fit_spend_model(spend, max_iterations=1)


def test_a_saddle_is_refused() -> None:
    def saddle(point: FloatArray) -> tuple[float, FloatArray]:
        return float(-(point[0] ** 2) + 10 * point[1] ** 2), np.array([-2 * point[0], 20 * point[1]])

    with pytest.raises(ModelError, match="saddle"):
        maximise(saddle, [np.zeros(2)], (np.full(2, -5.0), np.full(2, 5.0)), 1.0)
