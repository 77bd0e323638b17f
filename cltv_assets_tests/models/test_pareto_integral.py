"""The Pareto/NBD's integrals against mpmath and adaptive quadrature, over parameters that break the usual formulas."""

from __future__ import annotations

from itertools import pairwise, product

import mpmath
import numpy as np
import pytest
from scipy.integrate import quad
from scipy.special import betaln

from cltv_assets.models.purchase.pareto_integrals import arrivals_before_dropout, decay_integral

#: alpha, beta: equal, next to equal, far apart in either direction.
SCALES = [(70.0, 70.0), (10.0, 10.00001), (10.6, 11.7), (0.5, 5000.0), (5000.0, 0.5), (300.0, 1.0)]


def exact(p: float, q: float, a: float, b: float) -> mpmath.mpf:
    """Euler's integral: min(A, B)/(p+q-1) 2F1(exponent of the larger, 1; p+q; 1 - min/max)."""
    p, q, a, b = (mpmath.mpf(value) for value in (p, q, a, b))
    least, other = (a, q) if a <= b else (b, p)
    return least / (p + q - 1) * mpmath.hyp2f1(other, 1, p + q, 1 - least / max(a, b))


@pytest.mark.parametrize("scales", SCALES)
def test_value_over_hard_parameters(scales: tuple[float, float]) -> None:
    alpha, beta = scales
    with mpmath.workdps(30):
        for r, s, x, u in product((1e-3, 0.55), (1e-3, 0.6, 1.0, 1.0000001), (0, 60, 10_000), (0.0, 7305.0)):
            for p, q in ((r + x + 1, s), (r + x, s + 1)):
                ours = decay_integral(np.array([p]), q, np.array([u]), scales).log_value[0]
                truth = mpmath.log(exact(p, q, alpha + u, beta + u))
                assert float(mpmath.mpf(float(ours)) - truth) == pytest.approx(0.0, abs=1e-10), (p, q, u)


@pytest.mark.parametrize("scales", SCALES)
def test_a_rule_for_many_is_as_good_as_a_rule_for_each(scales: tuple[float, float]) -> None:
    p = np.array([1.001, 1.55, 3.0, 60.5, 10_000.6])
    together = decay_integral(p, 0.6, np.array([0.0, 3.0, 40.0, 7305.0, 7305.0]), scales)
    for row, (shape, age) in enumerate(zip(p, (0.0, 3.0, 40.0, 7305.0, 7305.0), strict=True)):
        alone = decay_integral(np.array([shape]), 0.6, np.array([age]), scales)
        assert together.log_value[row] == pytest.approx(alone.log_value[0], abs=1e-10)


@pytest.mark.parametrize("scales", SCALES)
@pytest.mark.parametrize(("p", "q"), [(1.55, 0.6), (0.05, 1.2), (100.5, 1.6), (31.0, 1e-3)])
def test_means_are_slopes(scales: tuple[float, float], p: float, q: float) -> None:
    a, b = scales[0] + 30.0, scales[1] + 30.0
    ours = decay_integral(np.array([p]), q, np.array([30.0]), scales)
    with mpmath.workdps(40):

        def log_exact(*values: mpmath.mpf) -> mpmath.mpf:
            return mpmath.log(exact(*values))

        slopes = [
            float(mpmath.diff(log_exact, (p, q, a, b), tuple(int(k == axis) for k in range(4)))) for axis in range(4)
        ]
    assert -ours.log_a[0] == pytest.approx(slopes[0], rel=1e-8, abs=1e-10)
    assert -ours.log_b[0] == pytest.approx(slopes[1], rel=1e-8, abs=1e-10)
    assert ours.share_a[0] * p / a == pytest.approx(slopes[2], rel=1e-8, abs=1e-10)
    assert ours.share_b[0] * q / b == pytest.approx(slopes[3], rel=1e-8, abs=1e-10)


@pytest.mark.parametrize(("dropout_shape", "tolerance"), [(0.6, 1e-8), (30.0, 1e-4)])
def test_arrivals_before_dropout(dropout_shape: float, tolerance: float) -> None:
    cases = [
        (m, k, near, far)
        for m in (1.0, 15.0, 400.0)
        for k in (0.01, 20.0, 10_000.0)
        for near, far in ((0.05, 0.05), (3.0, 0.1), (0.1, 300.0))
    ]
    ours = arrivals_before_dropout(
        *(np.array([case[k] for case in cases]) for k in (0, 1)),
        dropout_shape,
        *(np.array([case[k] for case in cases]) for k in (2, 3)),
    )
    for (m, k, near, far), probability in zip(cases, ours, strict=True):

        def density(y: float, m: float = m, k: float = k, ratio: float = far / near) -> float:
            """Arrival of the m-th purchase by ln(u/A), before dropout."""
            stays = -dropout_shape * np.log1p(ratio * np.exp(y))
            return float(np.exp(m * y - (m + k) * np.logaddexp(0.0, y) - betaln(m, k) + stays))

        # Adaptive, between marks a third of the density's width apart.
        reach, width = np.log(near), np.sqrt(1 / m + 1 / k)
        marks = np.append(np.arange(min(reach, np.log(m / k)) - 60 / m - 12 * width, reach, min(width, 3.0) / 3), reach)
        parts = [quad(density, low, high, epsabs=0, epsrel=1e-10)[0] for low, high in pairwise(marks)]
        assert probability == pytest.approx(sum(parts), rel=tolerance, abs=1e-12), (m, k, near, far)
