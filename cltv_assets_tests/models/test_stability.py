"""The population stability index: by hand, and its chance level by simulation."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cltv_assets.models.measures import population_stability_index, stability_by_chance


def test_by_hand():
    # Shares 0.5, 0.5 and 0.6, 0.4: 0.1 ln 1.2 - 0.1 ln 0.8.
    assert population_stability_index([50, 50], [60, 40]) == pytest.approx(0.1 * math.log(1.5), rel=1e-12)
    assert population_stability_index([50, 50], [600, 400]) == pytest.approx(0.1 * math.log(1.5), rel=1e-12)
    assert population_stability_index([3, 4, 5], [30, 40, 50]) == pytest.approx(0.0, abs=1e-15)


def test_it_does_not_matter_which_month_comes_first():
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
