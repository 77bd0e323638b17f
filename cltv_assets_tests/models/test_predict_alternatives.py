"""Predictions of MBG/NBD and Pareto/NBD against customers simulated by each model's definition."""

from __future__ import annotations

from dataclasses import dataclass

import mpmath
import numpy as np
import pytest

from cltv_assets.models.pattern_predictions import predict_patterns, purchase_quantiles
from cltv_assets.models.purchase.registry import at_least, model_named
from cltv_assets.models.sufficient_statistics import Patterns
from cltv_assets_tests.models.conftest import simulate_pareto, simulate_purchases
from cltv_assets_tests.models.test_predict import fit_of

MBG = {"r": 0.6, "alpha": 5.0, "a": 0.8, "b": 2.5}
PARETO = {"r": 0.6, "alpha": 5.0, "s": 0.7, "beta": 20.0}
PARAMETERS = {"mbg_nbd": MBG, "pareto_nbd": PARETO}
AHEAD, SIZE = 30.0, 150_000


@dataclass(frozen=True)
class Cohort:
    """Simulated customers: what they did, whether they still live, what they then did."""

    name: str
    patterns: Patterns
    alive: np.ndarray
    future: np.ndarray


@pytest.fixture(scope="module", params=["mbg_nbd", "pareto_nbd"])
def cohort(request: pytest.FixtureRequest) -> Cohort:
    rng = np.random.default_rng(404)
    rates = rng.gamma(0.6, 1 / 5.0, SIZE)
    ages = rng.uniform(20.0, 60.0, SIZE)
    if request.param == "pareto_nbd":
        x, t_x, lifetimes = simulate_pareto(rng, rates, rng.gamma(PARETO["s"], 1 / PARETO["beta"], SIZE), ages)
        remaining = np.clip(lifetimes - ages, 0.0, AHEAD)
        return Cohort(request.param, Patterns(x, t_x, ages), lifetimes > ages, rng.poisson(rates * remaining))
    dropouts = rng.beta(MBG["a"], MBG["b"], SIZE)
    # Whoever leaves after the first purchase never buys again.
    x, t_x = simulate_purchases(rng, np.where(rng.random(SIZE) < dropouts, 1e-12, rates), dropouts, ages)
    # Bayes on having passed the last coin and been silent since: every purchase was one.
    silent = (1 - dropouts) * np.exp(-rates * (ages - t_x))
    alive = rng.random(SIZE) < silent / (silent + dropouts)
    future = np.zeros(SIZE, dtype=np.int64)
    future[alive] = simulate_purchases(rng, rates[alive], dropouts[alive], np.full(int(alive.sum()), AHEAD))[0]
    return Cohort(request.param, Patterns(x, t_x, ages), alive, future)


def test_p_alive_is_calibrated(cohort: Cohort) -> None:
    p = model_named(cohort.name).p_alive(PARAMETERS[cohort.name], cohort.patterns)
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


@pytest.mark.parametrize("count", [1, 2, 4, 10, 25])
def test_the_predictive_distribution_is_calibrated(cohort: Cohort, count: int) -> None:
    every = np.ones(SIZE)
    p = at_least(
        model_named(cohort.name), PARAMETERS[cohort.name], cohort.patterns, AHEAD * every, float(count) * every
    )
    for group in (cohort.patterns.frequency == 0, cohort.patterns.frequency > 0):
        deviation = np.sqrt((p * (1 - p))[group].sum())
        assert abs((cohort.future[group] >= count).sum() - p[group].sum()) < 4 * deviation


@pytest.mark.parametrize("name", ["mbg_nbd", "pareto_nbd"])
def test_expectation_is_the_sum_of_tails(name: str) -> None:
    model, parameters = model_named(name), PARAMETERS[name]
    patterns = Patterns(np.array([0, 4, 30]), np.array([0.0, 20.0, 24.0]), np.array([0.0, 26.0, 25.0]))
    horizon = np.full(3, 12.0)
    tails = sum(at_least(model, parameters, patterns, horizon, np.full(3, float(m))) for m in range(1, 1500))
    assert model.expected_purchases(parameters, patterns, np.array([12.0]))[:, 0] == pytest.approx(tails, rel=1e-8)


@pytest.mark.parametrize("name", ["mbg_nbd", "pareto_nbd"])
def test_the_living_s_future_needs_no_recency(name: str) -> None:
    model, parameters = model_named(name), PARAMETERS[name]
    early = Patterns(np.array([3, 3]), np.array([4.0, 29.0]), np.array([30.0, 30.0]))
    given = model.at_least_given_alive(parameters, early, np.full(2, 9.0), np.ones(2))
    assert given[0] == given[1]
    ratio = model.expected_purchases(parameters, early, np.array([9.0]))[:, 0] / model.p_alive(parameters, early)
    assert ratio[0] == pytest.approx(ratio[1], rel=1e-12)


def test_customers_who_left_at_once() -> None:
    today = Patterns(np.zeros(1), np.zeros(1), np.zeros(1))
    assert model_named("mbg_nbd").p_alive(MBG, today)[0] == pytest.approx(2.5 / 3.3, rel=1e-12)
    assert model_named("bg_nbd").p_alive(MBG, today)[0] == 1.0
    assert model_named("pareto_nbd").p_alive(PARETO, today)[0] == pytest.approx(1.0, rel=1e-12)


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


def test_without_dropout_the_pareto_nbd_is_the_nbd() -> None:
    boundary = fit_of("pareto_nbd", {"r": 0.8, "alpha": 70.0, "s": 1e-6, "beta": 1e6}, status="boundary")
    null = fit_of("nbd", {"r": 0.8, "alpha": 70.0})
    history = ([0, 3, 40], [0.0, 90.0, 360.0], [0.0, 200.0, 365.0])
    ours, theirs = (predict_patterns(fit, *history, [30.0, 365.0]) for fit in (boundary, null))
    assert ours.p_alive == pytest.approx(theirs.p_alive, abs=1e-6)
    assert ours.expected_purchases == pytest.approx(theirs.expected_purchases, rel=1e-6)
    assert (ours.low == theirs.low).all()
    assert (ours.high == theirs.high).all()


def test_quantiles_of_heavy_pareto_buyers_match_draws() -> None:
    rng = np.random.default_rng(7)
    parameters = {"r": 0.25, "alpha": 30.0, "s": 0.5, "beta": 400.0}
    x, age, ahead, draws = 5_000, 7_300.0, 365.0, 400_000
    rates = rng.gamma(parameters["r"] + x, 1 / (parameters["alpha"] + age), draws)
    lifetimes = rng.exponential(1 / rng.gamma(parameters["s"], 1 / (parameters["beta"] + age), draws))
    counts = rng.poisson(rates * np.minimum(lifetimes, ahead))
    customer = Patterns(np.array([x]), np.array([age]), np.array([age]))
    for probability in (0.1, 0.5, 0.9):
        found = purchase_quantiles(model_named("pareto_nbd"), parameters, customer, np.array([ahead]), probability)
        assert abs(found[0, 0] - np.quantile(counts, probability)) <= 1


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("mbg_nbd", {"r": 1e-6, "alpha": 1e-8, "a": 1e-6, "b": 1e-6}),
        ("mbg_nbd", {"r": 1e4, "alpha": 1e8, "a": 1e4, "b": 1e4}),
        ("mbg_nbd", {"r": 0.3, "alpha": 30.0, "a": 0.3, "b": 0.4}),
        ("mbg_nbd", {"r": 0.3, "alpha": 30.0, "a": 1.0, "b": 2.0}),
        ("pareto_nbd", PARETO),
        ("pareto_nbd", {"r": 1e-6, "alpha": 1e-2, "s": 1e-6, "beta": 1e-2}),
        ("pareto_nbd", {"r": 1e4, "alpha": 1e8, "s": 1e4, "beta": 1e8}),
        ("pareto_nbd", {"r": 0.3, "alpha": 30.0, "s": 1.0, "beta": 30.0}),
        ("pareto_nbd", {"r": 0.3, "alpha": 1e-3, "s": 0.5, "beta": 1e5}),
        ("pareto_nbd", {"r": 0.3, "alpha": 1e5, "s": 0.5, "beta": 1e-3}),
    ],
)
def test_nothing_is_ever_nan(name: str, parameters: dict[str, float]) -> None:
    x = [0, 0, 1, 2, 200, 10_000]
    t_x = [0.0, 0.0, 0.0, 7300.0, 200.0, 7305.0]
    age = [0.0, 7305.0, 0.0, 7300.0, 7305.0, 7305.0]
    predicted = predict_patterns(fit_of(name, parameters), x, t_x, age, [1.0, 31.0, 365.0])
    for values in (predicted.p_alive, predicted.expected_purchases, predicted.low, predicted.high):
        assert np.isfinite(values).all()
        assert (values >= 0).all()
    assert (predicted.p_alive <= 1).all()
    assert (predicted.low <= predicted.high).all()
    assert (np.diff(predicted.expected_purchases, axis=1) >= -1e-9).all()
