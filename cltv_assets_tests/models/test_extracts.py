"""Filtered extracts: which customers had to buy how often to be in the data, told from the data alone."""

from __future__ import annotations

import numpy as np
import pytest

from bench.published import cdnow
from cltv_assets.models.arrays import BoolArray, FloatArray, IntArray
from cltv_assets.models.choosing.candidates import fit_candidates, least_frequency
from cltv_assets.models.pattern_predictions import predict_patterns
from cltv_assets.models.sufficient_statistics import PurchaseStatistics
from cltv_assets_tests.models.conftest import grouped, made_fit, one_each, simulate_purchases

TRUTH = {"r": 0.6, "alpha": 60.0, "a": 0.6, "b": 2.0}
HORIZON = 92.0


def shop(seed: int, customers: int) -> tuple[IntArray, FloatArray, FloatArray]:
    """Return frequency, recency and T of all customers, acquired within a year and seen for half a year more."""
    rng = np.random.default_rng(seed)
    ages = rng.integers(181, 546, customers).astype(np.float64)
    rates = rng.gamma(TRUTH["r"], 1.0 / TRUTH["alpha"], customers)
    x, t_x = simulate_purchases(rng, rates, rng.beta(TRUTH["a"], TRUTH["b"], customers), ages)
    return x, t_x, ages


def few(seed: int, x: IntArray, share: float) -> BoolArray:
    """Return a few customers of any frequency: those whom a filter by orders let through."""
    return np.random.default_rng(seed + 1_000).random(len(x)) < share


@pytest.mark.parametrize(("least", "exceptions"), [(1, 0.02), (2, 0.0), (2, 0.01), (4, 0.01)])
def test_an_extract_tells_its_bound_and_the_truth(least: int, exceptions: float) -> None:
    x, t_x, ages = shop(7, 7_000)
    kept = (x >= least) | few(7, x, exceptions)
    x, t_x, ages = x[kept], t_x[kept], ages[kept]
    data = one_each(x, t_x, ages)
    assert least_frequency(data) == least
    fit = fit_candidates(data, "auto", least)["bg_nbd"]
    assert (fit.status, fit.truncated, fit.bound) == ("fitted", True, least)
    # Left out of the fit and counted, not lost.
    assert fit.customers == len(x)
    assert fit.left_out == (x < least).sum()
    assert (fit.left_out > 0) == (exceptions > 0)
    for name, value in fit.parameters.items():
        assert abs(value - TRUTH[name]) < 2.0 * fit.standard_errors[name], name
    ours, true = (
        predict_patterns(each, x, t_x, ages, [HORIZON]).expected_purchases[:, 0]
        for each in (fit, made_fit("bg_nbd", TRUTH))
    )
    assert ours.sum() == pytest.approx(true.sum(), rel=0.03)
    if exceptions:
        assert ours[x < least].sum() == pytest.approx(true[x < least].sum(), rel=0.2)


def clockwork(rng: np.random.Generator, size: int, gap: float, spread: float, leaving: float) -> PurchaseStatistics:
    """Return all customers of a closed shop that they visit at even intervals, until some leave after a visit."""
    ages = rng.integers(300, 540, size).astype(np.float64)
    times = np.maximum(rng.normal(gap, spread, (size, 60)), 1.0).cumsum(axis=1)
    x = (times <= ages[:, None]).sum(axis=1)
    x = np.minimum(x, rng.geometric(leaving, size)) if leaving else x
    return grouped(one_each(x, np.where(x > 0, times[np.arange(size), np.maximum(x, 1) - 1], 0.0), ages))


def few_one_timers(seed: int) -> PurchaseStatistics:
    """Return all customers of a shop where nearly everyone comes back: like clockwork, or as the models have it."""
    rng = np.random.default_rng(seed)
    size = (300, 2_000, 8_000)[seed % 3]
    if seed % 2:
        return clockwork(rng, size, rng.uniform(20, 60), rng.uniform(5, 20), rng.uniform(0.001, 0.02))
    ages = rng.integers(300, 540, size).astype(np.float64)
    r = rng.uniform(2, 10)
    rates = rng.gamma(r, rng.uniform(0.03, 0.1) / r, size)
    return grouped(one_each(*simulate_purchases(rng, rates, rng.beta(0.3, 30, size), ages), ages))


def test_a_full_base_with_few_one_timers_is_no_extract() -> None:
    alarms, hardly_any = [], 0
    for seed in range(28, 48):
        data = few_one_timers(seed)
        hardly_any += data.customers - data.repeat_customers < 0.02 * data.customers
        if least_frequency(data):
            alarms.append(seed)
    assert hardly_any > 15
    assert alarms == []


@pytest.mark.parametrize(
    ("gap", "spread", "leaving"), [(60.0, 10.0, 0.0), (60.0, 10.0, 0.02), (90.0, 30.0, 0.0), (120.0, 40.0, 0.02)]
)
def test_even_intervals_that_leave_low_classes_empty_are_no_filter(gap: float, spread: float, leaving: float) -> None:
    """A model of chance expects customers in the empty classes, and more at the edge than there are."""
    assert least_frequency(clockwork(np.random.default_rng(1), 8_000, gap, spread, leaving)) == 0


def test_yearly_renewals_that_few_leave_out_are_no_filter() -> None:
    """Everyone has one renewal: the data do not tell how many buy seldom, so those without one are no exceptions."""
    rng = np.random.default_rng(2)
    x = (rng.random(3_000) < 0.97).astype(np.int64)
    assert least_frequency(one_each(x, 365.0 * x, rng.integers(380, 540, 3_000).astype(np.float64))) == 0


def test_all_customers_and_repeat_customers_of_cdnow_are_told_apart(
    sample: cdnow.Sample, master: PurchaseStatistics
) -> None:
    assert least_frequency(sample.statistics()) == 0
    assert [least_frequency(master.of_at_least(least)) for least in (0, 1, 2)] == [0, 1, 2]


def test_nobody_and_too_few_are_no_extract() -> None:
    nobody = np.zeros(0)
    assert least_frequency(PurchaseStatistics(nobody, nobody, nobody, nobody)) == 0
    assert least_frequency(one_each([1, 2, 3], [5.0, 8.0, 20.0], [30.0, 30.0, 30.0])) == 0
