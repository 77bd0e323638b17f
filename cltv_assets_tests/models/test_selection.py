"""Scores of holdouts, their comparison, and the choice of a model."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import nbinom

from bench.published.figures import PUBLISHED
from cltv_assets.errors import ModelError
from cltv_assets.models.choosing import candidates
from cltv_assets.models.choosing import choice as choice_module
from cltv_assets.models.choosing.candidates import PREFERENCE, Contender
from cltv_assets.models.choosing.choice import Choice, choose_model
from cltv_assets.models.choosing.histories import Fold, Histories, OperationalTime, normalised
from cltv_assets.models.choosing.holdout_scores import (
    FoldScore,
    bias,
    difference,
    log_probabilities,
    mean_miss,
    score_fold,
)
from cltv_assets.models.estimation.fitting import fit_purchase_model
from cltv_assets.models.purchase.registry import model_named
from cltv_assets.models.sufficient_statistics import Patterns
from cltv_assets_tests.models.shops import CHRISTMAS, FLAT, Shop, simulate

PLAIN = OperationalTime(None, 1)
HISTORIES = Patterns(
    np.array([0, 0, 1, 2, 7, 26]),
    np.array([0.0, 0.0, 3.0, 30.43, 20.0, 30.857]),
    np.array([0.0, 39, 30, 38.86, 39, 31]),
)


@pytest.mark.parametrize("name", PREFERENCE)
def test_probabilities_of_all_outcomes_are_one_and_average_to_the_expectation(name):
    model, parameters, horizon = model_named(name), PUBLISHED[name], 13.0
    counts = np.arange(400)
    for row in range(len(HISTORIES)):
        same = HISTORIES.take(np.full(len(counts), row))
        chances = np.exp(log_probabilities(model, parameters, same, horizon, counts))
        expected = model.expected_purchases(parameters, HISTORIES.take(np.array([row])), np.array([horizon]))[0, 0]
        assert chances.sum() == pytest.approx(1.0, abs=1e-8)
        assert (counts * chances).sum() == pytest.approx(expected, rel=1e-5)


def test_the_null_models_probabilities_are_negative_binomial():
    bought, horizon = np.array([0, 3, 1, 0, 5, 20]), 13.0
    r, alpha = PUBLISHED["nbd"]["r"], PUBLISHED["nbd"]["alpha"]
    known = nbinom.logpmf(bought, r + HISTORIES.frequency, (alpha + HISTORIES.T) / (alpha + HISTORIES.T + horizon))
    found = log_probabilities(model_named("nbd"), PUBLISHED["nbd"], HISTORIES, horizon, bought)
    assert found == pytest.approx(known, rel=1e-6)


def test_an_outcome_beyond_belief_is_charged_a_bounded_price():
    found = log_probabilities(model_named("nbd"), PUBLISHED["nbd"], HISTORIES, 0.01, np.full(6, 90))
    assert np.isfinite(found).all()
    assert found.min() == pytest.approx(math.log(1e-12))


def fold(*values: float, weights: list[float] | None = None, predicted: float = 1.0, actual: float = 1.0) -> FoldScore:
    return FoldScore(np.array(values), np.array(weights or [1.0] * len(values)), predicted, actual)


def test_the_difference_of_two_is_paired_by_customer():
    # Gaps 1, 1 and 4: mean 2, variance 2, three customers.
    mean, error = difference([fold(-1, -1, -1)], [fold(-2, -2, -5)])
    assert (mean, error) == pytest.approx((2.0, math.sqrt(2.0 / 3.0)))
    grouped = difference([fold(-1, -1, weights=[2, 1])], [fold(-2, -5, weights=[2, 1])])
    assert grouped == pytest.approx((mean, error))


def test_what_befalls_all_customers_of_a_holdout_is_one_observation():
    better, other = [fold(*[0.0] * 1000), fold(*[0.0] * 1000)], [fold(*[-0.01] * 1000), fold(*[0.005] * 1000)]
    mean, error = difference(better, other)
    assert mean == pytest.approx(0.0025)
    # Two means 0.01 and -0.005: standard deviation 0.0106, over the root of two.
    assert error == pytest.approx(0.0075)
    assert difference(better, other, shocks=False) == pytest.approx((0.0025, 0.0))


def test_bias_is_of_the_sum_and_the_miss_of_each_holdout():
    scores = [fold(0.0, predicted=12.0, actual=10.0), fold(0.0, predicted=16.0, actual=20.0)]
    assert bias(scores) == pytest.approx(28 / 30 - 1)
    assert mean_miss(scores) == pytest.approx(0.2)
    assert bias([fold(0.0, predicted=1.0, actual=0.0)]) is None


def test_a_fold_is_scored_customer_by_customer():
    shop = simulate(4, 300, years=2.0, acquired=1.5)
    one = shop.fold("2002-03-31", "2002-06-30")
    fit = fit_purchase_model(one.histories.statistics(PLAIN), "nbd")
    score = score_fold("nbd", fit.usable_parameters(), PLAIN, one)
    r, alpha = (fit.parameters[name] for name in ("r", "alpha"))
    age = (np.datetime64("2002-03-31") - one.histories.first).astype(float)
    # April to June have 91 days.
    known = nbinom.logpmf(one.bought, r + one.histories.frequency, (alpha + age) / (alpha + age + 91))
    assert score.log_probabilities == pytest.approx(known, rel=1e-6)
    rate = (r + one.histories.frequency) / (alpha + age)
    assert score.predicted == pytest.approx((one.histories.weights * rate).sum() * 91)
    after = (shop.day > np.datetime64("2002-03-31")) & (shop.day <= np.datetime64("2002-06-30"))
    known_by_then = np.isin(shop.customer, shop.customer[shop.day <= np.datetime64("2002-03-31")])
    assert score.actual == (after & known_by_then).sum()


def choose(shop: Shop, end: str, wanted: str = "auto", seasonality: str = "none", folds: int = 3) -> Choice:
    return choose_model(shop.histories(end), shop.folds(end, number=folds), shop.counts(), wanted, seasonality)


def predicted(one: Contender, fold: Fold) -> FoldScore:
    return score_fold(one.name, one.fit.usable_parameters(), OperationalTime(one.index, 1), fold)


def rows(choice: Choice) -> set[tuple[str, bool]]:
    return {(one.name, one.index is not None) for one in (choice.chosen, *choice.others)}


ALL = {(name, False) for name in PREFERENCE}


@pytest.fixture(scope="module")
def usual() -> Shop:
    return simulate(21, 1500, years=2.0, acquired=1.7)


def test_customers_of_the_bg_nbd_are_predicted_by_it_and_the_null_model_is_far_behind(usual):
    choice = choose(usual, "2002-12-31")
    assert choice.chosen.name == "bg_nbd"
    assert rows(choice) == ALL
    null = next(one for one in choice.others if one.name == "nbd")
    assert null.standing.deficit > 5 * null.standing.deficit_se
    # Without dropout the null model promises far too much.
    assert null.standing.bias > 0.2 > abs(choice.chosen.standing.bias)
    assert {one.folds for one in (choice.chosen, *choice.others)} == {3}
    assert choice.chosen.weight + sum(one.weight for one in choice.others) == pytest.approx(1.0)
    assert choice.chosen.weight > 0.8
    assert null.weight < 0.1
    assert "by stacking on 3 holdouts inside the history (to 2002-06, 2002-09, 2002-12)" in choice.reason


@pytest.fixture(scope="module")
def fickle() -> Shop:
    return simulate(22, 6000, years=2.0, acquired=1.7, rates=(1.0, 20.0), dropout=(1.0, 1.2), after_first=True)


def test_customers_who_leave_after_the_first_purchase_are_not_left_to_the_default(fickle):
    choice = choose(fickle, "2002-12-31")
    assert choice.chosen.name in ("mbg_nbd", "pareto_nbd")
    default = next(one for one in choice.others if one.name == "bg_nbd")
    assert default.standing.deficit > 3 * default.standing.deficit_se
    assert default.weight < 0.15
    assert "by stacking" in choice.reason


def test_a_model_that_is_set_is_kept_and_still_compared(usual):
    choice = choose(usual, "2002-12-31", wanted="nbd")
    assert choice.chosen.name == "nbd"
    assert rows(choice) == ALL
    assert choice.reason.startswith("nbd is set by purchase_model; on 3 holdouts")
    assert [one.weight for one in (choice.chosen, *choice.others)] == [1.0, 0.0, 0.0, 0.0]


def test_one_holdout_is_too_few_to_leave_the_default(fickle):
    choice = choose(fickle, "2002-12-31", folds=1)
    assert choice.chosen.name == "bg_nbd"
    assert "one holdout is too few" in choice.reason


def test_a_short_history_gets_the_default_and_says_so(usual):
    choice = choose(usual, "2002-12-31", folds=0)
    assert choice.chosen.name == "bg_nbd"
    assert "too short to compare" in choice.reason
    assert choice.chosen.standing is None


def test_customers_who_never_stop_are_said_to_look_that_way():
    shop = simulate(25, 800, years=1.5, acquired=1.2, dropout=None)
    choice = choose(shop, "2002-03-31")
    assert choice.chosen.name == "bg_nbd"
    others = {one.name: one for one in choice.others}
    assert choice.chosen.fit.log_likelihood - others["nbd"].fit.log_likelihood < 0.5
    assert "no model found anybody who stopped buying" in choice.reason
    # What found no dropout is the null model, and Pareto/NBD would search without end for the same.
    assert choice.chosen.standing == others["nbd"].standing
    assert others["pareto_nbd"].fit.status == "not_fitted"
    assert "not tried" in others["pareto_nbd"].fit.status_reason


def test_a_candidate_whose_search_fails_does_not_fail_the_month(usual, monkeypatch):
    plain = candidates.fit_purchase_model

    def fails(statistics, name, **rest):
        if name == "bg_nbd":
            raise ModelError("The fit did not converge.", "Look again.")
        return plain(statistics, name, **rest)

    monkeypatch.setattr(candidates, "fit_purchase_model", fails)
    choice = choose(usual, "2002-12-31", folds=0)
    assert choice.chosen.name == "mbg_nbd"
    failed = next(one for one in choice.others if one.name == "bg_nbd")
    assert (failed.fit.status, failed.fit.status_reason) == ("not_fitted", "The fit did not converge.")
    assert failed.fit.customers == choice.chosen.fit.customers
    with pytest.raises(ModelError, match="did not converge"):
        choose(usual, "2002-12-31", wanted="bg_nbd", folds=0)


def repeaters_only(histories: Histories) -> Histories:
    again = histories.frequency > 0
    return Histories(
        histories.frequency[again],
        histories.first[again],
        histories.last[again],
        histories.weights[again],
        histories.end,
    )


def test_an_extract_of_repeat_customers_is_recognised_and_fitted_as_one(usual):
    everyone = usual.histories("2002-12-31")
    choice = choose_model(repeaters_only(everyone), usual.folds("2002-12-31"), usual.counts(), "auto", "auto")
    assert choice.chosen.fit.truncated
    assert all(one.fit.truncated for one in choice.others)
    assert "hold repeat customers only" in choice.reason
    # Without a look at how they were chosen r would be that of people who all come back.
    whole = choose_model(everyone, [], usual.counts(), "auto", "none").chosen.fit
    assert not whole.truncated
    naive = fit_purchase_model(repeaters_only(everyone).statistics(PLAIN), "bg_nbd").parameters["r"]
    known, found = whole.parameters["r"], choice.chosen.fit.parameters["r"]
    assert abs(math.log(found / known)) < 0.5 * abs(math.log(naive / known))


def test_customers_who_all_came_back_because_they_buy_often_are_no_extract():
    shop = simulate(24, 400, years=2.0, acquired=1.0, rates=(6.0, 60.0), dropout=(0.5, 20.0))
    histories = shop.histories("2002-12-31")
    assert (histories.frequency > 0).all()
    assert not choose_model(histories, [], shop.counts(), "auto", "none").chosen.fit.truncated


@pytest.fixture(scope="module")
def christmas() -> Shop:
    return simulate(31, 2500, CHRISTMAS, years=3.3, acquired=3.0)


def test_a_christmas_seen_twice_is_used_and_the_next_one_is_foreseen(christmas):
    """Stationary models promise a third too little before the season."""
    end = "2003-10-31"
    choice = choose(christmas, end, seasonality="auto")
    assert choice.chosen.index is not None
    assert rows(choice) == {*ALL, (choice.chosen.name, True), ("nbd", True)}
    assert "Monthly seasonality: on 3 holdouts it was better" in choice.reason
    coming = christmas.fold(end, "2003-12-31")
    seasonal = predicted(choice.chosen, coming)
    without = choose(christmas, end, seasonality="none")
    assert rows(without) == ALL
    stationary = predicted(without.chosen, coming)
    assert abs(seasonal.predicted / seasonal.actual - 1) < 0.08
    assert stationary.predicted / stationary.actual - 1 < -0.2
    gain, error = difference([seasonal], [stationary])
    assert gain > 2 * error


def test_models_that_predict_together_share_the_season(christmas, monkeypatch):
    weights = {"pareto_nbd": 0.5, "mbg_nbd": 0.3, "bg_nbd": 0.2}
    monkeypatch.setattr(choice_module, "weights_of", lambda *_: weights)
    choice = choose(christmas, "2003-10-31", seasonality="auto")
    assert (choice.chosen.name, choice.chosen.weight) == ("mbg_nbd", pytest.approx(0.6))
    assert {one.name: one.weight for one in choice.others if one.weight} == {"bg_nbd": pytest.approx(0.4)}
    on_the_clock = [one for one in (choice.chosen, *choice.others) if one.index is not None]
    assert {one.name for one in on_the_clock} == {"mbg_nbd", "bg_nbd", "nbd"}
    assert all((one.index == choice.chosen.index).all() for one in on_the_clock)
    assert "than the mixture" in choice.reason


def test_what_has_no_season_is_given_none():
    given = 0
    for seed in range(5):
        shop = simulate(400 + seed, 500, FLAT, years=2.5, acquired=2.2)
        choice = choose(shop, "2003-05-31", seasonality="auto")
        if choice.chosen.index is not None:
            given += 1
            after = shop.fold("2003-05-31", "2003-06-30")
            gain, error = difference([predicted(choice.chosen, after)], [predicted(choice.others[0], after)])
            assert gain > -3 * error
    assert given <= 1


TRENDS = {
    "growth": lambda index: simulate(51, 2000, index, years=3.0, acquired=3.0, growth=1.5),
    "decay": lambda index: simulate(52, 2000, index, years=3.0, acquired=3.0, growth=0.5),
    "old customers": lambda index: simulate(
        53, 3000, index, start="1999-01-01", years=4.0, acquired=4.0, rates=(0.8, 60.0), dropout=(0.5, 4.0)
    ).since("2001-01-01"),
}


@pytest.mark.parametrize("trend", list(TRENDS))
def test_a_trend_hides_no_season_and_is_none(trend):
    end = "2002-12-31" if trend == "old customers" else "2003-12-31"
    choice = choose(TRENDS[trend](CHRISTMAS), end, seasonality="auto")
    assert choice.chosen.index is not None, choice.reason
    assert choice.chosen.index == pytest.approx(normalised(CHRISTMAS), rel=0.15)
    assert choose(TRENDS[trend](FLAT), end, seasonality="auto").chosen.index is None


def test_a_season_is_forced_even_on_less_than_a_year_and_unseen_months_are_average(christmas):
    end = "2001-09-30"
    choice = choose(christmas, end, seasonality="monthly", folds=2)
    assert choice.chosen.index is not None
    assert choice.chosen.name != "pareto_nbd"
    # October to December were never seen, and December 2000 lies before the shop opened.
    assert np.ptp(choice.chosen.index[9:]) == pytest.approx(0.0, abs=1e-12)
    short = choose(christmas, end, seasonality="auto", folds=0)
    assert short.chosen.index is None
    assert "not seen every calendar month" in short.reason


def test_a_pareto_nbd_that_is_set_stays_on_the_calendar(christmas):
    choice = choose(christmas, "2001-12-31", wanted="pareto_nbd", seasonality="auto", folds=0)
    assert (choice.chosen.name, choice.chosen.index) == ("pareto_nbd", None)
    assert "drop out by the calendar" in choice.reason
