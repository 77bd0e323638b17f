"""The quadrature against mpmath: the closed hypergeometric form where it is safe, adaptive quadrature elsewhere."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest

from cltv_assets.models.purchase.dropout_integral import mean_purchases_before_dropout


def ours(a: float, b: float, r: float, x: int, c: float) -> float:
    return float(mean_purchases_before_dropout(np.array([x]), r, (a, b), np.array([[c]]))[0, 0])


def hypergeometric(a: float, b: float, r: float, x: int, c: float) -> float:
    """Equation 10 of Fader, Hardie and Lee at 60 digits, by E[(1 - (1+pc)^-s)/p] = (1 - 2F1)(a+b-1)/(a-1)."""
    with mpmath.workdps(60):
        a, b, s, c = mpmath.mpf(a), mpmath.mpf(b) + x, mpmath.mpf(r) + x, mpmath.mpf(c)
        if a == 1:
            a += mpmath.mpf(10) ** -30
        return float((a + b - 1) / (a - 1) * (1 - mpmath.hyp2f1(s, a - 1, a + b - 1, -c)))


def quadrature(a: float, b: float, r: float, x: int, c: float) -> float:
    """The integral over p itself, the end points' singularities taken out by powers."""
    with mpmath.workdps(20):
        a, b, s, c = mpmath.mpf(a), mpmath.mpf(b) + x, mpmath.mpf(r) + x, mpmath.mpf(c)
        half = mpmath.mpf(1) / 2
        scales = (1 / (s * c), 1 / (a + b), a / (a + b))
        marks = sorted({mpmath.mpf(0), half, *(min(half, v * k) for v in scales for k in (0.1, 1, 10, 40))})
        low, high = min(a, 1), min(b, 1)

        def f(p: mpmath.mpf) -> mpmath.mpf:
            return -mpmath.expm1(-s * mpmath.log1p(p * c)) / p if p > 0 else s * c

        def from_zero(u: mpmath.mpf) -> mpmath.mpf:
            p = u ** (1 / low)
            return p ** (a - low) * (1 - p) ** (b - 1) * f(p) / low

        def from_one(u: mpmath.mpf) -> mpmath.mpf:
            y = u ** (1 / high)
            return (1 - y) ** (a - 1) * y ** (b - high) * f(1 - y) / high

        left = mpmath.quad(from_zero, [p**low for p in marks])
        right = mpmath.quad(from_one, [0, half**high / 8, half**high / 2, half**high])
        return float((left + right) / mpmath.beta(a, b))


@pytest.mark.parametrize("a", [0.05, 0.7929, 1.0, 1.7, 3.0])
@pytest.mark.parametrize("b", [0.3, 2.4259])
@pytest.mark.parametrize(("x", "c"), [(0, 0.1), (0, 12.0), (3, 0.5), (26, 1.5), (120, 0.3)])
def test_against_the_hypergeometric_form(a: float, b: float, x: int, c: float) -> None:
    assert ours(a, b, 0.24, x, c) == pytest.approx(hypergeometric(a, b, 0.24, x, c), rel=1e-10)


@pytest.mark.parametrize(
    ("a", "b", "r", "x", "c"),
    [
        (1e-6, 2.4, 0.25, 0, 12.0),  # dropout at its lower bound
        (1e-6, 1e4, 0.25, 5, 1.0),
        (0.8, 1e-3, 0.25, 0, 3.0),  # everyone drops out
        (1e-3, 1e-3, 0.25, 0, 100.0),  # all or nothing
        (0.31, 0.5, 0.11, 0, 9.26),  # a + b < 1
        (0.8, 2.4, 0.25, 0, 800.0),  # first purchase today and a long horizon
        (0.8, 2.4, 0.25, 0, 1e6),
        (0.8, 2.4, 0.25, 10_000, 0.05),  # the heaviest buyer
        (0.8, 2.4, 0.25, 10_000, 1.0),
        (3.0, 2.4, 0.25, 10_000, 1.0),
        (5.0, 10.0, 1.0, 200, 1.0),
    ],
)
def test_against_adaptive_quadrature(a: float, b: float, r: float, x: int, c: float) -> None:
    assert ours(a, b, r, x, c) == pytest.approx(quadrature(a, b, r, x, c), rel=1e-10)


@pytest.mark.parametrize("size", [50.0, 1e4])
def test_a_concentrated_dropout_probability_is_a_known_one(size: float) -> None:
    # For c large everyone buys until dropout: E[1/p] = (a + b - 1) / (a - 1), exactly.
    assert ours(size, 3 * size, 2.0, 400, 1e9) == pytest.approx((4 * size + 399) / (size - 1), rel=1e-10)


def test_many_horizons_and_patterns_at_once_are_each_what_they_are_alone() -> None:
    x = np.array([7, 0, 7, 2])
    c = np.array([[0.1, 2.0], [5.0, 90.0], [0.3, 0.4], [1e-4, 1.0]])
    together = mean_purchases_before_dropout(x, 0.25, (0.8, 2.4), c)
    for row in range(4):
        for column in range(2):
            assert together[row, column] == pytest.approx(ours(0.8, 2.4, 0.25, x[row], c[row, column]), rel=1e-12)


def test_no_patterns_give_no_expectations() -> None:
    assert mean_purchases_before_dropout(np.zeros(0, dtype=np.int64), 0.25, (0.8, 2.4), np.zeros((0, 3))).shape == (
        0,
        3,
    )
