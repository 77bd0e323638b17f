"""Discounting by the calendar's own days, held against sums written out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from cltv_assets.errors import ModelError
from cltv_assets.models.value.discounting import discount_factors, discounted_purchases
from cltv_assets.months import Month


def test_days_are_the_calendars() -> None:
    # After 31 January 2024: February of a leap year, March, April.
    assert discount_factors(0.1, Month.parse("2024-01"), 3).days.tolist() == [29, 60, 90]
    assert discount_factors(0.1, Month.parse("2023-01"), 3).days.tolist() == [28, 59, 89]
    assert discount_factors(0.1, Month.parse("1997-09"), 9).days[-1] == 273
    assert discount_factors(0.1, Month.parse("2023-12"), 12).days[-1] == 366


def test_factors_compound_to_the_middle_of_the_month() -> None:
    factors = discount_factors(0.2, Month.parse("2024-01"), 3).factors
    by_hand = [1.2 ** -(14.5 / 365.25), 1.2 ** -(44.5 / 365.25), 1.2 ** -(75.0 / 365.25)]
    assert factors == pytest.approx(by_hand, rel=1e-14)


def test_a_year_costs_the_annual_rate() -> None:
    factors = discount_factors(0.10, Month.parse("2021-01"), 49).factors
    # The same month one and four years on: 365 and 1461 days.
    assert factors[12] / factors[0] == pytest.approx(1.1 ** (-365 / 365.25), rel=1e-3)
    assert factors[48] / factors[0] == pytest.approx(1.1**-4, rel=1e-4)


def test_no_interest_discounts_nothing() -> None:
    curve = discount_factors(0.0, Month.parse("2024-01"), 12)
    totals = np.cumsum(np.arange(24.0).reshape(2, 12), axis=1)
    assert discounted_purchases(totals, curve, [3, 12]) == pytest.approx(totals[:, [2, 11]])


def test_discounted_purchases_by_hand() -> None:
    curve = discount_factors(0.2, Month.parse("2024-01"), 3)
    found = discounted_purchases([[1.0, 3.0, 3.5]], curve, [1, 3])
    first, second, third = curve.factors
    assert found == pytest.approx(np.array([[first, first + 2 * second + 0.5 * third]]), rel=1e-14)


def test_no_customers_are_worth_nothing() -> None:
    assert discounted_purchases(np.zeros((0, 3)), discount_factors(0.2, Month.parse("2024-01"), 3), [3]).shape == (0, 1)


@pytest.mark.parametrize("rate", [-0.1, float("nan"), float("inf")])
def test_absurd_rates_are_refused(rate: float) -> None:
    with pytest.raises(ModelError, match="annual discount rate"):
        discount_factors(rate, Month.parse("2024-01"), 3)


def test_horizons_beyond_the_curve_are_refused() -> None:
    curve = discount_factors(0.1, Month.parse("2024-01"), 3)
    with pytest.raises(ModelError, match="do not lie within 1 and 3 months"):
        discounted_purchases(np.zeros((1, 3)), curve, [4])
    with pytest.raises(ModelError, match="do not match 3 months"):
        discounted_purchases(np.zeros((1, 2)), curve, [1])
    with pytest.raises(ModelError, match="nothing to discount"):
        discount_factors(0.1, Month.parse("2024-01"), 0)
