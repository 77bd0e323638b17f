"""Mean and spread of a month's purchases, against closed forms and simulation."""

from __future__ import annotations

import numpy as np
import pytest

from cltv_assets.models.estimation.fits import PurchaseFit
from cltv_assets.models.pattern_predictions import expected_total
from cltv_assets.models.purchase.registry import model_named
from cltv_assets.models.sufficient_statistics import Patterns


def fit(name: str, **parameters: float) -> PurchaseFit:
    evidence = {"status": "fitted", "status_reason": None, "standard_errors": dict.fromkeys(parameters), "patterns": 1}
    counts = {"customers": 1, "repeat_customers": 1, "repeat_purchases": 1}
    return PurchaseFit(model_name=name, parameters=parameters, **evidence, **counts)


PATTERNS = Patterns(np.array([0, 3, 250]), np.array([0.0, 80.0, 290.0]), np.array([40.0, 100.0, 300.0]))
CUSTOMERS = np.array([1000.0, 50.0, 2.0])


def test_without_dropout_counts_are_negative_binomial():
    r, alpha, t = 0.4, 12.0, 30.0
    mean, deviation = expected_total(fit("nbd", r=r, alpha=alpha), PATTERNS, CUSTOMERS, t)
    # Mean (r + x) t / (alpha + T); variance mean (1 + t / (alpha + T)).
    means = (r + PATTERNS.frequency) * t / (alpha + PATTERNS.T)
    assert mean == pytest.approx((CUSTOMERS * means).sum(), rel=1e-7)
    assert deviation == pytest.approx((CUSTOMERS * means * (1 + t / (alpha + PATTERNS.T))).sum() ** 0.5, rel=1e-6)


def test_with_dropout_the_mean_is_the_published_expectation():
    parameters = {"r": 0.2426, "alpha": 30.9, "a": 0.793, "b": 2.426}
    mean, _ = expected_total(fit("bg_nbd", **parameters), PATTERNS, CUSTOMERS, 31.0)
    # Equation 10 of Fader, Hardie and Lee (2005), computed by another way than the tails.
    expected = model_named("bg_nbd").expected_purchases(parameters, PATTERNS, np.array([31.0]))[:, 0]
    assert mean == pytest.approx((CUSTOMERS * expected).sum(), rel=1e-6)


def test_with_dropout_the_spread_is_that_of_a_simulation():
    r, alpha, a, b, t = 0.6, 20.0, 0.9, 2.0, 30.0
    pattern = Patterns(np.array([4]), np.array([45.0]), np.array([50.0]))
    parameters = {"r": r, "alpha": alpha, "a": a, "b": b}
    _, deviation = expected_total(fit("bg_nbd", **parameters), pattern, np.array([1.0]), t)
    rng, n = np.random.default_rng(8), 400_000
    # Given (x, t_x, T) and life the rate is Gamma(r + x, alpha + T), the dropout Beta(a, b + x).
    alive = rng.random(n) < model_named("bg_nbd").p_alive(parameters, pattern)[0]
    rate, stay = rng.gamma(r + 4, 1 / (alpha + 50.0), n), 1 - rng.beta(a, b + 4, n)
    wanted = rng.poisson(rate * t)
    made = np.minimum(wanted, rng.geometric(1 - stay)) * alive
    assert deviation == pytest.approx(made.std(), rel=0.01)
