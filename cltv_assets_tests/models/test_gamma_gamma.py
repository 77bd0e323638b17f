"""Expected order values."""

from __future__ import annotations

import numpy as np
import pytest

from cltv_assets.errors import ModelError
from cltv_assets.models.estimation.fitting import fit_spend_model
from cltv_assets.models.gamma_gamma import (
    GammaGammaLikelihood,
    expected_value,
    population_mean,
    population_mean_error,
    rate_scale,
)
from cltv_assets.models.sufficient_statistics import SpendStatistics

PARAMETERS = {"p": 6.25, "q": 3.74, "v": 15.44}


def test_expected_value_is_the_mean_of_simulated_customers() -> None:
    rng = np.random.default_rng(1)
    size = 500_000
    rates = rng.gamma(PARAMETERS["q"], 1 / PARAMETERS["v"], size)
    mean = rng.gamma(PARAMETERS["p"] * 3, 1 / rates) / 3
    near = (mean > 49) & (mean < 51)
    true_mean = PARAMETERS["p"] / rates[near]
    assert expected_value(PARAMETERS, [3], [50.0])[0] == pytest.approx(
        true_mean.mean(), abs=4 * true_mean.std() / np.sqrt(near.sum()) + 0.02
    )


def test_expected_value_lies_between_the_customer_and_the_population() -> None:
    mean = population_mean(PARAMETERS)
    assert mean == pytest.approx(6.25 * 15.44 / 2.74)
    assert expected_value(PARAMETERS, [0, 0], [0.0, 99.0]) == pytest.approx([mean, mean])
    drawn = expected_value(PARAMETERS, [1, 10, 10_000], [100.0] * 3)
    assert mean < drawn[0] < drawn[1] < drawn[2] < 100
    assert drawn[2] == pytest.approx(100, rel=1e-2)


@pytest.mark.parametrize("q", [1.0, 0.5])
def test_an_infinite_mean_is_refused(q: float) -> None:
    with pytest.raises(ModelError, match="no finite mean order value"):
        population_mean(PARAMETERS | {"q": q})
    with pytest.raises(ModelError, match="no finite mean order value"):
        expected_value(PARAMETERS | {"q": q}, [5], [10.0])


@pytest.mark.parametrize(("x", "m"), [([-1], [1.0]), ([1], [-1.0]), ([1], [np.nan]), ([np.inf], [1.0])])
def test_impossible_customers_are_refused(x: list[float], m: list[float]) -> None:
    with pytest.raises(ModelError, match="negative or not a finite number"):
        expected_value(PARAMETERS, x, m)


def test_the_error_of_the_mean_is_the_spread_of_refits() -> None:
    rng = np.random.default_rng(3)
    means, told = [], []
    for _ in range(60):
        x = rng.geometric(0.4, 800)
        m = rng.gamma(6.0 * x) / rng.gamma(2.2, 1 / 20.0, 800) / x
        fit = fit_spend_model(SpendStatistics(x, m, np.ones(800)))
        means.append(np.log(population_mean(fit.usable_parameters())))
        told.append(population_mean_error(fit.usable_parameters(), fit.log_covariance or {}))
    # The spread of 60 values is known to 9 %.
    assert np.mean(told) == pytest.approx(np.std(means), rel=0.27)


def test_the_error_of_the_mean_grows_without_bound_near_one() -> None:
    covariance = {"q": {"q": 0.01}}
    found = [population_mean_error(PARAMETERS | {"q": q}, covariance) for q in (3.0, 1.5, 1.01)]
    assert found == pytest.approx([0.15, 0.3, 10.1])


def by_frequency(seed: int, doubling: float, customers: int = 4_000) -> SpendStatistics:
    rng = np.random.default_rng(seed)
    x = rng.geometric(0.3, customers)
    rate = rng.gamma(3.7, 1.0, customers) / (15.0 * doubling ** np.log2(x))
    return SpendStatistics(x, rng.gamma(6.0 * x) / rate / x, np.ones(customers))


def test_a_likelihood_by_frequency_is_the_plain_one_with_each_scale_its_own() -> None:
    statistics, doubling = by_frequency(2, 1.3, 500), 1.4
    whole = GammaGammaLikelihood(statistics, by_frequency=True)
    at = np.log([6.0, 3.7, 15.0, doubling])
    apart = 0.0
    for x in np.unique(statistics.frequency):
        own = statistics.frequency == x
        part = SpendStatistics(statistics.frequency[own], statistics.monetary_value[own], statistics.weights[own])
        apart += GammaGammaLikelihood(part)(np.log([6.0, 3.7, 15.0 * doubling ** np.log2(x)]))[0]
    value, gradient = whole(at)
    assert value == pytest.approx(apart, rel=1e-12)
    for i, step in enumerate(np.eye(4) * 1e-5):
        slope = (whole(at + step)[0] - whole(at - step)[0]) / 2e-5
        assert gradient[i] == pytest.approx(slope, rel=1e-5, abs=1e-4)


@pytest.mark.parametrize("doubling", [0.7, 1.0, 1.3])
def test_the_dependence_on_frequency_is_recovered(doubling: float) -> None:
    fit = fit_spend_model(by_frequency(3, doubling), by_frequency=True)
    assert fit.status == "fitted"
    found, error = fit.parameters["doubling"], fit.standard_errors["doubling"]
    assert found is not None
    assert error is not None
    assert abs(found - doubling) < 3.5 * error
    assert error < 0.03


def test_an_order_to_come_is_one_purchase_more() -> None:
    dependent = PARAMETERS | {"doubling": 1.5}
    assert rate_scale(dependent, [0, 1, 3]) == pytest.approx(15.44 * np.array([1.0, 1.5, 2.25]))
    assert rate_scale(PARAMETERS, [0, 1, 3]) == pytest.approx([15.44] * 3)
    # Equation 5 with the scale of four repeat purchases.
    p, q = PARAMETERS["p"], PARAMETERS["q"]
    expected = p * (15.44 * 2.25 + 3 * 20.0) / (p * 3 + q - 1)
    assert expected_value(dependent, [3], [20.0]) == pytest.approx([expected])
