"""Statistics that no customers can have are refused by name."""

from __future__ import annotations

import numpy as np
import pytest

from cltv_assets.errors import ModelError
from cltv_assets.models.sufficient_statistics import PurchaseStatistics, SpendStatistics

GOOD = {"frequency": [0, 2], "recency": [0.0, 5.0], "T": [3.0, 5.0], "weights": [4, 1]}
GOOD_SPEND = {"frequency": [1, 2], "monetary_value": [9.5, 20.0], "weights": [4, 1]}


def purchases(**changes: object) -> PurchaseStatistics:
    return PurchaseStatistics(**{name: np.array(values) for name, values in (GOOD | changes).items()})


def spends(**changes: object) -> SpendStatistics:
    return SpendStatistics(**{name: np.array(values) for name, values in (GOOD_SPEND | changes).items()})


def test_counts() -> None:
    data = purchases()
    assert (data.customers, data.repeat_customers, data.repeat_purchases) == (5, 1, 2)
    assert data.mean_age == pytest.approx(17 / 5)
    assert data.frequency.dtype == np.int64
    assert data.weights.dtype == np.float64


def test_distinct_patterns_whatever_the_grouping() -> None:
    twice = purchases(frequency=[2, 2, 2], recency=[5.0, 5.0, 4.0], T=[5.0, 5.0, 5.0], weights=[1, 2, 1])
    assert twice.distinct_patterns == 2
    assert purchases(frequency=[], recency=[], T=[], weights=[]).distinct_patterns == 0


def test_spend_means_count_each_purchase_once() -> None:
    data = spends()
    assert data.mean_order_value == pytest.approx((4 * 9.5 + 2 * 20.0) / 6)
    assert data.customers == 5


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"frequency": [0, 2, 3]}, "differ in shape"),
        ({"frequency": [0, -2]}, "frequency -2 of pattern 2 is negative"),
        ({"frequency": [0, 1.5]}, "frequency 1.5 of pattern 2 is not a whole number"),
        ({"frequency": [0, 10**9]}, "above 1,000,000 purchases"),
        ({"recency": [0.0, -1.0]}, "recency -1 of pattern 2 is negative"),
        ({"recency": [0.0, 5.5]}, "recency 5.5 of pattern 2 is larger than T"),
        ({"recency": [1.0, 5.0]}, "recency 1 of pattern 1 is positive without a repeat purchase"),
        ({"T": [np.nan, 5.0]}, "T nan of pattern 1 is not a finite number"),
        ({"T": [np.inf, 5.0]}, "T inf of pattern 1 is not a finite number"),
        ({"weights": [4, 0]}, "weights 0 of pattern 2 is not positive"),
    ],
)
def test_impossible_purchases_are_refused(changes: dict[str, object], problem: str) -> None:
    with pytest.raises(ModelError, match=problem) as caught:
        purchases(**changes)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"frequency": [0, 2]}, "frequency 0 of pattern 1 is not positive"),
        ({"monetary_value": [9.5, 0.0]}, "monetary_value 0 of pattern 2 is not positive"),
        ({"monetary_value": [9.5, np.nan]}, "monetary_value nan of pattern 2 is not a finite number"),
        ({"weights": [4, -1]}, "weights -1 of pattern 2 is not positive"),
        ({"weights": [[4, 1]]}, "differ in shape"),
    ],
)
def test_impossible_spends_are_refused(changes: dict[str, object], problem: str) -> None:
    with pytest.raises(ModelError, match=problem):
        spends(**changes)


def test_patterns_are_counted_wherever_they_stand() -> None:
    """Equal rows first, and more of them than a first look takes."""
    ages = np.concatenate((np.full(5_000, 30.0), np.arange(31.0, 35.0)))
    data = PurchaseStatistics(np.zeros(5_004), np.zeros(5_004), ages, np.ones(5_004))
    assert data.has_patterns(5)
    assert not data.has_patterns(6)
