"""Predictions against each model's own definition: simulated customers, published distributions, closed forms."""

from __future__ import annotations

from dataclasses import dataclass

import mpmath
import numpy as np
import pytest

from cltv_assets.errors import ModelError
from cltv_assets.models.mixture import Component
from cltv_assets.models.pattern_predictions import (
    PatternPredictions,
    expected_total,
    predict_patterns,
    purchase_quantiles,
)
from cltv_assets.models.purchase.registry import PURCHASE_MODELS, at_least, model_named
from cltv_assets.models.sufficient_statistics import Patterns
from cltv_assets_tests.models.conftest import made_fit, simulate_pareto, simulate_purchases

BETA_GEOMETRIC = {"r": 0.6, "alpha": 5.0, "a": 0.8, "b": 2.5}
PARETO = {"r": 0.6, "alpha": 5.0, "s": 0.7, "beta": 20.0}
PARAMETERS = {
    "bg_nbd": BETA_GEOMETRIC,
    "mbg_nbd": BETA_GEOMETRIC,
    "pareto_nbd": PARETO,
    "nbd": {"r": 0.6, "alpha": 5.0},
}
AHEAD = 30.0


def held(found: PatternPredictions, outcome: np.ndarray) -> np.ndarray:
    """Return what outcomes, shape (n, H), count for in judging their intervals."""
    inside = ((outcome >= found.low) & (outcome <= found.high)).astype(float)
    return np.where(outcome == found.low, found.low_share, np.where(outcome == found.high, found.high_share, inside))


@dataclass(frozen=True)
class Cohort:
    """Simulated customers: what they did to T = 20 to 60, whether they still live, what they then did."""

    name: str
    patterns: Patterns
    p_alive: np.ndarray
    alive: np.ndarray
    future: np.ndarray


@pytest.fixture(scope="module", params=["bg_nbd", "mbg_nbd", "pareto_nbd"])
def cohort(request: pytest.FixtureRequest) -> Cohort:
    rng, name = np.random.default_rng(404), request.param
    size = 50_000 if name == "pareto_nbd" else 200_000
    rates = rng.gamma(0.6, 1 / 5.0, size)
    ages = rng.uniform(20.0, 60.0, size)
    if name == "pareto_nbd":
        x, t_x, lifetimes = simulate_pareto(rng, rates, rng.gamma(PARETO["s"], 1 / PARETO["beta"], size), ages)
        alive = lifetimes > ages
        future = rng.poisson(rates * np.clip(lifetimes - ages, 0.0, AHEAD))
    else:
        dropouts = rng.beta(BETA_GEOMETRIC["a"], BETA_GEOMETRIC["b"], size)
        # With MBG/NBD the first purchase, too, may be the last.
        stays = rng.random(size) >= dropouts if name == "mbg_nbd" else np.ones(size, dtype=bool)
        x, t_x = simulate_purchases(rng, rates, dropouts, ages, stays)
        # Bayes on having passed the last coin and been silent since; the process has no memory otherwise.
        silent = (1 - dropouts) * np.exp(-rates * (ages - t_x))
        chance = np.where((x == 0) & (name == "bg_nbd"), 1.0, silent / (silent + dropouts))
        alive = rng.random(size) < chance
        future, _ = simulate_purchases(rng, rates, dropouts, np.full(size, AHEAD), alive)
    patterns = Patterns(x, t_x, ages)
    return Cohort(name, patterns, model_named(name).p_alive(PARAMETERS[name], patterns), alive, future)


def test_p_alive_is_calibrated(cohort: Cohort) -> None:
    p = cohort.p_alive
    for low in np.arange(0.0, 1.0, 0.1):
        band = (p >= low) & (p < low + 0.1)
        deviation = np.sqrt((p[band] * (1 - p[band])).sum())
        assert abs(cohort.alive[band].sum() - p[band].sum()) <= 4 * deviation


def test_expected_purchases_are_unbiased(cohort: Cohort) -> None:
    model = model_named(cohort.name)
    expected = model.expected_purchases(PARAMETERS[cohort.name], cohort.patterns, np.array([AHEAD]))[:, 0]
    for least, most in ((0, 0), (1, 2), (3, 8), (9, 10_000)):
        group = (cohort.patterns.frequency >= least) & (cohort.patterns.frequency <= most)
        difference = cohort.future[group] - expected[group]
        assert abs(difference.mean()) < 4 * difference.std() / np.sqrt(group.sum())


def test_the_predictive_distribution_is_calibrated(cohort: Cohort) -> None:
    model, every = model_named(cohort.name), np.ones(len(cohort.future))
    for count in (1, 2, 4, 10, 25):
        given_alive = model.at_least_given_alive(
            PARAMETERS[cohort.name], cohort.patterns, AHEAD * every, float(count) * every
        )
        p = cohort.p_alive * given_alive
        for group in (cohort.patterns.frequency == 0, cohort.patterns.frequency > 0):
            deviation = np.sqrt((p * (1 - p))[group].sum())
            assert abs((cohort.future[group] >= count).sum() - p[group].sum()) < 4 * deviation


@pytest.mark.parametrize("cohort", ["bg_nbd"], indirect=True)
def test_the_interval_holds_eighty_percent(cohort: Cohort) -> None:
    future, patterns = cohort.future, cohort.patterns
    history = (patterns.frequency, patterns.recency, patterns.T)
    predicted = predict_patterns(made_fit(cohort.name, PARAMETERS[cohort.name]), *history, [AHEAD])
    low, high = predicted.low[:, 0], predicted.high[:, 0]
    error = 4 * np.sqrt(0.09 / len(future))
    # Counts are discrete: the tails hold a tenth at most, and not much less for heavy buyers.
    assert (future < low).mean() <= 0.1 + error
    assert (future > high).mean() <= 0.1 + error
    heavy = low >= 3
    assert heavy.sum() > 400
    assert 0.05 < (future < low)[heavy].mean() < 0.12
    assert 0.05 < (future > high)[heavy].mean() < 0.12


def test_the_tail_sums_the_published_distribution() -> None:
    """Equation 8 of Fader, Hardie and Lee, as printed, for a new customer within 30."""
    model, new = model_named("bg_nbd"), Patterns.newcomer()
    with mpmath.workdps(40):
        r, alpha, a, b, t = (mpmath.mpf(v) for v in (*BETA_GEOMETRIC.values(), 30.0))

        def counts(j: int) -> mpmath.mpf:
            front = mpmath.gamma(r + j) / mpmath.gamma(r) / mpmath.factorial(j)
            return front * (alpha / (alpha + t)) ** r * (t / (alpha + t)) ** j

        below = mpmath.mpf(0)
        for n in range(60):
            tail = at_least(model, BETA_GEOMETRIC, new, np.array([30.0]), np.array([float(n)]))[0] if n else 1.0
            assert tail == pytest.approx(float(1 - below), rel=1e-10)
            stays = mpmath.beta(a, b + n) / mpmath.beta(a, b) * counts(n)
            leaves = 1 - mpmath.fsum(counts(j) for j in range(n))
            below += stays + (mpmath.beta(a + 1, b + n - 1) / mpmath.beta(a, b) * leaves if n else 0)


@pytest.mark.parametrize("name", PURCHASE_MODELS)
def test_expectation_is_the_sum_of_tails(name: str) -> None:
    model, parameters, most = model_named(name), PARAMETERS[name], 1500
    for x, t_x, age in ((0, 0.0, 0.0), (4, 20.0, 26.0), (30, 24.0, 25.0)):
        same = Patterns(np.full(most, x), np.full(most, t_x), np.full(most, age))
        tails = at_least(model, parameters, same, np.full(most, 12.0), np.arange(1.0, most + 1)).sum()
        one = same.take(np.zeros(1, dtype=np.int64))
        assert model.expected_purchases(parameters, one, np.array([12.0]))[0, 0] == pytest.approx(tails, rel=1e-8)


@pytest.mark.parametrize("name", ["bg_nbd", "mbg_nbd", "pareto_nbd"])
def test_the_future_of_the_living_needs_no_recency(name: str) -> None:
    model, parameters = model_named(name), PARAMETERS[name]
    early = Patterns(np.array([3, 3]), np.array([4.0, 29.0]), np.array([30.0, 30.0]))
    given = model.at_least_given_alive(parameters, early, np.full(2, 9.0), np.ones(2))
    assert given[0] == given[1]
    ratio = model.expected_purchases(parameters, early, np.array([9.0]))[:, 0] / model.p_alive(parameters, early)
    assert ratio[0] == pytest.approx(ratio[1], rel=1e-12)


@pytest.mark.parametrize("s", [1.0, 1.0 + 1e-12, 1.0 - 1e-9, 0.5, 1e-9, 200.0])
def test_the_expected_time_alive(s: float) -> None:
    """The integral over u in (0, t) of (B/(B+u))^s, to which equation 22 reduces, also next to s = 1."""
    parameters = PARETO | {"s": s}
    customer = Patterns(np.array([7]), np.array([40.0]), np.array([40.0]))
    model = model_named("pareto_nbd")
    ours = model.expected_purchases(parameters, customer, np.array([365.0]))[0, 0]
    with mpmath.workdps(40):
        lifetime = mpmath.quad(lambda u: (60 / (60 + u)) ** mpmath.mpf(s), mpmath.linspace(0, 365, 9))
        expected = float(lifetime) * (0.6 + 7) / (5.0 + 40.0) * model.p_alive(parameters, customer)[0]
    assert ours == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("probability", [0.1, 0.5, 0.9])
def test_quantiles_are_the_smallest_counts_that_reach(probability: float) -> None:
    model = model_named("bg_nbd")
    patterns = Patterns(
        np.array([0, 1, 5, 5, 60, 300, 10_000]),
        np.array([0.0, 2.0, 9.0, 40.0, 44.0, 45.0, 7300.0]),
        np.array([0.0, 44.0, 44.0, 44.0, 44.0, 45.0, 7305.0]),
    )
    horizon = np.full(len(patterns), 52.0)
    found = purchase_quantiles([Component(1.0, model, BETA_GEOMETRIC)], patterns, np.array([52.0]), probability)[:, 0]
    above = at_least(model, BETA_GEOMETRIC, patterns, horizon, found + 1)
    assert (above <= 1 - probability).all()
    assert (found == np.floor(found)).all()
    more = found > 0
    at = at_least(model, BETA_GEOMETRIC, patterns.take(np.flatnonzero(more)), horizon[more], found[more])
    assert (at > 1 - probability).all()


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("bg_nbd", {"r": 0.25, "alpha": 30.0, "a": 0.02, "b": 40.0}),
        ("pareto_nbd", {"r": 0.25, "alpha": 30.0, "s": 0.5, "beta": 400.0}),
    ],
)
def test_quantiles_of_heavy_buyers_match_draws(name: str, parameters: dict[str, float]) -> None:
    rng = np.random.default_rng(7)
    x, age, ahead, draws = 5_000, 7_300.0, 365.0, 200_000
    rates = rng.gamma(parameters["r"] + x, 1 / (parameters["alpha"] + age), draws)
    if name == "bg_nbd":
        dropouts = rng.beta(parameters["a"], parameters["b"] + x, draws)
        # Buying ends with the horizon or with the first coin that falls: whichever count is smaller.
        counts = np.minimum(rng.poisson(rates * ahead), rng.geometric(np.maximum(dropouts, 1e-15)))
    else:
        lifetimes = rng.exponential(1 / rng.gamma(parameters["s"], 1 / (parameters["beta"] + age), draws))
        counts = rng.poisson(rates * np.minimum(lifetimes, ahead))
    predicted = predict_patterns(made_fit(name, parameters), [x], [age], [age], [ahead])
    assert abs(predicted.low[0, 0] - np.quantile(counts, 0.1)) <= 1
    assert abs(predicted.high[0, 0] - np.quantile(counts, 0.9)) <= 1
    assert predicted.expected_purchases[0, 0] == pytest.approx(counts.mean(), rel=1e-3)


@pytest.mark.parametrize(
    ("name", "dropout"), [("bg_nbd", {"a": 1e-6, "b": 1e4}), ("pareto_nbd", {"s": 1e-6, "beta": 1e6})]
)
def test_a_fit_without_dropout_predicts_like_the_null_model(name: str, dropout: dict[str, float]) -> None:
    rates = {"r": 0.8, "alpha": 70.0}
    history = ([0, 3, 40], [0.0, 90.0, 360.0], [0.0, 200.0, 365.0])
    fits = (made_fit(name, rates | dropout, status="boundary"), made_fit("nbd", rates))
    ours, theirs = (predict_patterns(fit, *history, [30.0, 365.0]) for fit in fits)
    assert ours.p_alive == pytest.approx(theirs.p_alive, abs=1e-6)
    assert ours.expected_purchases == pytest.approx(theirs.expected_purchases, rel=1e-6)
    assert (ours.low == theirs.low).all()
    assert (ours.high == theirs.high).all()


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("bg_nbd", (0.6, 5.0, 0.8, 2.5)),
        ("bg_nbd", (1e-6, 1e-8, 1e-6, 1e-6)),
        ("bg_nbd", (1e4, 1e8, 1e4, 1e4)),
        ("bg_nbd", (1e4, 1e-8, 1e-6, 1e4)),
        ("bg_nbd", (0.3, 30.0, 1e4, 1e-6)),
        ("mbg_nbd", (1e-6, 1e-8, 1e-6, 1e-6)),
        ("mbg_nbd", (1e4, 1e8, 1e4, 1e4)),
        ("mbg_nbd", (0.3, 30.0, 0.3, 0.4)),
        ("mbg_nbd", (0.3, 30.0, 1.0, 2.0)),
        ("pareto_nbd", (0.6, 5.0, 0.7, 20.0)),
        ("pareto_nbd", (1e-6, 1e-2, 1e-6, 1e-2)),
        ("pareto_nbd", (1e4, 1e8, 1e4, 1e8)),
        ("pareto_nbd", (0.3, 30.0, 1.0, 30.0)),
        ("pareto_nbd", (0.3, 1e-3, 0.5, 1e5)),
        ("pareto_nbd", (0.3, 1e5, 0.5, 1e-3)),
    ],
)
def test_nothing_is_ever_nan(name: str, values: tuple[float, ...]) -> None:
    x = [0, 0, 1, 2, 200, 10_000]
    t_x = [0.0, 0.0, 0.0, 7300.0, 200.0, 7305.0]
    age = [0.0, 7305.0, 0.0, 7300.0, 7305.0, 7305.0]
    parameters = dict(zip(model_named(name).parameter_names, values, strict=True))
    predicted = predict_patterns(made_fit(name, parameters), x, t_x, age, [1.0, 31.0, 365.0])
    for found in (predicted.p_alive, predicted.expected_purchases, predicted.low, predicted.high):
        assert np.isfinite(found).all()
        assert (found >= 0).all()
    assert (predicted.p_alive <= 1).all()
    assert (predicted.low <= predicted.high).all()
    assert (np.diff(predicted.expected_purchases, axis=1) >= -1e-9).all()


def test_no_patterns_give_no_predictions() -> None:
    predicted = predict_patterns(made_fit("bg_nbd", BETA_GEOMETRIC), [], [], [], [30.0, 60.0], [60.0])
    assert predicted.p_alive.shape == (0,)
    assert predicted.expected_purchases.shape == (0, 2)
    assert predicted.low.shape == predicted.high.shape == (0, 1)


@pytest.mark.parametrize("horizons", [[0.0], [-1.0], [np.nan], [np.inf], 3.0])
def test_horizons_must_be_times_ahead(horizons: object) -> None:
    with pytest.raises(ModelError, match="not positive times"):
        predict_patterns(made_fit("bg_nbd", BETA_GEOMETRIC), [1], [1.0], [2.0], horizons)


def test_a_model_not_fitted_predicts_nothing() -> None:
    nothing = made_fit("bg_nbd", dict.fromkeys(BETA_GEOMETRIC), status="not_fitted")
    with pytest.raises(ModelError, match="bg_nbd model was not fitted"):
        predict_patterns(nothing, [1], [1.0], [2.0], [3.0])


BASE = Patterns(np.array([0, 3, 250]), np.array([0.0, 80.0, 290.0]), np.array([40.0, 100.0, 300.0]))
CUSTOMERS = np.array([1000.0, 50.0, 2.0])


def test_a_total_without_dropout_is_negative_binomial() -> None:
    r, alpha, t = 0.4, 12.0, 30.0
    mean, deviation = expected_total(made_fit("nbd", {"r": r, "alpha": alpha}), BASE, CUSTOMERS, t)
    # Mean (r + x) t / (alpha + T); variance mean (1 + t / (alpha + T)).
    means = (r + BASE.frequency) * t / (alpha + BASE.T)
    assert mean == pytest.approx((CUSTOMERS * means).sum(), rel=1e-7)
    assert deviation == pytest.approx((CUSTOMERS * means * (1 + t / (alpha + BASE.T))).sum() ** 0.5, rel=1e-6)


def test_a_total_with_dropout_has_the_expectation_and_the_spread_of_a_simulation() -> None:
    parameters = {"r": 0.6, "alpha": 20.0, "a": 0.9, "b": 2.0}
    fit, model = made_fit("bg_nbd", parameters), model_named("bg_nbd")
    mean, _ = expected_total(fit, BASE, CUSTOMERS, 31.0)
    # Equation 10 of Fader, Hardie and Lee (2005), computed by another way than the tails.
    expected = model.expected_purchases(parameters, BASE, np.array([31.0]))[:, 0]
    assert mean == pytest.approx((CUSTOMERS * expected).sum(), rel=1e-6)
    pattern = Patterns(np.array([4]), np.array([45.0]), np.array([50.0]))
    _, deviation = expected_total(fit, pattern, np.array([1.0]), 30.0)
    rng, n = np.random.default_rng(8), 400_000
    # Given (x, t_x, T) and life the rate is Gamma(r + x, alpha + T), the dropout Beta(a, b + x).
    alive = rng.random(n) < model.p_alive(parameters, pattern)[0]
    rate, dropout = rng.gamma(0.6 + 4, 1 / (20.0 + 50.0), n), rng.beta(0.9, 2.0 + 4, n)
    made = np.minimum(rng.poisson(rate * 30.0), rng.geometric(dropout)) * alive
    assert deviation == pytest.approx(made.std(), rel=0.01)


def test_intervals_with_randomised_ends_hold_four_fifths_of_outcomes(cohort: Cohort) -> None:
    some = np.arange(20_000)
    patterns = cohort.patterns.take(some)
    fit = made_fit(cohort.name, PARAMETERS[cohort.name])
    found = predict_patterns(fit, patterns.frequency, patterns.recency, patterns.T, [AHEAD])
    outcome = cohort.future[some][:, None].astype(float)
    counted = held(found, outcome)
    assert counted.mean() == pytest.approx(0.8, abs=3.5 * counted.std() / np.sqrt(len(some)))
    # From count to count they hold more, and that by far.
    assert ((outcome >= found.low) & (outcome <= found.high)).mean() > 0.85


@pytest.mark.parametrize("name", sorted(PARAMETERS))
def test_outcomes_at_the_ends_count_so_that_80_percent_is_exact(name: str) -> None:
    histories = [(0, 0.0, 1.0), (0, 0.0, 60.0), (3, 9.0, 30.0), (25, 39.0, 40.0), (60, 5.0, 90.0)]
    counts = np.arange(1.0, 4_000.0)
    for x, t_x, T in histories:
        for horizon in (4.0, AHEAD):
            found = predict_patterns(made_fit(name, PARAMETERS[name]), [x], [t_x], [T], [horizon])
            same = Patterns(*(np.full(len(counts), each) for each in (x, t_x, T)))
            tails = model_named(name).at_least_given_alive(
                PARAMETERS[name], same, np.full(len(counts), horizon), counts
            )
            probability = -np.diff(np.concatenate(([1.0], found.p_alive * tails, [0.0])))
            counted = held(found, np.arange(len(probability), dtype=float)[:, None])
            assert probability @ counted[:, 0] == pytest.approx(0.8, abs=1e-7)
