"""Days between purchases, counted by the engine and by hand."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pyarrow as pa
import pytest

from cltv_assets.lake import Lake
from cltv_assets.months import Month
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.purchase_days import PURCHASE_DAYS
from cltv_assets.tables.purchase_model.intervals import purchase_intervals
from cltv_assets_tests.models.shops import simulate_regular
from cltv_assets_tests.tables.checks.good_month import NoSource

MONTH = Month.parse("2001-12")


@pytest.fixture
def counted(shared_engine, shop_settings):
    def count(purchases):
        rows = [
            {
                "customer_id": customer, "purchase_day": day, "order_count": orders, "line_count": 1,
                "spend": Decimal(orders), "refunds": Decimal(1 - orders),
            }
            for customer, day, orders in purchases
        ]  # fmt: skip
        days = shared_engine.from_arrow(pa.Table.from_pylist(rows, schema=PURCHASE_DAYS.arrow))
        run = MonthRun(MONTH, shop_settings(start_month="2001-01"), shared_engine, Lake("unused"), NoSource(), {})
        found = purchase_intervals(run, days)
        return [
            dict(zip(each.days.tolist(), each.counts.tolist(), strict=True))
            for each in (found.every, found.last_two, found.sums)
        ]

    return count


def test_intervals_are_those_of_purchases_up_to_the_month(counted):
    def on(customer, *days, orders=1):
        return [(customer, dt.date(2001, 1, 1) + dt.timedelta(days=day), orders) for day in days]

    purchases = [
        *on("often", 0, 3, 10, 10 + 31),
        *on("twice", 5, 8),
        *on("once", 7),
        # A day with refunds only is no purchase, and what comes after the month is not known.
        *on("returns", 20, 30, 60), *on("returns", 40, orders=0), *on("returns", 365),
    ]  # fmt: skip
    every, last_two, sums = counted(purchases)
    assert every == {3: 2, 7: 1, 31: 1, 10: 1, 30: 1}
    assert last_two == {7: 1, 31: 1, 10: 1, 30: 1}
    assert sums == {38: 1, 40: 1}


def test_many_customers_are_counted_as_by_hand(counted):
    shop = simulate_regular(4, 300, 3, (1.0, 12.0), (0.5, 4.0), years=1.5)
    rows = zip(shop.customer.tolist(), shop.day.astype(object).tolist(), strict=True)
    found = counted([(str(customer), day, 1) for customer, day in rows])
    known = shop.intervals(str(MONTH.last_day))
    for mine, theirs in zip(found, (known.every, known.last_two, known.sums), strict=True):
        assert mine == dict(zip(theirs.days.tolist(), theirs.counts.tolist(), strict=True))
    assert sum(found[2].values()) > 50


def test_without_purchases_there_are_no_intervals(counted):
    assert counted([]) == [{}, {}, {}]
