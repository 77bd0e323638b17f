"""Expected order values and the bins that order values are grouped into."""

from __future__ import annotations

import numpy as np
import pytest

from cltv_assets.errors import ModelError
from cltv_assets.models.gamma_gamma import binned, expected_value, population_mean, value_bin
from cltv_assets.models.sufficient_statistics import SpendStatistics

PARAMETERS = {"p": 6.25, "q": 3.74, "v": 15.44}


def test_expected_value_is_the_mean_of_simulated_customers() -> None:
    rng = np.random.default_rng(1)
    size = 2_000_000
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


def test_bins_cut_to_four_digits() -> None:
    amounts = [0, 7, 9_999, 10_000, 10_009, 12_345, 99_999, 100_000, 1_234_567, 999_999_999, 10**17 + 5 * 10**13]
    kept = [0, 7, 9_999, 10_000, 10_000, 12_340, 99_990, 100_000, 1_234_000, 999_900_000, 10**17]
    assert value_bin(np.array(amounts)).tolist() == kept


def test_bins_are_at_most_a_thousandth_wide() -> None:
    amounts = np.unique(np.geomspace(1_000, 10**12, 20_000).astype(np.int64))
    lower = value_bin(amounts)
    assert (lower <= amounts).all()
    assert ((amounts - lower) / amounts < 1e-3).all()
    assert (np.diff(lower) >= 0).all()


def test_binning_keeps_customers_spend_and_frequency_apart() -> None:
    data = SpendStatistics(
        np.array([1, 1, 2, 1]), np.array([10.0001, 10.0049, 10.0001, 20.0]), np.array([1.0, 3.0, 5.0, 7.0])
    )
    bins = binned(data)
    assert bins.frequency.tolist() == [1, 1, 2]
    assert bins.weights.tolist() == [4, 7, 5]
    assert bins.monetary_value == pytest.approx([(10.0001 + 3 * 10.0049) / 4, 20.0, 10.0001], rel=1e-14)


def test_nothing_bins_to_nothing() -> None:
    empty = SpendStatistics(np.array([]), np.array([]), np.array([]))
    assert binned(empty).customers == 0
