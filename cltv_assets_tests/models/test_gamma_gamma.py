"""Expected order values."""

from __future__ import annotations

import numpy as np
import pytest

from cltv_assets.errors import ModelError
from cltv_assets.models.gamma_gamma import expected_value, population_mean

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
