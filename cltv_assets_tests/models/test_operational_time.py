"""The seasonal clock, against sums over single days."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pytest

from cltv_assets.errors import ModelError
from cltv_assets.models.choosing.histories import OperationalTime, normalised
from cltv_assets_tests.models.shops import CHRISTMAS


def by_hand(first: dt.date, last: dt.date, index: list[float]) -> float:
    """Add up the days after ``first`` up to and with ``last``, one by one."""
    return sum(index[(first + dt.timedelta(days=k)).month - 1] for k in range(1, (last - first).days + 1))


def test_a_year_on_the_clock_is_an_average_year():
    clock = OperationalTime(CHRISTMAS * 7.0, 1)
    # Two centuries of 365.2425 days, which no two centuries have to the day.
    assert clock.elapsed("1900-12-31", "2100-12-31") == pytest.approx(200 * 365.2425, rel=1e-5)


@pytest.mark.parametrize(
    ("first", "last"),
    [
        (dt.date(2001, 1, 1), dt.date(2001, 1, 1)),
        (dt.date(2001, 1, 31), dt.date(2001, 2, 1)),
        (dt.date(2004, 2, 28), dt.date(2004, 3, 1)),
        (dt.date(2003, 11, 17), dt.date(2005, 3, 9)),
        (dt.date(1969, 12, 31), dt.date(1970, 1, 1)),
    ],
)
def test_elapsed_is_the_sum_over_days_after_the_first_up_to_the_last(first, last):
    index = normalised(CHRISTMAS).tolist()
    expected = by_hand(first, last, index)
    assert OperationalTime(index, 1).elapsed(first, last) == pytest.approx(expected, rel=1e-12, abs=1e-10)
    assert OperationalTime(index, 7).elapsed(first, last) == pytest.approx(expected / 7, rel=1e-12, abs=1e-10)


@pytest.mark.parametrize("unit", [1, 7])
def test_without_an_index_it_is_the_plain_difference_to_the_last_bit(unit):
    rng = np.random.default_rng(1)
    first = np.datetime64("1995-01-01") + rng.integers(0, 3000, 500)
    last = first + rng.integers(0, 3000, 500)
    plain = np.array([(b - a).days / unit for a, b in zip(first.astype(object), last.astype(object), strict=True)])
    assert OperationalTime(None, unit).elapsed(first, last).tolist() == plain.tolist()


def test_a_flat_index_is_plain_time():
    days = np.arange("1999-12-01", "2005-01-01", dtype="datetime64[D]")
    flat, plain = OperationalTime(np.full(12, 3.0), 1), OperationalTime(None, 1)
    assert flat.elapsed(days[0], days) == pytest.approx(plain.elapsed(days[0], days), rel=1e-12)


def test_the_last_purchase_never_lies_after_the_end_by_rounding():
    clock = OperationalTime(normalised(np.random.default_rng(3).uniform(0.3, 2.0, 12)), 7)
    days = np.arange("1996-01-01", "2006-01-01", dtype="datetime64[D]")
    for end in np.arange("2000-01", "2006-01", dtype="datetime64[M]").astype("datetime64[D]") - 1:
        first = days[days <= end]
        # recency <= T, and equal for whoever bought on the last day.
        assert (clock.elapsed(first, np.maximum(first, end - 1)) <= clock.elapsed(first, end)).all()
    assert (np.diff(clock.elapsed(days[0], days)) > 0).all()


@pytest.mark.parametrize("index", [np.ones(11), np.r_[np.ones(11), 0.0], np.r_[np.ones(11), np.nan]])
def test_an_impossible_index_is_refused(index):
    with pytest.raises(ModelError, match="twelve positive numbers"):
        OperationalTime(index, 1)


def test_absurd_dates_are_refused_instead_of_wrapped_around():
    with pytest.raises(ModelError, match="1900 to 2199"):
        OperationalTime(CHRISTMAS, 1).elapsed("1899-12-31", "2000-01-01")
