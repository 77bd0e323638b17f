"""BG/CNBD-k and MBG/CNBD-k: at k = 1, against integrals over rates and dropout, and against simulated customers."""

from __future__ import annotations

from dataclasses import dataclass

import mpmath
import numpy as np
import pytest

from cltv_assets.models.estimation.fitting import fit_purchase_model
from cltv_assets.models.purchase.living import Living
from cltv_assets.models.purchase.registry import at_least, intervals_log_density, model_named
from cltv_assets.models.purchase.regular import BgCnbd, MbgCnbd
from cltv_assets.models.sufficient_statistics import Patterns, PurchaseStatistics
from cltv_assets_tests.models.conftest import one_each, regular_purchases

#: BTYDplus' own test of MBG/CNBD-k, in weeks, with k = 3.
BTYDPLUS = {"r": 0.85, "alpha": 1.45, "a": 0.79, "b": 2.42}
AHEAD = 32.0

PATTERNS = Patterns(
    np.array([0, 0, 1, 3, 7, 20, 60]),
    np.array([0.0, 0.0, 20.0, 60.0, 40.0, 88.0, 95.0]),
    np.array([0.0, 40.0, 50.0, 80.0, 90.0, 90.0, 95.0]),
)


def likelihood(model, patterns=PATTERNS):
    return model.likelihood(one_each(patterns.frequency, patterns.recency, patterns.T))


@pytest.mark.parametrize("family", [BgCnbd, MbgCnbd])
def test_with_one_step_the_models_are_those_of_purchases_by_chance(family):
    one, plain = family(1), model_named(family.family.replace("cnbd", "nbd"))
    at, horizons = np.log(list(BTYDPLUS.values())), np.array([4.0, 52.0])
    (value, gradient), (known, slopes) = likelihood(one)(at), likelihood(plain)(at)
    assert value == pytest.approx(known, rel=1e-14)
    np.testing.assert_allclose(gradient, slopes, rtol=1e-12)
    np.testing.assert_allclose(one.p_alive(BTYDPLUS, PATTERNS), plain.p_alive(BTYDPLUS, PATTERNS), rtol=1e-13)
    np.testing.assert_allclose(
        one.expected_purchases(BTYDPLUS, PATTERNS, horizons),
        plain.expected_purchases(BTYDPLUS, PATTERNS, horizons),
        rtol=1e-10,
    )
    ends, counts = np.full(7, 26.0), np.array([1.0, 2.0, 1.0, 3.0, 9.0, 1.0, 20.0])
    np.testing.assert_allclose(
        at_least(one, BTYDPLUS, PATTERNS, ends, counts), at_least(plain, BTYDPLUS, PATTERNS, ends, counts), rtol=1e-13
    )
    ages = np.array([3.0, 50.0])
    for found, expected in zip(one.log_at_least(at, ages, 2), plain.log_at_least(at, ages, 2), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-13)
    assert intervals_log_density(1, 9, 3.7) == 0.0


@pytest.mark.parametrize("name", ["bg_cnbd_3", "mbg_cnbd_3", "mbg_cnbd_12"])
@pytest.mark.parametrize("history", [(0, 0.0, 17.0), (2, 10.0, 17.0), (5, 16.0, 17.0)])
def test_a_history_is_as_likely_as_its_integral_says(name, history):
    """Erlang densities of the intervals, and no purchase since, averaged over lambda and p by quadrature."""
    model, (x, recency, T) = model_named(name), history
    k, gaps = model.k, ([] if x == 0 else [recency / x] * (x - 1) + [recency - recency / x * (x - 1)])
    r, alpha, a, b = (mpmath.mpf(value) for value in BTYDPLUS.values())
    occasions = x + int(model.first_purchase)

    def given_rate(silence):
        def density(rate):
            bought = mpmath.fprod(
                rate**k * mpmath.mpf(g) ** (k - 1) * mpmath.exp(-rate * g) / mpmath.factorial(k - 1) for g in gaps
            )
            prior = alpha**r * rate ** (r - 1) * mpmath.exp(-alpha * rate) / mpmath.gamma(r)
            return prior * bought * (mpmath.gammainc(k, rate * (T - recency), regularized=True) if silence else 1)

        return mpmath.quad(density, [0, 0.1, 0.5, 1, 2, 5, 10, 40])

    stays = mpmath.beta(a, b + occasions) / mpmath.beta(a, b)
    leaves = mpmath.beta(a + 1, b + occasions - 1) / mpmath.beta(a, b) if occasions else mpmath.mpf(0)
    alive, left = stays * given_rate(True), leaves * given_rate(False) if occasions else 0
    one = Patterns(np.array([x]), np.array([recency]), np.array([T]))
    value = likelihood(model, one)(np.log(list(BTYDPLUS.values())))[0]
    value += intervals_log_density(k, x, float(np.log(gaps).sum()))
    assert value == pytest.approx(float(mpmath.log(alive + left)), rel=1e-9)
    assert model.p_alive(BTYDPLUS, one)[0] == pytest.approx(float(alive / (alive + left)), rel=1e-9)


@pytest.mark.parametrize("name", ["bg_cnbd_2", "mbg_cnbd_4", "bg_cnbd_192", "mbg_cnbd_192"])
def test_the_gradient_is_that_of_the_likelihood(name):
    # With 192 steps powers underflow, and the sum runs downwards.
    parameters = [{"r": 0.85, "alpha": 1.45, "a": 0.79, "b": 2.42}, {"r": 400.0, "alpha": 9.0, "a": 0.05, "b": 8.0}]
    for at in (np.log(list(each.values())) for each in parameters):
        objective = likelihood(model_named(name))
        value, gradient = objective(at)
        steps = 1e-4 * np.eye(4)
        differences = [(objective(at + step)[0] - objective(at - step)[0]) / 2e-4 for step in steps]
        np.testing.assert_allclose(gradient, differences, rtol=1e-5, atol=1e-8 * abs(value))


@dataclass(frozen=True)
class Base:
    """Customers of BTYDplus' test: what they did in 36 to 96 weeks, whether they are alive, and the 32 weeks after."""

    statistics: PurchaseStatistics
    patterns: Patterns
    alive: np.ndarray
    future: np.ndarray


@pytest.fixture(scope="module")
def base() -> Base:
    rng, n = np.random.default_rng(2021), 8000
    rate, dropout = rng.gamma(0.85, 1 / 1.45, n), rng.beta(0.79, 2.42, n)
    T = rng.integers(36, 97, n).astype(np.float64)
    who, when, left = regular_purchases(rng, 3, rate, dropout, T + AHEAD, rng.random(n) >= dropout)
    known = when <= T[who]
    x = np.bincount(who[known], minlength=n)
    recency = np.zeros(n)
    np.maximum.at(recency, who[known], when[known])
    patterns = Patterns(x, recency, T)
    return Base(one_each(x, recency, T), patterns, left > T, np.bincount(who[~known], minlength=n))


def test_a_simulated_shop_gives_its_parameters_back(base):
    fit = fit_purchase_model(base.statistics, "mbg_cnbd_3")
    assert fit.status == "fitted"
    for name, true in BTYDPLUS.items():
        assert fit.parameters[name] == pytest.approx(true, rel=0.1)
        assert abs(fit.parameters[name] - true) < 3 * fit.standard_errors[name]
    parameters, model = fit.usable_parameters(), model_named("mbg_cnbd_3")
    expected = model.expected_purchases(parameters, base.patterns, np.array([AHEAD]))[:, 0]
    assert expected.sum() == pytest.approx(base.future.sum(), rel=0.05)
    assert model.p_alive(parameters, base.patterns).sum() == pytest.approx(base.alive.sum(), rel=0.05)
    chance = fit_purchase_model(base.statistics, "mbg_nbd").usable_parameters()
    wrong = model_named("mbg_nbd").p_alive(chance, base.patterns).sum()
    assert abs(wrong / base.alive.sum() - 1) > 0.1


def test_an_extract_of_repeat_customers_gives_them_back_too(base):
    fit = fit_purchase_model(base.statistics.of_at_least(1), "mbg_cnbd_3", least=1)
    assert fit.status == "fitted"
    for name, true in BTYDPLUS.items():
        assert abs(fit.parameters[name] - true) < 3 * fit.standard_errors[name]
    assert fit.parameters["r"] == pytest.approx(BTYDPLUS["r"], rel=0.2)


def test_predictions_are_calibrated_at_the_true_parameters(base):
    model, patterns = model_named("mbg_cnbd_3"), base.patterns
    p = model.p_alive(BTYDPLUS, patterns)
    expected = model.expected_purchases(BTYDPLUS, patterns, np.array([AHEAD]))[:, 0]
    ends = np.full(len(patterns), AHEAD)
    tails = {m: at_least(model, BTYDPLUS, patterns, ends, np.full(len(patterns), float(m))) for m in (1, 3, 8)}
    # By the share of a usual interval that has gone by: here the models of chance go wrong.
    gone = (patterns.T - patterns.recency) / np.maximum(patterns.recency, 1.0) * patterns.frequency
    for low, high in ((0.0, 0.01), (0.01, 0.5), (0.5, 1.0), (1.0, 2.0), (2.0, np.inf)):
        group = (gone >= low) & (gone < high)
        assert abs(base.alive[group].sum() - p[group].sum()) < 4 * np.sqrt((p * (1 - p))[group].sum())
        missed = base.future[group] - expected[group]
        assert abs(missed.mean()) < 4 * missed.std() / np.sqrt(group.sum())
        for m, tail in tails.items():
            deviation = np.sqrt((tail * (1 - tail))[group].sum())
            assert abs((base.future[group] >= m).sum() - tail[group].sum()) < 4 * deviation


@pytest.mark.parametrize("name", ["bg_cnbd_3", "mbg_cnbd_3", "mbg_cnbd_24", "mbg_cnbd_64"])
def test_the_expectation_is_the_sum_of_tails(name):
    model, counts = model_named(name), np.arange(1.0, 601.0)
    parameters = BTYDPLUS | {"alpha": BTYDPLUS["alpha"] * model.k / 3}
    found = model.expected_purchases(parameters, PATTERNS, np.array([2.0, 52.0]))
    for i, horizon in enumerate((2.0, 52.0)):
        for row in range(len(PATTERNS)):
            same = PATTERNS.take(np.full(600, row))
            tails = at_least(model, parameters, same, np.full(600, horizon), counts).sum()
            assert found[row, i] == pytest.approx(tails, rel=1e-8)


def test_few_states_stand_for_many_steps():
    """With 96 steps 24 states are told apart: against the sum over all of them."""
    model, parameters, k = model_named("mbg_cnbd_96"), {"r": 40.0, "alpha": 12.0, "a": 0.8, "b": 9.0}, 96
    patterns = Patterns(
        np.array([2, 8, 8, 20]), np.array([50.0, 210.0, 215.0, 560.0]), np.array([60.0, 222.0, 250.0, 575.0])
    )
    horizons = np.array([7.0, 30.0, 90.0, 365.0])
    found = Living.of(model, parameters, patterns)
    few = found.mean(model.expected_given_alive(parameters, found.states, horizons))
    assert found.index.shape == (4, 24)
    weights = model._steps_done(parameters, patterns, np.arange(k, dtype=np.float64))
    steps = (k * patterns.frequency)[:, None] + np.arange(k)
    states = Patterns.unchecked(steps.ravel(), np.zeros(4 * k), np.repeat(patterns.T, k))
    every = model.expected_given_alive(parameters, states, horizons).reshape(4, k, 4)
    exact = np.einsum("nj,njh->nh", weights, every)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)
    np.testing.assert_allclose(few, exact, atol=0.01, rtol=0.002)
