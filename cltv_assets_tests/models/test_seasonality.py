"""The seasonal index and models fitted with it, on shops whose index is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from cltv_assets.models.choosing.histories import OperationalTime, normalised
from cltv_assets.models.choosing.seasonality import (
    MonthCounts,
    expected_purchases,
    find_season,
    fit_on_season,
    on_the_calendar,
    shrunk_index,
    times_seen,
)
from cltv_assets.models.estimation.fitting import fit_purchase_model
from cltv_assets_tests.models.shops import CHRISTMAS, FLAT, Shop, simulate

PLAIN = OperationalTime(None, 1)
MONTHS = np.arange("2001-01", "2004-01", dtype="datetime64[M]")


@pytest.fixture(scope="module")
def shop() -> Shop:
    return simulate(11, 4000, CHRISTMAS, years=3.0, acquired=2.5)


def test_a_known_index_is_recovered_within_noise(shop):
    histories = shop.histories("2003-12-31")
    stationary = fit_purchase_model(histories.statistics(PLAIN), "bg_nbd")
    found = find_season(histories, shop.counts(), "bg_nbd", stationary.usable_parameters(), 1)
    fit = fit_on_season(histories, shop.counts(), "bg_nbd", found, 1)
    # A month's count of n purchases tells its intensity to 1 / sqrt(n); 3.5 of those for twelve months.
    counts = shop.counts().repeat_purchases(histories)
    seen = np.bincount(counts.months.astype(np.int64) % 12, weights=counts.purchases)
    misses = np.log(found.index / normalised(CHRISTMAS)) * np.sqrt(seen)
    assert np.abs(misses).max() < 3.5
    # Customers who left are told from a quiet season: the parameters are those of the simulation.
    parameters = fit.usable_parameters()
    for name, true in {"r": 0.6, "alpha": 30.0, "a": 0.8, "b": 3.0}.items():
        assert abs(parameters[name] - true) < 3.5 * fit.standard_errors[name], name
    assert fit.log_likelihood > stationary.log_likelihood + 100.0


def test_the_models_mean_is_what_a_simulated_shop_buys_month_by_month(shop):
    histories = shop.histories("2003-12-31")
    counts = shop.counts().repeat_purchases(histories)
    truth = {"r": 0.6, "alpha": 30.0, "a": 0.8, "b": 3.0}
    clock = OperationalTime(CHRISTMAS, 1)
    # The shop's intensities have another mean than 1: on the clock its rates are so much higher.
    truth["alpha"] /= float(CHRISTMAS[0] / clock.index[0])
    expected = expected_purchases(histories, counts.months, "bg_nbd", truth, clock)
    assert expected.sum() == pytest.approx(counts.purchases.sum(), rel=0.04)
    busy = expected > 200
    # Customers differ in rates, so counts spread wider than Poisson: 4 % on top.
    assert (np.abs(counts.purchases - expected) < 3.5 * np.sqrt(expected) + 0.04 * expected)[busy].all()


def test_the_log_likelihood_is_that_of_purchases_on_the_calendar(shop):
    """Add up equation by equation: NBD, customer by customer and day by day."""
    end = np.datetime64("2003-12-31")
    few = shop.customer < 300
    small = Shop(shop.customer[few], shop.day[few])
    histories = small.histories(str(end))
    stationary = fit_purchase_model(histories.statistics(PLAIN), "nbd")
    found = find_season(histories, small.counts(), "nbd", stationary.usable_parameters(), 1)
    fit = fit_on_season(histories, small.counts(), "nbd", found, 1)
    r, alpha = (fit.parameters[name] for name in ("r", "alpha"))
    total = 0.0
    for customer in np.unique(small.customer):
        days = small.day[(small.customer == customer) & (small.day <= end)]
        if not len(days):
            continue
        lived = np.arange(days[0] + 1, end + 1, dtype="datetime64[D]")
        clock = sum(found.index[day.astype("datetime64[M]").astype(int) % 12] for day in lived)
        x = len(days) - 1
        total += math.lgamma(r + x) - math.lgamma(r) + r * math.log(alpha) - (r + x) * math.log(alpha + clock)
        total += sum(math.log(found.index[day.astype("datetime64[M]").astype(int) % 12]) for day in days[1:])
    assert fit.log_likelihood == pytest.approx(total, abs=1e-6)
    assert fit.aic == pytest.approx(2 * (2 + 11) - 2 * total, abs=1e-5)
    assert fit.log_likelihood > stationary.log_likelihood
    flat = on_the_calendar(stationary, FLAT, small.counts().repeat_purchases(histories))
    assert flat.log_likelihood == stationary.log_likelihood


def test_repeat_purchases_leave_out_first_ones_and_later_months(shop):
    known = shop.day <= np.datetime64("2002-02-28")
    first = np.unique(shop.customer[known], return_index=True)[1]
    repeats = np.delete(shop.day[known], first)
    counts = shop.counts().repeat_purchases(shop.histories("2002-02-28"))
    assert counts.months[-1] == np.datetime64("2002-02")
    by_hand = [int((repeats.astype("datetime64[M]") == month).sum()) for month in counts.months]
    assert counts.purchases.tolist() == by_hand


def index_of(observed: np.ndarray, expected: np.ndarray, seen: float) -> np.ndarray:
    return shrunk_index(MonthCounts(MONTHS, observed), expected, FLAT, np.full(12, seen))


def test_a_month_seen_once_is_believed_by_half_and_twice_in_full():
    expected = np.full(36, 1e7)
    observed = expected * np.tile(normalised(CHRISTMAS), 3)
    # With counts so large noise is nothing, and a log is halved: a square root of the ratios.
    root = np.sqrt(CHRISTMAS)
    assert index_of(observed, expected, 1.0) == pytest.approx(normalised(root), rel=1e-4)
    assert index_of(observed, expected, 2.0) == pytest.approx(normalised(CHRISTMAS), rel=1e-4)
    assert index_of(observed, expected, 5.0) == pytest.approx(normalised(CHRISTMAS), rel=1e-4)


def test_counting_noise_is_no_season():
    rng = np.random.default_rng(5)
    expected = np.full(36, 20.0)
    # Three years of 20 purchases a month: a raw ratio of one month spreads by 13 %.
    raw, drawn = [], []
    for _ in range(200):
        observed = rng.poisson(expected).astype(np.float64)
        raw.append(observed.reshape(3, 12).sum(axis=0) / 60.0)
        drawn.append(index_of(observed, expected, 3.0))
    assert np.std(raw) > 0.12
    assert np.std(drawn) < 0.05


def test_years_that_contradict_one_another_are_no_season():
    expected = np.full(36, 1e4)
    rng = np.random.default_rng(8)
    found = [index_of(expected * np.exp(0.3 * rng.normal(size=36)), expected, 3.0) for _ in range(200)]
    largest = np.abs(np.log(found)).max(axis=1)
    # The means of three years spread by 0.17, and the largest of twelve of them would lie near 0.28.
    assert np.mean(largest) < 0.08
    assert np.median(largest) < 0.01
    # The same spread, repeated every year, is one.
    wild = np.exp(0.3 * rng.normal(size=12))
    assert np.abs(np.log(index_of(expected * np.tile(wild, 3), expected, 3.0))).max() > 0.3


@pytest.mark.parametrize("years", [2, 3])
@pytest.mark.parametrize("growth", [1.5, 0.5])
def test_a_trend_is_no_disagreement_of_years(years, growth):
    months = np.arange(12 * years)
    trend = growth ** (months / 12)
    expected = np.full(12 * years, 1e5)
    at = MonthCounts(MONTHS[: 12 * years], expected * trend * np.tile(CHRISTMAS, years))
    found = shrunk_index(at, expected, FLAT, np.full(12, float(years)))
    assert found == pytest.approx(normalised(CHRISTMAS), rel=5e-3)
    flat = shrunk_index(MonthCounts(at.months, expected * trend), expected, FLAT, np.full(12, float(years)))
    assert np.abs(np.log(flat)).max() < 1e-3


def test_a_first_year_of_old_customers_does_not_hide_a_november():
    """A first year at 1.4 to 1.9 times the expected, a second at 0.8 to 1.1, November at 1.84 and 1.61."""
    expected = np.full(24, 2e3)
    first = [1.9, 1.75, 1.7, 1.68, 1.6, 1.58, 1.5, 1.52, 1.45, 1.4, 1.84, 1.42]
    second = [1.1, 1.08, 1.1, 1.0, 1.02, 0.95, 0.93, 0.92, 0.88, 0.85, 1.61, 0.8]
    found = shrunk_index(
        MonthCounts(MONTHS[:24], expected * np.array(first + second)), expected, FLAT, np.full(12, 2.0)
    )
    assert found[10] == pytest.approx(1.5, abs=0.15)
    assert np.abs(np.log(np.delete(found, 10))).max() < 0.12


def test_eighteen_months_tell_a_slope_and_fourteen_none():
    months = np.arange(18)
    expected = np.full(18, 1e5)
    falling = expected * 0.5 ** (months / 12) * CHRISTMAS[months % 12]
    found = shrunk_index(MonthCounts(MONTHS[:18], falling), expected, FLAT, times_seen(MONTHS[0], MONTHS[18] - 1))
    half = normalised(np.where(np.arange(12) < 6, CHRISTMAS, np.sqrt(CHRISTMAS)))
    assert found == pytest.approx(half, rel=0.1)
    short = MonthCounts(MONTHS[:14], expected[:14] * 0.5 ** (months[:14] / 12))
    # Two differences are no trend: what the two years disagree in is noise.
    assert np.isfinite(shrunk_index(short, expected[:14], FLAT, np.ones(12))).all()


def test_a_month_without_expected_purchases_is_average():
    expected = np.where(MONTHS.astype(np.int64) % 12 == 6, 0.0, 1e6)
    observed = expected * np.tile(CHRISTMAS, 3)
    found = index_of(observed, expected, 2.0)
    others = np.delete(found, 6)
    assert others.min() < found[6] < others.max()
    assert np.log(others / found[6]).mean() == pytest.approx(0.0, abs=1e-6)


def test_partial_months_count_by_their_days():
    seen = times_seen(np.datetime64("2001-01-16"), np.datetime64("2002-02-14"))
    assert seen[0] == pytest.approx((16 + 31) / 31)
    assert seen[1] == pytest.approx((28 + 14) / 28.2425)
    assert seen[2:] == pytest.approx(np.ones(10))
