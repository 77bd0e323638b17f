"""Likelihoods and their gradients against textbook formulas evaluated by mpmath."""

from __future__ import annotations

from collections.abc import Callable

import mpmath
import numpy as np
import pytest

from cltv_assets.models.gamma_gamma import GammaGammaLikelihood
from cltv_assets.models.purchase.beta_geometric import BgNbd, MbgNbd
from cltv_assets.models.purchase.nbd import NbdLikelihood
from cltv_assets.models.purchase.pareto_nbd import ParetoNbd
from cltv_assets.models.purchase.registry import PURCHASE_MODELS
from cltv_assets.models.sufficient_statistics import Patterns, PurchaseStatistics, SpendStatistics

#: x, t_x, T: newcomers of today, usual customers, one who bought on the last day, a heavy
#: buyer silent for long, 20 years of days.
PATTERNS = [
    (0, 0.0, 0.0),
    (0, 0.0, 270.0),
    (2, 213.0, 272.0),
    (1, 30.0, 30.0),
    (200, 38.0, 400.0),
    (10_000, 7200.0, 7305.0),
]
WEIGHTS = [3.0, 5.0, 2.0, 1.0, 1.0, 2.0]
USUAL = (0.25, 33.5, 0.72, 2.16)
BOUNDARY = (0.8, 70.0, 1e-5, 1e4)

PURCHASES = PurchaseStatistics(
    np.array([p[0] for p in PATTERNS]),
    np.array([p[1] for p in PATTERNS]),
    np.array([p[2] for p in PATTERNS]),
    np.array(WEIGHTS),
)
SPENDS = [(1, 9.99, 4.0), (3, 41.5, 1.0), (250, 12_000.0, 2.0)]
SPEND = SpendStatistics(*(np.array([s[k] for s in SPENDS]) for k in range(3)))

Textbook = Callable[..., mpmath.mpf]


def bg_nbd(r: mpmath.mpf, alpha: mpmath.mpf, a: mpmath.mpf, b: mpmath.mpf) -> mpmath.mpf:
    """Equation 6 of Fader, Hardie and Lee (2005), as printed, summed over the patterns."""
    total = mpmath.mpf(0)
    for (x, t_x, age), weight in zip(PATTERNS, WEIGHTS, strict=True):
        alive = mpmath.beta(a, b + x) / mpmath.beta(a, b) * (alpha + age) ** (-r - x)
        dropped = mpmath.beta(a + 1, b + x - 1) / mpmath.beta(a, b) * (alpha + t_x) ** (-r - x) if x else 0
        total += weight * mpmath.log(mpmath.gamma(r + x) / mpmath.gamma(r) * alpha**r * (alive + dropped))
    return total


def mbg_nbd(r: mpmath.mpf, alpha: mpmath.mpf, a: mpmath.mpf, b: mpmath.mpf) -> mpmath.mpf:
    """The likelihood of Batislam, Denizel and Filiztekin (2007): one coin more than purchases repeated."""
    total = mpmath.mpf(0)
    for (x, t_x, age), weight in zip(PATTERNS, WEIGHTS, strict=True):
        alive = mpmath.beta(a, b + x + 1) / mpmath.beta(a, b) * (alpha + age) ** (-r - x)
        dropped = mpmath.beta(a + 1, b + x) / mpmath.beta(a, b) * (alpha + t_x) ** (-r - x)
        total += weight * mpmath.log(mpmath.gamma(r + x) / mpmath.gamma(r) * alpha**r * (alive + dropped))
    return total


def pareto_one(
    x: int, t_x: float, age: float, r: mpmath.mpf, alpha: mpmath.mpf, s: mpmath.mpf, beta: mpmath.mpf
) -> tuple[mpmath.mpf, mpmath.mpf]:
    """Alive at T, and either: the likelihood with 2F1 of Fader and Hardie (2005), its two cases as printed."""
    k = r + s + x
    large, small, second = (alpha, beta, s + 1) if alpha >= beta else (beta, alpha, r + x)

    def term(u: float) -> mpmath.mpf:
        return mpmath.hyp2f1(k, second, k + 1, (large - small) / (large + u)) / (large + u) ** k

    alive = (alpha + age) ** (-r - x) * (beta + age) ** -s
    front = mpmath.gamma(r + x) / mpmath.gamma(r) * alpha**r * beta**s
    return front * alive, front * (alive + s / k * (term(t_x) - term(age)))


def pareto_nbd(r: mpmath.mpf, alpha: mpmath.mpf, s: mpmath.mpf, beta: mpmath.mpf) -> mpmath.mpf:
    total = mpmath.mpf(0)
    for (x, t_x, age), weight in zip(PATTERNS, WEIGHTS, strict=True):
        total += weight * mpmath.log(pareto_one(x, t_x, age, r, alpha, s, beta)[1])
    return total


def nbd(r: mpmath.mpf, alpha: mpmath.mpf) -> mpmath.mpf:
    total = mpmath.mpf(0)
    for (x, _, age), weight in zip(PATTERNS, WEIGHTS, strict=True):
        likelihood = mpmath.gamma(r + x) / mpmath.gamma(r) * alpha**r * (alpha + age) ** (-r - x)
        total += weight * mpmath.log(likelihood)
    return total


def gamma_gamma(p: mpmath.mpf, q: mpmath.mpf, v: mpmath.mpf) -> mpmath.mpf:
    """Equation 1a of Fader and Hardie (2013), as printed."""
    total = mpmath.mpf(0)
    for x, m, weight in SPENDS:
        x, m = mpmath.mpf(x), mpmath.mpf(m)
        front = mpmath.gamma(p * x + q) / mpmath.gamma(p * x) / mpmath.gamma(q)
        density = front * v**q * m ** (p * x - 1) * x ** (p * x) / (v + m * x) ** (p * x + q)
        total += weight * mpmath.log(density)
    return total


@pytest.mark.parametrize(
    ("ours", "textbook", "parameters"),
    [
        (BgNbd().likelihood(PURCHASES), bg_nbd, USUAL),
        (BgNbd().likelihood(PURCHASES), bg_nbd, BOUNDARY),
        (BgNbd().likelihood(PURCHASES), bg_nbd, (0.3, 20.0, 1.0, 2.0)),
        (BgNbd().likelihood(PURCHASES), bg_nbd, (0.11, 2.24, 0.31, 0.5)),
        (MbgNbd().likelihood(PURCHASES), mbg_nbd, USUAL),
        (MbgNbd().likelihood(PURCHASES), mbg_nbd, BOUNDARY),
        (MbgNbd().likelihood(PURCHASES), mbg_nbd, (0.11, 2.24, 0.31, 0.5)),
        (ParetoNbd().likelihood(PURCHASES), pareto_nbd, (0.55, 74.0, 0.61, 82.0)),
        (ParetoNbd().likelihood(PURCHASES), pareto_nbd, (0.55, 74.0, 0.61, 74.0)),
        (ParetoNbd().likelihood(PURCHASES), pareto_nbd, (0.55, 5000.0, 0.61, 3.0)),
        (ParetoNbd().likelihood(PURCHASES), pareto_nbd, (0.55, 20.0, 0.61, 300.0)),
        (ParetoNbd().likelihood(PURCHASES), pareto_nbd, (1e-3, 20.0, 1e-3, 30.0)),
        (ParetoNbd().likelihood(PURCHASES), pareto_nbd, (30.0, 900.0, 1.0, 300.0)),
        (NbdLikelihood(PURCHASES), nbd, USUAL[:2]),
        (NbdLikelihood(PURCHASES), nbd, (1e4, 1e7)),
        (GammaGammaLikelihood(SPEND), gamma_gamma, (6.25, 3.74, 15.44)),
        (GammaGammaLikelihood(SPEND), gamma_gamma, (900.0, 50.0, 2.0)),
    ],
)
def test_value_and_gradient(
    ours: Callable[[np.ndarray], tuple[float, np.ndarray]], textbook: Textbook, parameters: tuple[float, ...]
) -> None:
    logs = np.log(parameters)
    value, gradient = ours(logs)
    # For x = 10,000 and alpha below beta the difference of two 2F1 loses more than 50 digits.
    with mpmath.workdps(150 if textbook is pareto_nbd and 10 * parameters[1] < parameters[3] else 50):

        def of_logs(*arguments: mpmath.mpf) -> mpmath.mpf:
            return textbook(*(mpmath.exp(argument) for argument in arguments))

        at = [mpmath.mpf(float(log)) for log in logs]
        assert value == pytest.approx(float(of_logs(*at)), rel=1e-11)
        for axis in range(len(at)):
            order = tuple(int(axis == k) for k in range(len(at)))
            slope = float(mpmath.diff(of_logs, tuple(at), order))
            assert gradient[axis] == pytest.approx(slope, rel=1e-8, abs=1e-8), axis


def test_newcomers_of_the_last_day_tell_nothing() -> None:
    today = PurchaseStatistics(np.zeros(1), np.zeros(1), np.zeros(1), np.array([1000.0]))
    value, gradient = BgNbd().likelihood(today)(np.log(USUAL))
    assert value == 0
    assert gradient == pytest.approx(np.zeros(4), abs=1e-12)


@pytest.mark.parametrize("parameters", [USUAL, BOUNDARY])
def test_p_alive_is_the_share_of_the_likelihood(parameters: tuple[float, ...]) -> None:
    ours = BgNbd().p_alive(
        dict(zip(("r", "alpha", "a", "b"), parameters, strict=True)),
        Patterns(PURCHASES.frequency, PURCHASES.recency, PURCHASES.T),
    )
    with mpmath.workdps(50):
        r, alpha, a, b = (mpmath.mpf(p) for p in parameters)
        for (x, t_x, age), probability in zip(PATTERNS, ours, strict=True):
            alive = mpmath.beta(a, b + x) * (alpha + age) ** (-r - x)
            dropped = mpmath.beta(a + 1, b + x - 1) * (alpha + t_x) ** (-r - x) if x else 0
            assert probability == pytest.approx(float(alive / (alive + dropped)), rel=1e-9)


@pytest.mark.parametrize("parameters", [USUAL, BOUNDARY, (0.11, 2.24, 0.31, 0.5)])
def test_p_alive_of_the_mbg_nbd(parameters: tuple[float, ...]) -> None:
    named = dict(zip(("r", "alpha", "a", "b"), parameters, strict=True))
    ours = MbgNbd().p_alive(named, Patterns(PURCHASES.frequency, PURCHASES.recency, PURCHASES.T))
    with mpmath.workdps(50):
        r, alpha, a, b = (mpmath.mpf(p) for p in parameters)
        for (x, t_x, age), probability in zip(PATTERNS, ours, strict=True):
            alive = mpmath.beta(a, b + x + 1) * (alpha + age) ** (-r - x)
            dropped = mpmath.beta(a + 1, b + x) * (alpha + t_x) ** (-r - x)
            assert probability == pytest.approx(float(alive / (alive + dropped)), rel=1e-9)
    # Of today's newcomers some have left already.
    assert ours[0] == pytest.approx(parameters[3] / (parameters[2] + parameters[3]), rel=1e-12)


@pytest.mark.parametrize("parameters", [(0.55, 74.0, 0.61, 82.0), (0.55, 3.0, 0.61, 5000.0), (0.05, 74.0, 0.01, 74.0)])
def test_p_alive_of_the_pareto_nbd(parameters: tuple[float, ...]) -> None:
    named = dict(zip(("r", "alpha", "s", "beta"), parameters, strict=True))
    ours = ParetoNbd().p_alive(named, Patterns(PURCHASES.frequency, PURCHASES.recency, PURCHASES.T))
    with mpmath.workdps(50):
        values = [mpmath.mpf(p) for p in parameters]
        for (x, t_x, age), probability in zip(PATTERNS, ours, strict=True):
            alive, either = pareto_one(x, t_x, age, *values)
            assert probability == pytest.approx(float(alive / either), rel=1e-9)
    assert ours[0] == pytest.approx(1.0, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("bg_nbd", USUAL),
        ("mbg_nbd", USUAL),
        ("mbg_nbd", (0.11, 2.24, 0.31, 0.5)),
        ("pareto_nbd", (0.55, 74.0, 0.61, 82.0)),
        ("pareto_nbd", (0.2, 3.0, 0.61, 5000.0)),
        ("nbd", USUAL[:2]),
    ],
)
def test_a_repeat_purchase_is_what_silence_leaves(name: str, parameters: tuple[float, ...]) -> None:
    """P(X(T) >= 1) against 1 minus the model's own likelihood of no purchase, gradients too."""
    model, logs = PURCHASE_MODELS[name], np.log(parameters)
    ages = np.array([1.0, 30.0, 540.0, 7305.0])
    value, gradient = model.log_repeat_probability(logs, ages)
    for row, age in enumerate(ages):
        silent = PurchaseStatistics(np.zeros(1), np.zeros(1), np.array([age]), np.ones(1))
        log_none, slope = model.likelihood(silent)(logs)
        assert np.exp(value[row]) == pytest.approx(-np.expm1(log_none), rel=1e-9)
        assert gradient[row] == pytest.approx(slope * np.exp(log_none) / np.expm1(log_none), rel=1e-8, abs=1e-12)
