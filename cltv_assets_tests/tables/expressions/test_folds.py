"""Holdouts inside the history, counted by the engine and by plain loops."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from cltv_assets.months import Month
from cltv_assets.tables.purchase_days import PURCHASE_DAYS
from cltv_assets.tables.purchase_model import folds
from cltv_assets.tables.purchase_model.folds import Window, windows

MONTH = Month.parse("2001-12")
WINDOWS = [Window(Month.parse("2001-09"), MONTH), Window(Month.parse("2001-06"), Month.parse("2001-09"))]


@pytest.fixture(scope="module")
def purchases() -> list[tuple[str, dt.date, int]]:
    """Customer-days to the spring after, some of them with refunds only."""
    rng = np.random.default_rng(9)
    start = dt.date(2001, 1, 1)
    rows = set()
    for number in range(60):
        first = int(rng.integers(0, 400))
        for day in [first, *(first + rng.integers(1, 300, rng.integers(0, 6))).tolist()]:
            rows.add((f"c{number}", start + dt.timedelta(days=int(day))))
    # On the very ends of origins and holdouts.
    for day in (dt.date(2001, 6, 30), dt.date(2001, 7, 1), dt.date(2001, 9, 30), dt.date(2001, 12, 31)):
        rows.add(("edge", day))
    rows.add(("later", dt.date(2002, 1, 1)))
    return [(customer, day, int(rng.random() > 0.1)) for customer, day in sorted(rows)]


@pytest.fixture
def days(shared_engine, purchases):
    table = pa.Table.from_pylist(
        [
            {
                "customer_id": customer, "purchase_day": day, "order_count": orders, "line_count": 1,
                "spend": Decimal(orders), "refunds": Decimal(1 - orders),
            }
            for customer, day, orders in purchases
        ],
        schema=PURCHASE_DAYS.arrow,
    )  # fmt: skip
    yield shared_engine.from_arrow(table)
    shared_engine.release()


def test_groups_are_those_of_a_loop_over_customers(shared_engine, days, purchases):
    customers = folds.customers_by_fold(days, MONTH, WINDOWS)
    found = {
        tuple(row[name] for name in folds.FOLD_KEY): row["customers"]
        for row in shared_engine.collect(folds.fold_groups(customers, 2)).to_pylist()
    }
    by_customer = defaultdict(list)
    for customer, day, orders in purchases:
        if orders:
            by_customer[customer].append(day)
    expected: Counter[tuple[object, ...]] = Counter()
    for bought_on in by_customer.values():
        for k, window in enumerate(WINDOWS):
            known = sorted(day for day in bought_on if day <= window.origin.last_day)
            after = [day for day in bought_on if window.origin.last_day < day <= window.last.last_day]
            if known:
                expected[k, len(known) - 1, known[0], known[-1], len(after)] += 1
    assert found == dict(expected)
    assert sum(key[4] for key in found) > 20


def test_nothing_after_the_month_is_read(shared_engine, days):
    until = days.filter(days.purchase_day <= MONTH.last_day)
    for make in (
        lambda table: folds.fold_groups(folds.customers_by_fold(table, MONTH, WINDOWS), 2).order_by(folds.FOLD_KEY),
        lambda table: folds.purchases_by_month(table, MONTH).order_by("year", "month_of_year"),
    ):
        assert shared_engine.collect(make(days)).equals(shared_engine.collect(make(until)))


def test_purchases_are_counted_by_month(shared_engine, days, purchases):
    rows = shared_engine.collect(folds.purchases_by_month(days, MONTH)).to_pylist()
    expected = Counter((day.year, day.month) for _, day, orders in purchases if orders and day <= MONTH.last_day)
    assert {(row["year"], row["month_of_year"]): row["purchases"] for row in rows} == expected


def test_holdouts_end_with_the_month_and_leave_three_months_before_the_origin():
    def made(first: str, month: str, horizon: int) -> list[tuple[str, str]]:
        return [(w.origin.key, w.last.key) for w in windows(Month.parse(first), Month.parse(month), horizon)]

    # Three in a row and those between them, as of this month and of the two before it.
    every = made("2000-01", "2001-12", 3)
    assert every[::3] == [("2001-09", "2001-12"), ("2001-06", "2001-09"), ("2001-03", "2001-06")]
    assert (every[1], every[-1], len(every)) == (("2001-08", "2001-11"), ("2001-01", "2001-04"), 9)
    assert made("2000-01", "2001-11", 3)[:8] == every[1:]
    assert made("2001-01", "2001-08", 3) == [("2001-05", "2001-08"), ("2001-04", "2001-07"), ("2001-03", "2001-06")]
    assert made("2001-03", "2001-08", 3) == [("2001-05", "2001-08")]
    assert made("2001-04", "2001-08", 3) == []
    # As long as the shortest horizon, but no longer than three months.
    assert made("2000-01", "2001-12", 1) == [(f"2001-{m:02d}", f"2001-{m + 1:02d}") for m in range(11, 6, -1)]
    assert made("2000-01", "2001-12", 12)[0] == ("2001-09", "2001-12")
