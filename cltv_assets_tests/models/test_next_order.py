"""When customers buy next: against closed forms, simulated customers and every day of a mixture."""

from __future__ import annotations

import numpy as np
import pytest

from cltv_assets.models.mixture import Mixture
from cltv_assets.models.next_order import History, next_orders
from cltv_assets.models.purchase.registry import at_least, model_named
from cltv_assets.models.sufficient_statistics import Patterns
from cltv_assets_tests.models.conftest import made_fit, regular_purchases, simulate_pareto, simulate_purchases

CHANCE = {"r": 0.6, "alpha": 40.0, "a": 0.8, "b": 2.5}
PARAMETERS = {
    "bg_nbd": CHANCE,
    "mbg_nbd": CHANCE,
    "nbd": {"r": 0.6, "alpha": 40.0},
    "pareto_nbd": {"r": 0.6, "alpha": 40.0, "s": 0.7, "beta": 200.0},
    "mbg_cnbd_3": {"r": 0.9, "alpha": 20.0, "a": 0.8, "b": 2.5},
}
PATTERNS = Patterns(
    np.array([0, 1, 4, 12]), np.array([0.0, 21.0, 210.0, 140.0]), np.array([210.0, 270.0, 270.0, 270.0])
)
DAYS = np.arange(1, 1097).astype(np.float64)


def alone(name: str, patterns: Patterns) -> History:
    return History(Mixture.of(made_fit(name, PARAMETERS[name])), patterns, np.ones(len(patterns)))


@pytest.mark.parametrize("name", ["bg_nbd", "mbg_nbd", "nbd"])
def test_customers_of_chance_wait_as_the_closed_form_says(name):
    """A living customer's rate is Gamma(r + x, alpha + T), so the wait is Lomax: its median is known."""
    found = next_orders([alone(name, PATTERNS)], DAYS, (30, 90))
    shape, scale = 0.6 + PATTERNS.frequency, 40.0 + PATTERNS.T
    alive = model_named(name).p_alive(PARAMETERS[name], PATTERNS)
    assert found.p_alive == pytest.approx(alive, rel=1e-12)
    for at, days in enumerate((30, 90)):
        assert found.within[:, at] == pytest.approx(alive * (1 - (scale / (scale + days)) ** shape), rel=1e-9)
    median = scale * (2 ** (1 / shape) - 1)
    assert found.median_day.tolist() == np.ceil(median).astype(int).tolist()
    # Whoever bought only once comes late: with half of three years' days it is not known when.
    assert next_orders([alone(name, PATTERNS)], DAYS[:300], (30,)).median_day.tolist()[0] == -1


def waits(name: str, rng: np.random.Generator, n: int) -> tuple[Patterns, np.ndarray, np.ndarray]:
    """Return simulated customers, whether they are alive, and how long they wait for the next order."""
    of = PARAMETERS[name]
    rates, ages = rng.gamma(of["r"], 1 / of["alpha"], n), rng.uniform(100.0, 400.0, n)
    if name == "pareto_nbd":
        x, t_x, lifetimes = simulate_pareto(rng, rates, rng.gamma(of["s"], 1 / of["beta"], n), ages)
        wait = rng.exponential(1 / rates)
        wait[ages + wait > lifetimes] = np.inf
        return Patterns(x, t_x, ages), lifetimes > ages, wait
    dropouts = rng.beta(of["a"], of["b"], n)
    stays = rng.random(n) >= dropouts
    if name == "mbg_cnbd_3":
        who, when, left = regular_purchases(rng, 3, rates, dropouts, np.full(n, 1500.0), stays)
        seen = when <= ages[who]
        t_x, wait = np.zeros(n), np.full(n, np.inf)
        np.maximum.at(t_x, who[seen], when[seen])
        np.minimum.at(wait, who[~seen], (when - ages[who])[~seen])
        return Patterns(np.bincount(who[seen], minlength=n), t_x, ages), left > ages, wait
    x, t_x = simulate_purchases(rng, rates, dropouts, ages, stays)
    # Bayes on having passed the last coin and been silent since; the process has no memory otherwise.
    silent = (1 - dropouts) * np.exp(-rates * (ages - t_x))
    alive = rng.random(n) < silent / (silent + dropouts)
    return Patterns(x, t_x, ages), alive, np.where(alive, rng.exponential(1 / rates), np.inf)


@pytest.mark.parametrize("name", ["mbg_nbd", "pareto_nbd", "mbg_cnbd_3"])
def test_simulated_customers_order_when_they_are_expected_to(name):
    patterns, alive, wait = waits(name, np.random.default_rng(77), 40_000)
    found = next_orders([alone(name, patterns)], DAYS, (30, 90))
    groups = [patterns.frequency == 0, patterns.frequency == 1, patterns.frequency >= 2]
    groups += [(patterns.T - patterns.recency > 60) & (patterns.frequency >= 2)]
    for group in groups:
        for at, days in enumerate((30, 90)):
            p = found.within[group, at]
            assert abs((wait[group] <= days).sum() - p.sum()) <= 4 * np.sqrt((p * (1 - p)).sum())
    # Of the living, half have ordered by their median day; days are whole, so a few more.
    known = alive & (found.median_day > 20)
    assert known.sum() > 3_000
    ordered = (wait <= found.median_day)[known].mean()
    assert ordered == pytest.approx(0.5, abs=0.012 + 3 / np.sqrt(4 * known.sum()))
    assert (wait <= found.median_day - 1)[known].mean() < ordered
    assert (found.within[:, 0] <= found.within[:, 1]).all()
    assert (found.within[:, 1] <= found.p_alive).all()


def test_models_and_readings_together_are_the_weighted_sum_on_every_day():
    """The median is that of the mixture, found by looking at every day."""
    names, weights = ("mbg_nbd", "pareto_nbd", "mbg_cnbd_3"), (0.5, 0.3, 0.2)
    mixture = Mixture([made_fit(name, PARAMETERS[name]) for name in names], weights)
    older = Patterns(PATTERNS.frequency + 1, PATTERNS.recency + 90.0, PATTERNS.T + 90.0)
    shares = np.array([0.9, 0.6, 0.5, 0.2])
    ways = [
        History(mixture, PATTERNS, shares),
        History(Mixture.of(made_fit("mbg_nbd", {**CHANCE, "r": 1.5})), older, 1.0 - shares),
    ]
    found = next_orders(ways, DAYS, (30, 90))
    everyday = np.zeros((4, len(DAYS)))
    alive = np.zeros(4)
    for row in range(4):
        for name, parameters, weight, patterns, share in [
            *((name, PARAMETERS[name], w, PATTERNS, shares[row]) for name, w in zip(names, weights, strict=True)),
            ("mbg_nbd", {**CHANCE, "r": 1.5}, 1.0, older, 1.0 - shares[row]),
        ]:
            one = patterns.take(np.full(len(DAYS), row))
            model = model_named(name)
            everyday[row] += weight * share * at_least(model, parameters, one, DAYS, np.ones(len(DAYS)))
            alive[row] += weight * share * model.p_alive(parameters, one)[0]
    assert found.p_alive == pytest.approx(alive, rel=1e-12)
    assert found.within == pytest.approx(everyday[:, [29, 89]], rel=1e-10)
    wanted = [
        int(np.argmax(p >= a / 2)) + 1 if (p >= a / 2).any() else -1 for p, a in zip(everyday, alive, strict=True)
    ]
    assert found.median_day.tolist() == wanted
    # Their medians differ, and are not the mean of the models' own.
    assert len(set(wanted)) == 4


def test_time_runs_by_the_clock_and_not_by_days():
    """In a season of twice as many purchases, everything comes in half the days."""
    plain, twice = (next_orders([alone("mbg_nbd", PATTERNS)], DAYS * speed, (30, 60)) for speed in (1, 2))
    assert twice.within[:, 0] == pytest.approx(plain.within[:, 1], rel=1e-12)
    assert twice.median_day[1:].tolist() == [-(-day // 2) for day in plain.median_day[1:]]


def test_many_patterns_are_what_they_are_alone(monkeypatch):
    monkeypatch.setattr("cltv_assets.models.next_order._BLOCK", 3)
    blocks = next_orders([alone("mbg_cnbd_3", PATTERNS)], DAYS, (30,))
    for row in range(4):
        one = next_orders([alone("mbg_cnbd_3", PATTERNS.take(np.array([row])))], DAYS, (30,))
        assert (blocks.median_day[row], blocks.within[row, 0]) == (one.median_day[0], one.within[0, 0])
    nobody = next_orders([alone("mbg_nbd", PATTERNS.take(np.zeros(0, dtype=np.int64)))], DAYS, (30, 90))
    assert nobody.within.shape == (0, 2)
