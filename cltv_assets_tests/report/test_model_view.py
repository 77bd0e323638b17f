"""The model's pictures against the published formulas, written out here."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy.special import betaln, gammaln, hyp2f1

from cltv_assets.engines.duckdb_engine import DuckDBEngine
from cltv_assets.report import ReportData, collect
from cltv_assets_tests.report.made_rows import NOW
from cltv_assets_tests.report.small_shop import BG_NBD, STATUS, Customer, Shop

R, ALPHA, A, B = (BG_NBD[name] for name in ("r", "alpha", "a", "b"))


def expected_so_far(t: float) -> float:
    """E[X(t)], Fader, Hardie and Lee (2005), equation 9."""
    if t <= 0:
        return 0.0
    tail = (ALPHA / (ALPHA + t)) ** R * hyp2f1(R, B, A + B - 1, t / (ALPHA + t))
    return float((A + B - 1) / (A - 1) * (1 - tail))


def probability_of(x: int, t: float) -> float:
    """P(X(t) = x), the same paper, equation 8."""
    if t <= 0:
        return float(x == 0)

    def term(j: int) -> float:
        return float(np.exp(gammaln(R + j) - gammaln(R) - gammaln(j + 1) + j * np.log(t / (ALPHA + t))))

    stay = (ALPHA / (ALPHA + t)) ** R
    alive = np.exp(betaln(A, B + x) - betaln(A, B)) * stay * term(x)
    if x == 0:
        return float(alive)
    left = np.exp(betaln(A + 1, B + x - 1) - betaln(A, B)) * (1 - stay * sum(term(j) for j in range(x)))
    return float(alive + left)


def test_histogram(data: ReportData, shop: Shop) -> None:
    counted = Counter(min(customer.frequency, 7) for customer in shop.customers)
    assert data.histogram.actual == tuple(counted[n] for n in range(8))
    assert data.histogram.expected is not None
    for n, expected in enumerate(data.histogram.expected[:7]):
        assert expected == pytest.approx(sum(probability_of(n, one.age) for one in shop.customers), rel=1e-8)
    assert sum(data.histogram.expected) == pytest.approx(len(shop.customers))


def test_who_came_on_the_last_day_has_not_come_back(engine: DuckDBEngine, lake: Path) -> None:
    late = tuple(Customer(str(i), (NOW.last_day,), 1.0, 5.0) for i in range(3))
    facts = collect(Shop(late).run(engine, lake))
    assert facts.histogram.expected == pytest.approx((3.0, *(0.0,) * 7))
    assert facts.matrices is None


def test_one_day_is_time_to_come_back(engine: DuckDBEngine, lake: Path) -> None:
    yesterday = NOW.last_day - dt.timedelta(days=1)
    shop = Shop((Customer("old", (yesterday,), 1.0, 5.0), Customer("new", (NOW.last_day,), 1.0, 5.0)))
    expected = collect(shop.run(engine, lake)).histogram.expected
    assert expected is not None
    assert expected[0] == pytest.approx(1 + probability_of(0, 1), rel=1e-12)
    assert expected[1] == pytest.approx(probability_of(1, 1), rel=1e-9)


def test_matrices(data: ReportData, shop: Shop) -> None:
    facts = data.matrices
    assert facts is not None
    age = (NOW.last_day - min(customer.days[0] for customer in shop.customers)).days
    assert facts.age == age
    assert facts.frequency == max(customer.frequency for customer in shop.customers)
    recencies = np.linspace(0, age, len(facts.p_alive))
    for i, recency in enumerate(recencies):
        for x in range(facts.frequency + 1):
            possible = recency >= x and (x > 0 or recency == 0)
            assert np.isfinite(facts.p_alive[i, x]) == possible
            assert np.isfinite(facts.purchases[i, x]) == possible
            if possible and x:
                odds = A / (B + x - 1) * ((ALPHA + age) / (ALPHA + recency)) ** (R + x)
                assert facts.p_alive[i, x] == pytest.approx(1 / (1 + odds), rel=1e-9)
    assert facts.p_alive[0, 0] == 1.0


def test_matrices_expect_what_equation_10_says(data: ReportData) -> None:
    facts = data.matrices
    assert facts is not None
    x, t = facts.frequency, NOW.days_to_end_of(3)
    for row in (-1, len(facts.p_alive) // 2):
        age = facts.age
        tail = ((ALPHA + age) / (ALPHA + age + t)) ** (R + x)
        series = hyp2f1(R + x, B + x, A + B + x - 1, t / (ALPHA + age + t))
        expected = (A + B + x - 1) / (A - 1) * (1 - tail * series) * facts.p_alive[row, x]
        assert facts.purchases[row, x] == pytest.approx(expected, rel=1e-7)


def test_a_lone_bulk_buyer_does_not_squeeze_the_matrices(engine: DuckDBEngine, lake: Path) -> None:
    start = dt.date(1997, 1, 1)
    few = [Customer(str(i), (start, start + dt.timedelta(days=1 + i % 9)), 0.5, 1.0) for i in range(2_000)]
    bulk = Customer("bulk", tuple(start + dt.timedelta(days=i) for i in range(36)), 0.9, 9.0)
    facts = collect(Shop((*few, bulk)).run(engine, lake)).matrices
    assert facts is not None
    assert facts.frequency == 5


def test_weeks(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    facts = collect(shop.run(engine, lake, time_unit="week"))
    assert facts.matrices is not None
    assert facts.matrices.age == pytest.approx(max(one.age for one in shop.customers) / 7)


def test_repeat_customers_only_are_counted_among_themselves(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    """Fitted on the condition of a repeat purchase: P(X = n | X >= 1), and nobody at 0."""
    loyal = tuple(one for one in shop.customers if one.frequency)
    only = shop.changed(customers=loyal, purchase={**STATUS, **BG_NBD, "truncated": True})
    expected = collect(only.run(engine, lake)).histogram.expected
    assert expected is not None
    assert expected[0] == pytest.approx(0.0, abs=1e-9)
    for n in (1, 4):
        given = [probability_of(n, one.age) / (1 - probability_of(0, one.age)) for one in loyal]
        assert expected[n] == pytest.approx(sum(given), rel=1e-8)


def test_an_extract_is_counted_above_its_bound(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    """P(X = n | X >= 3): nobody below, where only exceptions are, and all but them above."""
    bound = {**STATUS, **BG_NBD, "truncated": True, "least_frequency": 3, "left_out": 1}
    expected = collect(shop.changed(purchase=bound).run(engine, lake)).histogram.expected
    assert expected is not None
    assert expected[:3] == pytest.approx((0.0, 0.0, 0.0), abs=1e-9)
    assert sum(expected) == pytest.approx(len(shop.customers) - 1)
    ages = [one.age for one in shop.customers]
    given = [probability_of(4, age) / (1 - sum(probability_of(n, age) for n in range(3))) for age in ages]
    assert expected[4] == pytest.approx(sum(given) * (1 - 1 / len(ages)), rel=1e-8)


def test_a_seasonal_model_is_drawn_on_its_own_clock(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    """Where April counts for nothing in itself, a purchase at March's end is as good as one of today."""
    quiet = {f"season_{n:02d}": 1.0 for n in range(1, 13)} | {"season_04": 1e-9}
    facts = collect(shop.changed(purchase={**STATUS, **BG_NBD, "seasonality": "monthly", **quiet}).run(engine, lake))
    assert facts.matrices is not None
    first = min(one.days[0] for one in shop.customers)
    days, rows = (NOW.last_day - first).days, len(facts.matrices.p_alive)
    end_of_march = (dt.date(1997, 3, 31) - first).days / days * (rows - 1)
    later = int(np.ceil(end_of_march))
    top, then = facts.matrices.p_alive[-1, 2], facts.matrices.p_alive[later, 2]
    assert then == pytest.approx(top, rel=1e-6)
    # No time has passed on that clock since the last of two repeat purchases.
    assert top == pytest.approx(1 / (1 + A / (B + 1)), rel=1e-9)
    assert facts.matrices.p_alive[later // 2, 2] < top - 0.01
    # And the ages that customers are counted at end with March, each day a little longer.
    longer = 365.2425 / (365.2425 - 30)
    ages = [max((min(dt.date(1997, 3, 31), NOW.last_day) - one.days[0]).days, 0) * longer for one in shop.customers]
    assert facts.histogram.expected is not None
    assert facts.histogram.expected[0] == pytest.approx(sum(probability_of(0, age) for age in ages), rel=1e-6)
