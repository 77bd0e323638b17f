"""How regularly customers buy, measured from two intervals of each: simulated shops, CDNOW, sums by hand."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from bench.published import cdnow
from cltv_assets.models.choosing.regularity import DayCounts, Intervals, _log_total
from cltv_assets_tests.models.shops import Shop, simulate, simulate_regular


@pytest.mark.parametrize(
    ("k", "interval"), [*itertools.product([1, 2, 3, 4], [1.5, 5.0, 30.0, 120.0]), (12, 30.0), (96, 120.0)]
)
def test_a_shop_shows_its_regularity_whatever_its_pace(k, interval):
    # Purchases of one day are merged. At an interval of 1.5 days that alone makes intervals alike.
    shop = simulate_regular(5, 8000, k, (0.85, 0.85 * interval / k), (0.79, 2.42), years=2.5)
    found = shop.intervals()
    assert found.k == k
    assert found.shape == pytest.approx(k, rel=0.12)


def test_who_buys_more_seldom_than_by_chance_at_times_is_not_regular():
    assert simulate_regular(6, 3000, 1, (0.6, 30.0), (0.8, 3.0), years=2.0).intervals().k == 1
    seasonal = simulate(7, 3000, np.repeat([0.5, 1.5], 6), years=3, acquired=2.0)
    assert seasonal.intervals().k == 1


@pytest.mark.parametrize("end", ["1997-06-30", "1997-12-31", "1998-06-30"])
def test_cdnow_buys_by_chance(end):
    customer, day = cdnow.purchase_days()
    found = Shop(customer, day).intervals(end)
    assert found.k == 1
    assert 0.8 < found.shape < 1.15


def test_on_whole_days_chance_is_uniform():
    # Of s days any from 1 to s - 1 may be in the first interval.
    for s in (2, 3, 10, 400):
        assert _log_total(1.0, s) == pytest.approx(math.log(s - 1))
    assert _log_total(3.0, 4) == pytest.approx(math.log(3**2 + 4**2 + 3**2))


def test_long_sums_are_interpolated():
    days = np.array([2, 100, 129, 300, 777, 1500])
    ones = DayCounts(days, np.ones(6, dtype=np.int64))
    found = Intervals(ones, ones, ones)
    for k in (0.5, 1.0, 1.7, 4.0, 96.0):
        exact = [_log_total(k, int(s)) for s in days]
        np.testing.assert_allclose(found._log_totals(k), exact, atol=2e-3 if k < 1 else 1e-4)


def test_few_customers_say_nothing():
    shop = simulate_regular(1, 40, 12, (5.0, 12.5), None, years=1.0)
    few = Shop(shop.customer[shop.customer < 20], shop.day[shop.customer < 20]).intervals()
    assert (few.shape, few.k) == (None, 1)
    assert shop.intervals().k > 1
