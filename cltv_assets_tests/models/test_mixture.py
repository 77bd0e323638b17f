"""What models predict together: by simulation, and against each of them alone."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import gamma

from bench.published.figures import PUBLISHED
from cltv_assets.models.mixture import Mixture
from cltv_assets.models.pattern_predictions import expected_total, predict_patterns
from cltv_assets.models.sufficient_statistics import Patterns
from cltv_assets.models.value.totals import CustomerGroups, MixedTotals, MoneyWeights, totals_of
from cltv_assets.models.value.value_intervals import value_quantiles
from cltv_assets_tests.models.conftest import made_fit

SPEND = {"p": 6.25, "q": 3.74, "v": 15.44}
FITS = {name: made_fit(name, PUBLISHED[name]) for name in ("bg_nbd", "mbg_nbd", "nbd")}
WEIGHTS = (0.5, 0.3, 0.2)
MIXTURE = Mixture(tuple(FITS.values()), WEIGHTS)
X, RECENCY, AGE = np.array([0, 1, 4, 12]), np.array([0.0, 3.0, 30.0, 20.0]), np.array([30.0, 39.0, 39.0, 39.0])
PATTERNS = Patterns(X, RECENCY, AGE)
HORIZONS = np.array([13.0, 52.0])


def weighed(of) -> np.ndarray:
    return sum(weight * of(fit) for weight, fit in zip(WEIGHTS, FITS.values(), strict=True))


def test_probabilities_and_expectations_are_weighted_means():
    found = predict_patterns(MIXTURE, X, RECENCY, AGE, HORIZONS)
    each = {fit.model_name: predict_patterns(fit, X, RECENCY, AGE, HORIZONS) for fit in FITS.values()}
    assert found.p_alive == pytest.approx(weighed(lambda fit: each[fit.model_name].p_alive))
    assert found.expected_purchases == pytest.approx(weighed(lambda fit: each[fit.model_name].expected_purchases))
    # NBD's customers never leave, and so a fifth of the twelve times customer has not.
    assert found.p_alive[3] > 0.2 > each["bg_nbd"].p_alive[3]


def counts_of(rng: np.random.Generator, row: int, draws: int, horizon: float) -> np.ndarray:
    """Draw purchases of one customer by a model drawn with the weights."""
    name = rng.choice(list(FITS), p=WEIGHTS, size=draws)
    counts = np.zeros(draws, dtype=np.int64)
    for each, fit in FITS.items():
        mine = np.flatnonzero(name == each)
        steps = np.arange(1, 200, dtype=float)
        same = PATTERNS.take(np.full(len(steps), row))
        tails = Mixture.of(fit).at_least(same, np.full(len(steps), horizon), steps)
        counts[mine] = (rng.random(len(mine))[:, None] < tails).sum(axis=1)
    return counts


@pytest.mark.parametrize("row", range(len(X)))
def test_intervals_are_those_of_the_mixture(row):
    rng, draws = np.random.default_rng([9, row]), 40_000
    found = predict_patterns(MIXTURE, X, RECENCY, AGE, HORIZONS)
    low, high = value_quantiles(MIXTURE.components, SPEND, PATTERNS, HORIZONS)
    for at, horizon in enumerate(HORIZONS):
        counts = counts_of(rng, row, draws, horizon)
        for end, share in ((found.low, 0.1), (found.high, 0.9)):
            n = end[row, at]
            assert (counts <= n).mean() >= share - 0.01
            assert (counts < n).mean() <= share + 0.01
        rate = rng.gamma(SPEND["q"] + SPEND["p"] * X[row], 1.0, draws)
        value = np.where(counts > 0, rng.gamma(np.maximum(SPEND["p"] * counts, 1e-9)) / rate, 0.0)
        for end, share in ((low, 0.1), (high, 0.9)):
            z = end[row, at]
            assert (value <= z).mean() == pytest.approx(max(share, (value == 0).mean()), abs=0.012)


def groups() -> CustomerGroups:
    many = np.array([400.0, 100.0, 50.0, 5.0])
    m = np.array([0.0, 30.0, 25.0, 40.0])
    return CustomerGroups(X, RECENCY, AGE, many, MoneyWeights(many, many * m, many, many * m, many * m * m))


def test_one_model_of_all_weight_is_that_model():
    fit, ends = FITS["bg_nbd"], np.array([4.0, 8.0, 13.0])
    rows = np.arange(len(X))
    alone = totals_of(fit, SPEND, groups(), ends, np.ones(3), [3])
    mixed = MixedTotals(np.ones(1), [totals_of(fit, SPEND, groups(), ends, np.ones(3), [3])])
    for one, other in zip(alone.intervals(rows, 0.1), mixed.intervals(rows, 0.1), strict=True):
        assert one == pytest.approx(other, rel=1e-12)


def test_totals_vary_by_chance_and_by_which_model_is_right():
    """A model is drawn once for all customers; given the model they are independent."""
    ends, rows = np.array([4.0, 8.0, 13.0]), np.arange(len(X))
    mixed = MixedTotals(
        np.array(MIXTURE.weights), [totals_of(fit, SPEND, groups(), ends, np.ones(3), [3]) for fit in MIXTURE.fits]
    )
    rng = np.random.default_rng(4)
    alone = [expected_total(fit, PATTERNS, groups().customers, 13.0) for fit in FITS.values()]
    which = rng.choice(3, p=WEIGHTS, size=200_000)
    means, deviations = np.array(alone).T
    totals = rng.normal(means[which], deviations[which])
    deviation = totals.std()
    shape = (totals.mean() / deviation) ** 2
    ends = gamma(shape, scale=totals.mean() / shape).ppf([0.1, 0.9])
    assert mixed.intervals(rows)[0][0] == pytest.approx(ends, rel=0.01)
    # Wider than any of the models by itself.
    assert deviation > 1.5 * deviations.max()
    assert expected_total(MIXTURE, PATTERNS, groups().customers, 13.0)[0] == pytest.approx(
        float(np.dot(WEIGHTS, means)), rel=1e-9
    )
