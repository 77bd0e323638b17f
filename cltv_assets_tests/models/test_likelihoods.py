"""Likelihoods and their gradients against textbook formulas evaluated by mpmath."""

from __future__ import annotations

from collections.abc import Callable

import mpmath
import numpy as np
import pytest

from cltv_assets.models.bg_nbd import BgNbd, BgNbdLikelihood
from cltv_assets.models.gamma_gamma import GammaGammaLikelihood
from cltv_assets.models.nbd import NbdLikelihood
from cltv_assets.models.purchase_model import Patterns
from cltv_assets.models.statistics import PurchaseStatistics, SpendStatistics

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
        (BgNbdLikelihood(PURCHASES), bg_nbd, USUAL),
        (BgNbdLikelihood(PURCHASES), bg_nbd, BOUNDARY),
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
    with mpmath.workdps(50):

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
    value, gradient = BgNbdLikelihood(today)(np.log(USUAL))
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
