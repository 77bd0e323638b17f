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
from cltv_assets.models.purchase.registry import PURCHASE_MODELS, at_least
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


def beta_geometric_one(
    x: int, t_x: float, age: float, r: mpmath.mpf, alpha: mpmath.mpf, a: mpmath.mpf, b: mpmath.mpf, occasions: int
) -> tuple[mpmath.mpf, mpmath.mpf]:
    """Alive at T, and either: equation 6 of Fader, Hardie and Lee (2005), as printed, after so many coins.

    The MBG/NBD of Batislam, Denizel and Filiztekin (2007) has one coin more than purchases repeated.
    """
    alive = mpmath.beta(a, b + occasions) / mpmath.beta(a, b) * (alpha + age) ** (-r - x)
    last = mpmath.beta(a + 1, b + occasions - 1) / mpmath.beta(a, b) if occasions else 0
    front = mpmath.gamma(r + x) / mpmath.gamma(r) * alpha**r
    return front * alive, front * (alive + last * (alpha + t_x) ** (-r - x))


def bg_one(x: int, t_x: float, age: float, *values: mpmath.mpf) -> tuple[mpmath.mpf, mpmath.mpf]:
    return beta_geometric_one(x, t_x, age, *values, occasions=x)


def mbg_one(x: int, t_x: float, age: float, *values: mpmath.mpf) -> tuple[mpmath.mpf, mpmath.mpf]:
    return beta_geometric_one(x, t_x, age, *values, occasions=x + 1)


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


def summed(one: Textbook) -> Textbook:
    """Return the log-likelihood of all patterns from that of one."""

    def log_likelihood(*values: mpmath.mpf) -> mpmath.mpf:
        parts = (w * mpmath.log(one(*pattern, *values)[1]) for pattern, w in zip(PATTERNS, WEIGHTS, strict=True))
        return mpmath.fsum(parts)

    return log_likelihood


bg_nbd, mbg_nbd, pareto_nbd = summed(bg_one), summed(mbg_one), summed(pareto_one)


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


@pytest.mark.parametrize(
    ("name", "one", "parameters"),
    [
        ("bg_nbd", bg_one, USUAL),
        ("bg_nbd", bg_one, BOUNDARY),
        ("mbg_nbd", mbg_one, USUAL),
        ("mbg_nbd", mbg_one, BOUNDARY),
        ("mbg_nbd", mbg_one, (0.11, 2.24, 0.31, 0.5)),
        ("pareto_nbd", pareto_one, (0.55, 74.0, 0.61, 82.0)),
        ("pareto_nbd", pareto_one, (0.55, 3.0, 0.61, 5000.0)),
        ("pareto_nbd", pareto_one, (0.05, 74.0, 0.01, 74.0)),
    ],
)
def test_p_alive_is_the_share_of_the_likelihood(name: str, one: Textbook, parameters: tuple[float, ...]) -> None:
    model = PURCHASE_MODELS[name]
    patterns = Patterns(PURCHASES.frequency, PURCHASES.recency, PURCHASES.T)
    ours = model.p_alive(dict(zip(model.parameter_names, parameters, strict=True)), patterns)
    with mpmath.workdps(50):
        for pattern, probability in zip(PATTERNS, ours, strict=True):
            alive, either = one(*pattern, *(mpmath.mpf(value) for value in parameters))
            assert probability == pytest.approx(float(alive / either), rel=1e-9)
    # Of today's newcomers some have left already, by the MBG/NBD only.
    newcomer = parameters[3] / (parameters[2] + parameters[3]) if name == "mbg_nbd" else 1.0
    assert ours[0] == pytest.approx(newcomer, rel=1e-12)


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
    value, gradient = model.log_at_least(logs, ages, 1)
    for row, age in enumerate(ages):
        silent = PurchaseStatistics(np.zeros(1), np.zeros(1), np.array([age]), np.ones(1))
        log_none, slope = model.likelihood(silent)(logs)
        assert np.exp(value[row]) == pytest.approx(-np.expm1(log_none), rel=1e-9)
        assert gradient[row] == pytest.approx(slope * np.exp(log_none) / np.expm1(log_none), rel=1e-8, abs=1e-12)


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("bg_nbd", USUAL),
        ("mbg_nbd", USUAL),
        ("nbd", USUAL[:2]),
        ("nbd", (900.0, 5000.0)),
        ("pareto_nbd", (0.55, 74.0, 0.61, 82.0)),
        ("pareto_nbd", (2.0, 3.0, 0.61, 0.02)),
    ],
)
@pytest.mark.parametrize("count", [2, 3, 9, 40])
def test_so_many_purchases_are_those_of_the_intervals(name: str, parameters: tuple[float, ...], count: int) -> None:
    """P(X(T) >= k) against the tails of a newcomer's purchases to come, and its gradient against differences."""
    model, logs = PURCHASE_MODELS[name], np.log(parameters)
    ages = np.array([1.0, 30.0, 540.0, 7305.0])
    value, gradient = model.log_at_least(logs, ages, count)
    newcomers = Patterns(np.zeros(4), np.zeros(4), np.zeros(4))
    known = dict(zip(model.parameter_names, parameters, strict=True))
    tails = at_least(model, known, newcomers, ages, np.full(4, float(count)))
    # The intervals' rule is made for probabilities that are not next to nothing.
    seen = tails > 1e-12
    assert np.exp(value[seen]) == pytest.approx(tails[seen], rel=1e-7)
    assert np.isfinite(value).all()
    for axis in range(len(logs)):
        shift = np.zeros_like(logs)
        shift[axis] = 1e-4
        ends = [model.log_at_least(logs + sign * shift, ages, count)[0] for sign in (1.0, -1.0)]
        assert gradient[:, axis] == pytest.approx((ends[0] - ends[1]) / 2e-4, rel=1e-6, abs=1e-7)


def test_next_to_impossible_counts_keep_their_digits() -> None:
    """Forty purchases on the first day: 1 minus the probabilities of fewer would be rounding."""
    value, gradient = PURCHASE_MODELS["nbd"].log_at_least(np.log([0.6, 60.0]), np.array([1.0]), 40)
    with mpmath.workdps(60):
        exact = mpmath.log(mpmath.betainc(40, mpmath.mpf("0.6"), 0, mpmath.mpf(1) / 61, regularized=True))
    assert value[0] == pytest.approx(float(exact), rel=1e-13)
    assert gradient[0, 1] == pytest.approx(-40.0, rel=0.02)
