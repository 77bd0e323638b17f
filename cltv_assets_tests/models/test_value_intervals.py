"""The value's interval, against simulation from the definition, mpmath, and plain sums."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from scipy import integrate, optimize, stats

from cltv_assets.models.mixture import Component
from cltv_assets.models.purchase.registry import at_least, model_named
from cltv_assets.models.sufficient_statistics import Patterns
from cltv_assets.models.value.future_counts import AgeGrid, count_tails
from cltv_assets.models.value.value_intervals import bounded_moments, value_quantiles, value_tail
from cltv_assets_tests.models.conftest import future_values

#: CDNOW in days; spend as in Fader & Hardie (2013).
PURCHASE = {
    "bg_nbd": {"r": 0.25, "alpha": 33.5, "a": 0.72, "b": 2.16},
    "mbg_nbd": {"r": 0.525, "alpha": 43.3, "a": 0.891, "b": 1.614},
    "pareto_nbd": {"r": 0.553, "alpha": 74.0, "s": 0.606, "beta": 81.7},
    "nbd": {"r": 0.25, "alpha": 33.5},
    # Of BTYDplus' test, in days.
    "mbg_cnbd_3": {"r": 0.85, "alpha": 10.15, "a": 0.79, "b": 2.42},
}
SPEND = {"p": 6.25, "q": 3.74, "v": 15.44}
HORIZONS = np.array([91.0, 182.0, 365.0])


def quantiles(name, spend, x, recency, T, horizons=HORIZONS):
    model, parameters = model_named(name), PURCHASE[name]
    patterns = Patterns(np.asarray(x), np.asarray(recency, dtype=float), np.asarray(T, dtype=float))
    alive = model.p_alive(parameters, patterns)
    return alive, *value_quantiles([Component(1.0, model, parameters)], spend, patterns, horizons)


@pytest.mark.parametrize(
    "history", [(0, 0.0, 30.0, 0.0), (1, 20.0, 60.0, 12.0), (2, 210.0, 270.0, 80.0), (26, 216.0, 217.0, 30.0)]
)
def test_a_tenth_of_simulated_futures_lies_on_either_side(history):
    x, recency, T, m = history
    alive, low, high = quantiles("bg_nbd", SPEND, [x], [recency], [T])
    scale = SPEND["v"] + x * m
    rng = np.random.default_rng(3)
    draws = 200_000
    noise = 4.0 * math.sqrt(0.1 * 0.9 / draws)
    for i, horizon in enumerate(HORIZONS):
        _, value = future_values(rng, draws, PURCHASE["bg_nbd"], SPEND, history, alive[0], horizon)
        # At 0 lies an atom: more than a tenth may have bought nothing, or nearly all.
        assert (value < low[0, i] * scale).mean() <= 0.1 + noise
        assert (value <= low[0, i] * scale).mean() >= 0.1 - noise
        assert (value > high[0, i] * scale).mean() <= 0.1 + noise
        assert (value >= high[0, i] * scale).mean() >= 0.1 - noise
        if low[0, i] > 0:
            assert (value < low[0, i] * scale).mean() == pytest.approx(0.1, abs=noise)


@pytest.mark.parametrize("spend", [SPEND, {"p": 0.6, "q": 1.2, "v": 40.0}, {"p": 300.0, "q": 5.0, "v": 0.5}])
@pytest.mark.parametrize("name", PURCHASE)
def test_quantiles_are_those_of_the_plain_sum(name, spend):
    # No blocks, no nodes, no grid: every count and BetaPrime of scipy, for each customer by itself.
    rng = np.random.default_rng(8)
    n = 3_000
    x = np.concatenate((rng.geometric(0.3, n - 40) - 1, rng.integers(50, 450, 40)))
    T = np.maximum(rng.integers(0, 900, n), 2 * x).astype(float)
    recency = np.where(x > 0, np.maximum(np.floor(T * rng.beta(3, 1, n)), x), 0.0)
    _, low, high = quantiles(name, spend, x, recency, T)
    model, counts = model_named(name), np.arange(1, 1501)
    newest = np.argsort(T)[:6]
    for i in np.concatenate((rng.choice(n - 40, 12, replace=False), newest, np.arange(n - 40, n, 8))):
        for h, horizon in enumerate(HORIZONS):
            many = Patterns(np.full(1500, x[i]), np.full(1500, recency[i]), np.full(1500, T[i]))
            tails = at_least(model, PURCHASE[name], many, np.full(1500, horizon), counts.astype(float))
            chance = -np.diff(tails, append=0.0)
            likely = chance > 1e-10

            def exceed(z, likely=likely, chance=chance[likely], shape=spend["q"] + spend["p"] * x[i]):
                return float(chance @ stats.betaprime.sf(z, spend["p"] * counts[likely], shape))

            for found, level in ((low[i, h], 0.9), (high[i, h], 0.1)):
                if tails[0] <= level:
                    assert found == 0.0
                    continue
                # To 2e-3 of the value, or of the probability where hardly any lies between; three times that
                # where order values hardly vary, so that G is a staircase.
                slack = 1e-3 if spend["p"] < 100 else 3e-3
                assert exceed(found * (1 - 2e-3)) >= level - slack
                assert exceed(found * (1 + 2e-3)) <= level + slack


@pytest.mark.parametrize(("size", "shape"), [(0.6, 1.2), (6.25, 3.74), (900.0, 40.0), (3.0, 2500.0)])
def test_the_tail_of_betaprime_holds_against_mpmath(size, shape):
    log_z = np.linspace(-12.0, 12.0, 41)
    found = value_tail(np.array([[size]]), shape, log_z)[0]
    with mpmath.workdps(40):
        for z, tail in zip(np.exp(log_z), found, strict=True):
            exact = mpmath.betainc(size, shape, mpmath.mpf(z) / (1 + mpmath.mpf(z)), 1, regularized=True)
            assert tail == pytest.approx(float(exact), abs=3e-8)


def test_patterns_are_answered_in_their_own_order():
    x, recency, T = [3, 0, 1, 0, 3], [20.0, 0.0, 10.0, 0.0, 50.0], [40.0, 5.0, 40.0, 300.0, 60.0]
    together = quantiles("bg_nbd", SPEND, x, recency, T)
    for i in range(5):
        alone = quantiles("bg_nbd", SPEND, x[i : i + 1], recency[i : i + 1], T[i : i + 1])
        for one, all_of_them in zip(alone, together, strict=True):
            np.testing.assert_allclose(all_of_them[i], one[0], rtol=2e-3)


def test_nobody_gives_nothing():
    _, low, high = quantiles("bg_nbd", SPEND, np.zeros(0, dtype=int), [], [])
    assert low.shape == high.shape == (0, 3)


def test_values_at_many_ages_come_from_few():
    # A function that is singular at T = -alpha, as the models' are.
    T = np.arange(0.0, 2000.0)
    x, age = np.repeat([0, 4], 1000), np.concatenate((T[::2], T[1::2]))
    grid = AgeGrid.of(model_named("nbd"), {}, Patterns.unchecked(x, np.zeros(2000), age), 91.0)
    assert len(grid.states) == 32

    def future(frequency, age):
        return ((91.0 / (33.5 + age + 91.0)) ** (1.0 + frequency))[:, None]

    found = grid.interpolate(future(grid.states.frequency, grid.states.T))[grid.place, 0]
    expected = future(np.repeat([0, 4], 1000), np.concatenate((T[::2], T[1::2])))[:, 0]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_bounded_moments_are_those_of_bounded_values():
    # q = 1.5: the second moment itself is infinite.
    spend, parameters = {"p": 2.0, "q": 1.5, "v": 10.0}, PURCHASE["nbd"]
    tails = count_tails(model_named("nbd"), parameters, np.zeros(1), np.array([30.0]), HORIZONS, 2.0)
    first, second = bounded_moments(spend, 0, tails, 1e-3)
    counts = np.arange(1, 1001)
    for i, horizon in enumerate(HORIZONS):
        # Purchases of an NBD are negative binomial: scipy's, with values of scipy's BetaPrime.
        chance = stats.nbinom.pmf(counts, 0.25, 63.5 / (63.5 + horizon))

        def exceed(log_z, chance=chance):
            return float(chance @ stats.betaprime.sf(np.exp(log_z), 2.0 * counts, 1.5))

        bound = optimize.brentq(lambda log_z: exceed(log_z) - 1e-3, -5.0, 20.0)
        for power, found in ((1, first), (2, second)):
            expected, _ = integrate.quad(
                lambda log_z, k=power: k * np.exp(k * log_z) * exceed(log_z), -10.0, bound, limit=200
            )
            assert found[0, i] == pytest.approx(expected, rel=2e-3)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "spend",
    [
        {"p": 1e8, "q": 5.0, "v": 1e-6},
        {"p": 6.0, "q": 1e8, "v": 5e8},
        {"p": 1e7, "q": 1e7, "v": 30.0},
        {"p": 0.05, "q": 1.01, "v": 3.0},
    ],
)
@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("bg_nbd", {"r": 0.25, "alpha": 33.0, "a": 1e-6, "b": 1e6}),
        ("bg_nbd", {"r": 0.01, "alpha": 0.01, "a": 2.0, "b": 0.01}),
        ("nbd", {"r": 1e7, "alpha": 1e9}),
    ],
)
def test_parameters_that_ran_away_leave_numbers(name, parameters, spend):
    # Fits of status 'boundary' predict, too; and so do ten thousand purchases and a customer of today.
    x = np.array([0, 0, 1, 3, 50, 800, 10_000])
    T = np.array([0.0, 300.0, 20.0, 300.0, 300.0, 1000.0, 12000.0])
    patterns, model = Patterns(x, np.where(x > 0, T, 0.0), T), model_named(name)
    horizons = np.array([30.0, 1825.0])
    low, high = value_quantiles([Component(1.0, model, parameters)], spend, patterns, horizons)
    assert np.isfinite(high).all()
    assert (low <= high).all()
    assert (low >= 0).all()
    if name == "nbd":
        # Everyone buys every hundred units: over 1825 some 18 purchases of mean p / (q + p x - 1).
        mean = 18.25 * spend["p"] / (spend["q"] + spend["p"] * x[4:] - 1.0)
        assert (low[4:, 1] < mean).all()
        assert (mean < high[4:, 1]).all()
