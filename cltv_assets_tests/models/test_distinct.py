"""Distinct values and pairs are those that a sort finds."""

import numpy as np
import pytest

from cltv_assets.models.distinct import Distinct, Pairs


@pytest.mark.parametrize("numbers", [[], [0], [3, 0, 3, 1], [7, 1_000_000, 7, 0]])
def test_whole_numbers_are_found_as_by_sorting(numbers):
    numbers = np.array(numbers, dtype=np.int64)
    found = Distinct.whole(numbers)
    values, index = np.unique(numbers, return_inverse=True)
    np.testing.assert_array_equal(found.values, values)
    np.testing.assert_array_equal(found.index, index)


def test_some_patterns_have_their_own_distinct_values():
    found = Distinct.of(np.array([2.5, 0.0, 9.0, 2.5])).at(np.array([True, False, True, True]))
    np.testing.assert_array_equal(found.values, [2.5, 9.0])
    np.testing.assert_array_equal(found.index, [0, 1, 0])


def test_pairs_lead_back_to_their_patterns():
    counts, times = np.array([4, 0, 4, 1]), np.array([7.0, 1.5, 7.0, 1.5])
    pairs = Pairs.of(counts, Distinct.of(times))
    assert len(pairs.x) == 3
    np.testing.assert_array_equal(pairs.x[pairs.index], counts)
    np.testing.assert_array_equal(pairs.ages[pairs.index], times)
