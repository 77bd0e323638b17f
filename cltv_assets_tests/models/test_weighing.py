"""Weights of models by stacking: what maximises the log score of the mixture, month by month."""

from __future__ import annotations

import numpy as np
import pytest

from cltv_assets.models.choosing.histories import Fold, Histories, OperationalTime
from cltv_assets.models.choosing.holdout_scores import FoldScore, difference, score_fold
from cltv_assets.models.choosing.weighing import apart, mixed_scores, stacked, weights_of
from cltv_assets.models.estimation.fitting import fit_purchase_model
from cltv_assets_tests.models.shops import simulate

END = np.datetime64("2002-12-31")


def score(chances, weights=None) -> FoldScore:
    chances = np.asarray(chances, dtype=float)
    return FoldScore(np.log(chances), np.ones(len(chances)) if weights is None else np.asarray(weights), 2.0, 4.0)


def test_weights_are_those_that_make_the_outcomes_likeliest():
    # Three of five customers are foreseen by one model, two by the other: 3 ln(.9 w + .1 (1 - w)) +
    # 2 ln(.2 w + .8 (1 - w)) is largest where 2.4 / (.1 + .8 w) = 1.2 / (.8 - .6 w).
    one, other = score([0.9, 0.2], [3.0, 2.0]), score([0.1, 0.8], [3.0, 2.0])
    found = stacked({"one": [one], "other": [other]})
    w = (2.4 * 0.8 - 1.2 * 0.1) / (1.2 * 0.8 + 2.4 * 0.6)
    assert found == pytest.approx({"one": w, "other": 1.0 - w}, abs=1e-5)


def test_a_model_that_is_worse_for_everybody_gets_nothing():
    found = stacked({"one": [score([0.5, 0.5])], "other": [score([0.49, 0.4])], "third": [score([0.1, 0.5])]})
    assert found == pytest.approx({"one": 1.0, "other": 0.0, "third": 0.0}, abs=1e-6)


def test_small_differences_of_many_customers_are_told_apart():
    rng = np.random.default_rng(5)
    base = rng.uniform(0.2, 0.9, 5000)
    tilt = rng.normal(0.0, 0.03, 5000)
    scores = {"one": [score(base * np.exp(tilt))], "other": [score(base * np.exp(-tilt + 0.0004))]}
    found = stacked(scores)
    grid = np.linspace(0.0, 1.0, 2001)
    gains = [np.log(w * np.exp(tilt) + (1.0 - w) * np.exp(-tilt + 0.0004)).sum() for w in grid]
    assert found["one"] == pytest.approx(grid[int(np.argmax(gains))], abs=2e-3)


def three_months(last: np.datetime64) -> Fold:
    origin, until = (np.datetime64(month.astype("datetime64[D]") - 1) for month in (last - 2, last + 1))
    one = np.array([origin])
    return Fold(Histories(np.zeros(1, dtype=np.int64), one, one, np.ones(1), origin), np.ones(1, dtype=np.int64), until)


#: A month apart, the newest first.
FOLDS = [three_months(np.datetime64("2002-12", "M") - ago) for ago in range(9)]


def test_holdouts_that_do_not_overlap_are_found_from_the_newest_on():
    assert apart(FOLDS) == [0, 3, 6]
    assert apart(FOLDS[1:3]) == [0]


def test_weights_are_the_mean_of_three_months():
    """The two newest holdouts favour one model, all others another: each month looks at seven of the nine."""
    good, bad = score([0.8] * 10), score([0.1] * 10)
    scores = {"bg_nbd": [good] * 2 + [bad] * 7, "mbg_nbd": [bad] * 2 + [good] * 7}
    grid = np.linspace(0.0, 1.0, 20_001)

    def best(favouring: int) -> float:
        gains = favouring * np.log(0.8 * grid + 0.1 * (1 - grid)) + (7 - favouring) * np.log(
            0.1 * grid + 0.8 * (1 - grid)
        )
        return float(grid[np.argmax(gains)])

    found = weights_of(scores, FOLDS, END, "bg_nbd")
    mean = (best(2) + best(1) + best(0)) / 3.0
    assert found == pytest.approx({"mbg_nbd": 1.0 - mean, "bg_nbd": mean}, abs=1e-3)
    assert list(found) == ["mbg_nbd", "bg_nbd"]


def test_months_with_too_few_holdouts_count_as_the_default():
    scores = {"bg_nbd": [score([0.1] * 10)] * 4, "mbg_nbd": [score([0.8] * 10)] * 4}
    # Two months ago the holdouts at hand overlapped, a month ago too.
    assert weights_of(scores, FOLDS[:4], END, "bg_nbd") == pytest.approx({"bg_nbd": 2 / 3, "mbg_nbd": 1 / 3}, abs=1e-5)
    assert weights_of({name: each[:3] for name, each in scores.items()}, FOLDS[:3], END, "bg_nbd") == {"bg_nbd": 1.0}


def test_models_that_predict_the_same_count_once_and_small_weights_not_at_all():
    same = [score([0.5] * 10)] * 9
    assert weights_of({"bg_nbd": same, "nbd": same}, FOLDS, END, "bg_nbd") == {"bg_nbd": 1.0}
    mostly = [score([0.8] * 99 + [0.4])] * 9
    seldom = [score([0.3] * 99 + [0.85])] * 9
    assert weights_of({"bg_nbd": mostly, "nbd": seldom}, FOLDS, END, "bg_nbd") == {"bg_nbd": 1.0}


def test_the_score_of_a_mixture_is_that_of_its_mixed_probabilities():
    one, other = score([0.9, 0.2]), score([0.1, 0.8])
    (found,) = mixed_scores({"one": [one], "other": [other]}, {"other": 0.25, "one": 0.75})
    assert np.exp(found.log_probabilities) == pytest.approx([0.7, 0.35])
    assert (found.predicted, found.actual) == pytest.approx((2.0, 4.0))


def test_merged_histories_compare_models_as_all_of_them_do():
    shop = simulate(11, 30_000, years=2.0, acquired=1.7)
    whole = shop.fold("2002-09-30", "2002-12-31")
    merged = whole.coarsened()
    assert len(merged.bought) < len(whole.bought) / 1.5
    assert merged.actual == whole.actual
    assert merged.histories.weights.sum() == whole.histories.weights.sum()
    assert (merged.histories.last <= merged.histories.end).all()
    plain = OperationalTime(None, 1)
    known = whole.histories.statistics(plain)
    fits = {name: fit_purchase_model(known, name).usable_parameters() for name in ("bg_nbd", "mbg_nbd", "nbd")}
    scores = {
        name: [score_fold(name, parameters, plain, each) for each in (whole, merged)]
        for name, parameters in fits.items()
    }
    for name in ("mbg_nbd", "nbd"):
        exact, near = (difference([scores["bg_nbd"][k]], [scores[name][k]]) for k in (0, 1))
        assert near[0] == pytest.approx(exact[0], abs=exact[1] / 4)
