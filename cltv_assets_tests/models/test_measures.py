"""Ordering figures against brute force (customers written out, ranks by SciPy); the stability index by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import rankdata

from cltv_assets.models.measures import (
    Ordered,
    gini_correlation,
    population_stability_index,
    stability_by_chance,
)


def ordered(by, values) -> Ordered:
    """Group customers by what they are ordered by."""
    keys, place = np.unique(by, return_inverse=True)
    return Ordered(
        np.bincount(place, minlength=len(keys)).astype(float), np.bincount(place, values, len(keys)).astype(float)
    )


def shared_out(by, values, copies):
    """Write every customer out ``copies`` times, lowest first; customers with equal keys get their mean."""
    order = np.argsort(by, kind="stable")
    mean = {key: np.mean(np.asarray(values)[by == key]) for key in np.unique(by)}
    return np.repeat([mean[key] for key in np.asarray(by)[order]], copies)


@pytest.fixture(params=[1, 3, 10, 57, 400])
def customers(request):
    rng = np.random.default_rng(request.param)
    # Many ties in the prediction, mostly zeros in the outcome, some of it negative.
    prediction = rng.integers(0, max(2, request.param // 4), request.param) / 4.0
    outcome = np.round(prediction * rng.poisson(0.8, request.param) - (rng.random(request.param) < 0.05), 2)
    return prediction, outcome


def test_the_normalised_gini_is_a_ratio_of_covariances_with_mean_ranks(customers):
    prediction, outcome = customers
    found = gini_correlation(ordered(prediction, outcome), ordered(outcome, outcome))
    if len(set(outcome)) == 1:
        assert found is None
        return
    by_prediction, own = (np.cov(outcome, rankdata(key))[0, 1] for key in (prediction, outcome))
    assert found == pytest.approx(by_prediction / own, abs=1e-12)


def test_a_perfect_a_reversed_and_a_flat_prediction():
    outcome = np.array([0.0, 0.0, 1.0, 5.0, 5.0, 30.0])
    own = ordered(outcome, outcome)
    assert gini_correlation(ordered(outcome * 7, outcome), own) == pytest.approx(1.0, abs=1e-15)
    assert gini_correlation(ordered(-outcome, outcome), own) == pytest.approx(-1.0, abs=1e-15)
    assert gini_correlation(ordered(np.ones(6), outcome), own) == 0.0


def test_one_who_has_everything_makes_a_gini_of_all_but_one():
    # Gini coefficient of (0, ..., 0, 1) is (n - 1) / n; rank_sum over n times the total is that.
    outcome = np.array([0.0] * 9 + [4.0])
    assert ordered(outcome, outcome).rank_sum() / (10 * 4.0) == pytest.approx(0.9, rel=1e-15)


def test_deciles_and_the_top_tenth_share_out_ties_and_split_customers(customers):
    prediction, outcome = customers
    # Ten copies of each customer: tenths are whole again.
    written_out = shared_out(prediction, outcome, 10).reshape(10, -1)
    found = ordered(prediction, outcome)
    assert found.decile_means() == pytest.approx(written_out.mean(axis=1), abs=1e-12)
    total = outcome.sum()
    if total > 0:
        assert found.top_decile_share() == pytest.approx(written_out[9].sum() / 10 / total, abs=1e-12)
    else:
        assert found.top_decile_share() is None


def test_nothing_is_made_of_nobody():
    nobody = Ordered(np.zeros(0), np.zeros(0))
    assert nobody.top_decile_share() is None
    assert gini_correlation(nobody, nobody) is None


def test_rounding_is_not_an_order():
    # 0.1 three times, as sums of floats come out.
    outcome = np.array([0.1, 0.3 - 0.2, 0.7 - 0.6])
    assert gini_correlation(ordered(outcome, outcome), ordered(outcome, outcome)) is None


def test_the_stability_index_by_hand():
    # Shares 0.5, 0.5 and 0.6, 0.4: 0.1 ln 1.2 - 0.1 ln 0.8.
    assert population_stability_index([50, 50], [60, 40]) == pytest.approx(0.1 * math.log(1.5), rel=1e-12)
    assert population_stability_index([50, 50], [600, 400]) == pytest.approx(0.1 * math.log(1.5), rel=1e-12)
    assert population_stability_index([3, 4, 5], [30, 40, 50]) == pytest.approx(0.0, abs=1e-15)


def test_stability_does_not_depend_on_which_month_comes_first():
    before, now = [10, 20, 70], [25, 25, 50]
    assert population_stability_index(before, now) == pytest.approx(population_stability_index(now, before), rel=1e-12)


def test_an_empty_bin_counts_as_half_a_customer():
    # 0 of 100 against 10 of 100: (0.1 - 0.005) ln 20, and 100 against 90 in the other.
    by_hand = 0.095 * math.log(20) + (0.9 - 1.0) * math.log(0.9)
    assert population_stability_index([0, 100], [10, 90]) == pytest.approx(by_hand, rel=1e-12)


def test_chance_exceeds_it_as_often_as_promised():
    rng = np.random.default_rng(3)
    before, now, bins, trials = 900, 400, 10, 4000
    shares = np.full(bins, 0.1)
    found = [
        population_stability_index(one, two)
        for one, two in zip(rng.multinomial(before, shares, trials), rng.multinomial(now, shares, trials), strict=True)
    ]
    beyond = np.mean(np.array(found) > stability_by_chance(bins, before, now, 0.95))
    # 0.05 and three standard errors of 4000 trials.
    assert beyond == pytest.approx(0.05, abs=0.011)
    # 27.877 is the 99.9 % point of chi-squared with 9 degrees of freedom in printed tables.
    assert stability_by_chance(10, 100, 100) == pytest.approx(27.877 * 0.02, rel=1e-4)


def test_a_single_bin_cannot_move():
    assert population_stability_index([7], [90]) == 0.0
    assert stability_by_chance(1, 7, 90) == 0.0
