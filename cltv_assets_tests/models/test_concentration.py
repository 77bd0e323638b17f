"""Ordering figures against brute force: every customer written out, ranks by SciPy."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import rankdata

from cltv_assets.models.measures import Ordered, gini_correlation


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
