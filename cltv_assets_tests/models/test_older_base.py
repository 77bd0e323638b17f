"""Customers older than the data: found where they are, and only there; what it is worth to know them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import betaln, gammaln

from bench.published import cdnow
from cltv_assets.models.choosing.histories import OperationalTime
from cltv_assets.models.choosing.older_base import (
    SOON_DAYS,
    SoonAgain,
    declines,
    difference_made,
    find_older_base,
)
from cltv_assets.models.estimation.fitting import fit_purchase_model
from cltv_assets.models.purchase.registry import model_named
from cltv_assets_tests.models.shops import CHRISTMAS, OlderShop, Shop, simulate_older, soon_again

PLAIN = OperationalTime(None, 1)


def look(shop: Shop, end: str, name: str = "bg_nbd", clock: OperationalTime = PLAIN):
    histories = shop.histories(end)
    known = fit_purchase_model(histories.statistics(clock), name).usable_parameters()
    return histories, known, find_older_base(histories, soon_again(shop, end), name, known, clock)


#: Shops of other parameters, ages and lengths than each other.
OLDER = {
    "dropout at purchases": lambda: simulate_older(21, 6000, (0.7, 60.0), dropout=(0.8, 3.5)),
    "frequent buyers": lambda: simulate_older(22, 6000, (1.2, 120.0), dropout=(0.5, 2.5), before=3.0),
    "two years": lambda: simulate_older(23, 6000, (0.7, 60.0), dropout=(0.8, 3.5), before=4.0, seen=2.0),
    "dropout by the calendar": lambda: simulate_older(24, 6000, (1.2, 120.0), lifetimes=(0.6, 200.0), before=4.0),
}


@pytest.mark.parametrize("kind", list(OLDER))
def test_older_customers_are_found_and_mend_the_predictions(kind):
    truth: OlderShop = OLDER[kind]()
    histories, known, found = look(truth.shop, truth.end)
    assert found is not None
    difference = difference_made(found, histories, known, PLAIN, 365.0)
    assert difference.customers == pytest.approx(truth.older.sum(), rel=0.2)
    model, weights = model_named("bg_nbd"), histories.weights
    before = (weights * model.expected_purchases(known, histories.patterns(PLAIN), np.array([365.0]))[:, 0]).sum()
    alive = (weights * model.p_alive(known, histories.patterns(PLAIN))).sum() / weights.sum()
    miss, missed = before * (1 + difference.total) / truth.bought - 1, before / truth.bought - 1
    assert missed > 0.05
    # Dropout by the calendar is another model's story, and errs on top.
    assert abs(miss) < (0.09 if "calendar" in kind else 0.07)
    assert abs(miss) < 0.6 * missed
    off, was_off = alive + difference.p_alive - truth.alive.mean(), alive - truth.alive.mean()
    assert was_off > 0.08
    assert abs(off) < 0.05


NEW = {
    "even": lambda: simulate_older(31, 4000, (0.7, 60.0), dropout=(0.8, 3.5), before=0.0),
    "declining": lambda: simulate_older(32, 4000, (0.7, 60.0), dropout=(0.8, 3.5), before=0.0, decline=2.0),
    "declining, by the calendar": lambda: simulate_older(
        33, 8000, (0.8, 80.0), lifetimes=(1.2, 800.0), before=0.0, seen=2.0, decline=3.0
    ),
    "growing and older": lambda: simulate_older(34, 4000, (0.7, 60.0), dropout=(0.8, 3.5), before=0.5, decline=-9.0),
}


@pytest.mark.parametrize("kind", list(NEW))
def test_new_customers_are_not_taken_for_older_ones(kind):
    truth = NEW[kind]()
    histories, _, found = look(truth.shop, truth.end)
    assert declines(histories) == kind.startswith("declining")
    assert found is None


@pytest.mark.parametrize("end", ["1997-06-30", "1997-09-30", "1998-06-30"])
def test_a_cohort_is_not_taken_for_older_customers(end):
    """CDNOW's customers all began in one quarter: first purchases stop, and no later customers are there to compare."""
    rows = np.loadtxt(cdnow._dataset("CDNOW_master.txt"), skiprows=1, usecols=(0, 1), dtype=np.int64)
    rows = np.unique(rows, axis=0)
    day = np.array([f"{d // 10_000}-{d // 100 % 100:02}-{d % 100:02}" for d in rows[:, 1]], dtype="datetime64[D]")
    shop = Shop(rows[:, 0] - 1, day)
    assert declines(shop.histories(end))
    assert look(shop, end)[2] is None


def test_the_populations_are_a_maximum_of_the_likelihood_written_out():
    truth = simulate_older(41, 2500, (0.7, 60.0), dropout=(0.8, 3.5))
    histories, _, found = look(truth.shop, truth.end)
    length = float((np.datetime64(truth.end) - found.start).astype(np.int64))
    first, last = ((days - found.start).astype(np.float64) for days in (histories.first, histories.last))

    def density(parameters, x, recency, age):
        r, alpha, a, b = parameters
        common = gammaln(r + x) - gammaln(r) + r * np.log(alpha) - betaln(a, b)
        on = common + betaln(a, b + x) - (r + x) * np.log(alpha + age)
        gone = common + betaln(a + 1, b + np.maximum(x, 1) - 1) - (r + x) * np.log(alpha + recency)
        return np.where(x > 0, np.logaddexp(on, gone), on)

    def total(logs):
        older, newer, (present, arriving) = np.exp(logs[:4]), np.exp(logs[4:8]), np.exp(logs[8:])
        as_older = np.log(present) + density(older, histories.frequency + 1, last, length)
        as_newer = np.log(arriving) + density(newer, histories.frequency, last - first, length - first)
        seen = 1.0 - (older[1] / (older[1] + length)) ** older[0]
        return (histories.weights * np.logaddexp(as_older, as_newer)).sum() - present * seen - arriving * length

    at = np.log([*found.older.values(), *found.newer.values(), found.present, found.arriving])
    best = total(at)
    rng = np.random.default_rng(1)
    # The algorithm ends where nobody's probability moves by more than 0.002: a few hundredths of a nat below the top.
    for _ in range(200):
        assert total(at + 0.3 * rng.normal(size=10)) < best
    for axis in range(10):
        for step in (-0.15, 0.15):
            moved = at.copy()
            moved[axis] += step
            assert total(moved) < best + 0.1, axis


def test_those_who_turn_up_at_once_and_buy_often_are_the_likeliest_older_ones():
    truth = simulate_older(42, 4000, (0.7, 60.0), dropout=(0.8, 3.5))
    histories, _, found = look(truth.shop, truth.end)
    _, older = found.readings(histories, PLAIN)
    day = (histories.first - histories.first_day).astype(np.int64)

    def mean(rows):
        return np.average(older.probability[rows], weights=histories.weights[rows])

    assert mean((day < 30) & (histories.frequency > 4)) > mean((day < 30) & (histories.frequency == 0)) > 0.5
    assert mean(day < 30) > mean((day > 60) & (day < 120)) > mean(day > 300)
    # The first purchase seen of an older customer is one more, and age counts from the data's start.
    assert (older.patterns.frequency == histories.frequency + 1).all()
    assert set(older.patterns.T) == {float((np.datetime64(truth.end) - found.start).astype(np.int64))}


def test_weeks_and_merged_dates_find_the_same():
    truth = simulate_older(43, 15_000, (0.7, 60.0), dropout=(0.8, 3.5))
    histories, known, found = look(truth.shop, truth.end)
    assert len(histories.frequency) > 4_000
    days = difference_made(found, histories, known, PLAIN, 364.0)
    weekly = OperationalTime(None, 7)
    histories, known, found = look(truth.shop, truth.end, clock=weekly)
    weeks = difference_made(found, histories, known, weekly, 52.0)
    assert weeks.total == pytest.approx(days.total, abs=0.005)
    assert weeks.customers == pytest.approx(days.customers, rel=0.02)


def test_sooner_is_told_by_the_first_days_and_the_later_half():
    start, end = np.datetime64("2022-01-01"), np.datetime64("2022-12-31")
    first = np.arange(start, end + 1)
    place = np.arange(365)
    customers = np.full(365, 20.0)

    def sooner(early: float, late: float = 0.5) -> bool:
        purchases = customers * np.where(place < 30, early, late)
        return SoonAgain(first, customers, purchases, 2.0 * purchases).first_ones_sooner(start, end, PLAIN)

    assert sooner(0.8)
    assert not sooner(0.62)
    assert not sooner(0.5)
    assert not sooner(0.8, 0.0)
    # Those of the last days have not been seen for long enough, whatever they bought.
    purchases = customers * np.where(place < 30, 0.8, np.where(place > 364 - SOON_DAYS, 100.0, 0.5))
    assert SoonAgain(first, customers, purchases, 2.0 * purchases).first_ones_sooner(start, end, PLAIN)
    # Few customers tell nothing.
    few = SoonAgain(first, customers / 40, customers * 0.02, customers * 0.04)
    assert not few.first_ones_sooner(start, end, PLAIN)


@pytest.mark.parametrize("days_per_unit", [1, 7])
def test_a_season_that_is_known_makes_nobody_older(days_per_unit):
    """A shop that opens in November: its first customers buy soon again because everybody does."""
    start, end = np.datetime64("2021-11-01"), np.datetime64("2023-10-31")
    first = np.arange(start, end + 1)
    clock = OperationalTime(CHRISTMAS, days_per_unit)
    customers = np.full(len(first), 20.0)
    purchases = customers * 0.01 * clock.elapsed(first, first + SOON_DAYS) * days_per_unit
    again = SoonAgain(first, customers, purchases, 2.0 * purchases)
    assert again.first_ones_sooner(start, end, OperationalTime(None, days_per_unit))
    assert not again.first_ones_sooner(start, end, clock)
