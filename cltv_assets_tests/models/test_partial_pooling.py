"""Groups drawn towards all: against groups whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest

from cltv_assets.models.partial_pooling import between_variance, pooled_means, pooled_ratios


def test_the_moment_estimator_by_hand():
    # Q = 4 + 1 + 9 = 14 of three groups with variance 1: (14 - 3) / 3.
    assert between_variance(np.array([3.0, 2.0, -2.0]), np.ones(3), 1.0) == pytest.approx(11 / 3)
    # No more than chance: none.
    assert between_variance(np.array([1.1, 0.9]), np.ones(2), 1.0) == 0.0
    assert between_variance(np.zeros(0), np.zeros(0), 1.0) == 0.0


def test_ratios_are_the_gamma_poisson_posterior():
    actual, expected, dispersion = np.array([300.0, 40.0, 3.0]), np.array([200.0, 50.0, 4.0]), np.array([2.0, 1.0, 1.0])
    found = pooled_ratios(actual, expected, dispersion)
    counts, means = actual / dispersion, expected / dispersion
    tau2 = ((means * (counts / means - 1) ** 2).sum() - 3) / means.sum()
    assert tau2 > 0
    assert found.value == pytest.approx((counts + 1 / tau2) / (means + 1 / tau2))
    assert found.value == pytest.approx(1 + found.own_weight * (counts / means - 1))
    # The more is expected of a group, the more its own count says, and the better its ratio is known.
    assert list(np.argsort(found.own_weight)) == [2, 1, 0]
    assert list(np.argsort(found.variance)) == [0, 1, 2]


def test_groups_that_differ_by_chance_only_are_taken_to_be_alike():
    found = pooled_ratios(np.array([98.0, 104.0]), np.array([100.0, 100.0]), np.ones(2))
    assert found.value.tolist() == [1.0, 1.0]
    assert found.own_weight.tolist() == [0.0, 0.0]


def test_a_group_of_whom_nothing_is_expected_is_like_all():
    assert pooled_ratios(np.array([0.0, 500.0, 100.0]), np.array([0.0, 200.0, 200.0]), np.ones(3)).value[0] == 1.0


def test_pooling_is_closer_to_the_truth_than_groups_and_than_all():
    rng = np.random.default_rng(5)
    truth = rng.gamma(1 / 0.04, 0.04, 400)
    expected = rng.choice([5.0, 20.0, 80.0], 400)
    actual = rng.poisson(truth * expected).astype(float)
    found = pooled_ratios(actual, expected, np.ones(400))

    def error(guess):
        return float(((guess - truth) ** 2).mean())

    assert error(found.value) < 0.8 * min(error(actual / expected), error(np.ones(400)))
    # Posterior variances are the mean square errors that are made.
    assert found.variance.mean() == pytest.approx(error(found.value), rel=0.15)


def test_means_are_drawn_by_their_credibility():
    means, variances = np.array([30.0, 50.0, 80.0]), np.array([4.0, 4.0, np.inf])
    found = pooled_means(means, variances, 40.0)
    tau2 = ((100 / 4 + 100 / 4) - 2) / (2 / 4)
    weight = tau2 / (tau2 + 4)
    assert found.value == pytest.approx([40 - 10 * weight, 40 + 10 * weight, 40.0])
    assert found.variance == pytest.approx([weight * 4, weight * 4, 0.0])
