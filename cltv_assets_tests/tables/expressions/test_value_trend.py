"""Trends in order values, against the same estimate written out customer by customer and month by month."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from cltv_assets.models.value_trend import ValueTrend
from cltv_assets.months import Month
from cltv_assets.tables.purchase_days import PURCHASE_DAYS
from cltv_assets.tables.purchase_model.folds import Window
from cltv_assets.tables.spend_model.folds import customers_by_fold, fold_patterns
from cltv_assets.tables.value_trend import growth_ahead, lifted, repeat_orders, trend_of, with_values_of_today

END = Month.parse("2012-12")


def shop(seed: int, monthly: float = 0.0, customers: int = 300, months: int = 12) -> dict[str, np.ndarray]:
    """Return orders of customers with a level of their own, whose values change by a factor each month."""
    rng = np.random.default_rng(seed)
    start = rng.integers(0, 30 * (months - 2), customers)
    who = np.repeat(np.arange(customers), rng.geometric(0.25, customers))
    day = start[who] + rng.integers(0, 30 * months, len(who))
    keep = np.unique(np.column_stack((who, day))[day < 30 * months], axis=0)
    who, day = keep.T
    first = END.shift(1 - months).first_day
    dates = np.array([first + dt.timedelta(days=int(d)) for d in day])
    age = np.array([(END.first_day.year - d.year) * 12 + END.first_day.month - d.month for d in dates])
    level = rng.lognormal(3.0, 0.6, customers)
    spend = np.round(level[who] * rng.lognormal(0.0, 0.5, len(who)) * np.exp(-monthly * age), 2)
    return {"who": who, "day": dates, "age": age, "spend": np.maximum(spend, 0.01)}


def days_of(orders: dict[str, np.ndarray]) -> pa.Table:
    rows = [
        {
            "customer_id": f"c{who:04}", "purchase_day": day, "order_count": 1, "line_count": 1,
            "spend": Decimal(f"{spend:.2f}"), "refunds": Decimal(0),
        }
        for who, day, spend in zip(orders["who"], orders["day"], orders["spend"], strict=True)
    ]  # fmt: skip
    return pa.Table.from_pylist(rows, schema=PURCHASE_DAYS.arrow)


def firsts_of(orders: dict[str, np.ndarray]) -> pa.Table:
    first = {who: min(orders["day"][orders["who"] == who]) for who in np.unique(orders["who"])}
    return pa.table({"customer_id": [f"c{who:04}" for who in first], "first_purchase": list(first.values())})


def repeats(orders: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    first = {who: min(orders["day"][orders["who"] == who]) for who in np.unique(orders["who"])}
    kept = np.array([day > first[who] for who, day in zip(orders["who"], orders["day"], strict=True)])
    return {name: each[kept] for name, each in orders.items()}


def by_hand(orders: dict[str, np.ndarray]) -> tuple[float, float]:
    """Return the slope within customers and its standard error by clusters of customers and of months."""
    one = repeats(orders)
    t, y = -one["age"].astype(float), np.log(one["spend"])
    for who in np.unique(one["who"]):
        mine = one["who"] == who
        t[mine] -= t[mine].mean()
        y[mine] -= y[mine].mean()
    moved = np.array([np.abs(t[one["who"] == who]).max() > 1e-9 for who in one["who"]])
    t, y, who, age = t[moved], y[moved], one["who"][moved], one["age"][moved]
    slope = (t * y).sum() / (t * t).sum()
    score = t * (y - slope * t)
    by_customer = sum(score[who == each].sum() ** 2 for each in np.unique(who))
    by_month = sum(score[age == each].sum() ** 2 for each in np.unique(age)) * len(np.unique(age))
    by_month /= len(np.unique(age)) - 1
    variance = max(by_customer + by_month - (score**2).sum(), by_customer, by_month)
    return float(slope), float(np.sqrt(variance) / (t * t).sum())


def measured(engine: Any, orders: dict[str, np.ndarray]) -> ValueTrend | None:
    found = repeat_orders(engine.from_arrow(days_of(orders)), engine.from_arrow(firsts_of(orders)), END)
    return trend_of(engine, found)


@pytest.mark.parametrize("monthly", [0.0, 0.06, -0.08])
def test_the_trend_is_the_slope_within_customers(engine, monthly):
    orders = shop(3, monthly)
    found = measured(engine, orders)
    assert found is not None
    slope, error = by_hand(orders)
    assert (found.monthly, found.error) == pytest.approx((slope, error), rel=1e-5)
    one = repeats(orders)
    assert found.age == pytest.approx((one["spend"] * one["age"]).sum() / one["spend"].sum(), rel=1e-9)
    assert (found.months, found.span) == (len(np.unique(one["age"])), one["age"].max())
    assert found.beyond_chance == (monthly != 0.0)
    assert abs(found.monthly - monthly) < 4 * error


def test_newcomers_who_buy_dearer_things_are_no_trend(engine):
    orders = shop(4)
    # The later a customer came, the more each order is worth.
    came = {who: max(orders["age"][orders["who"] == who]) for who in np.unique(orders["who"])}
    orders["spend"] = np.round(orders["spend"] * np.exp(0.15 * np.array([11 - came[who] for who in orders["who"]])), 2)
    found = measured(engine, orders)
    assert found is not None
    assert not found.beyond_chance


def test_one_dear_month_is_no_trend(engine):
    orders = shop(5)
    orders["spend"] = np.round(orders["spend"] * np.where(orders["age"] == 0, 1.5, 1.0), 2)
    found = measured(engine, orders)
    assert found is not None
    assert found.monthly > 0
    assert not found.beyond_chance


def test_few_customers_tell_no_trend(engine):
    assert measured(engine, shop(1, 0.1, customers=20)) is None


def test_values_of_today_are_each_order_lifted_by_its_age(engine):
    orders, monthly = shop(6), 0.05
    table = repeat_orders(engine.from_arrow(days_of(orders)), engine.from_arrow(firsts_of(orders)), END)
    one = repeats(orders)
    found = {row["customer_id"]: row["level"] for row in engine.collect(lifted(table, monthly)).to_pylist()}
    for who in np.unique(one["who"]):
        mine = one["who"] == who
        today = (one["spend"][mine] * np.exp(monthly * one["age"][mine])).sum()
        assert found[f"c{who:04}"] == pytest.approx(today / one["spend"][mine].sum(), abs=1e-5)
    rfm = engine.from_arrow(pa.table({"customer_id": ["c0000", "nobody"], "monetary_value": [10.0, 20.0]}))
    values = engine.collect(with_values_of_today(rfm, table, monthly).order_by("customer_id"))["monetary_value"]
    assert values.to_pylist() == pytest.approx([10.0 * found.get("c0000", 1.0), 20.0])


def test_a_fold_holds_what_was_known_and_what_orders_then_brought(engine):
    orders, monthly = shop(7), 0.05
    period = Window(END.shift(-3), END.shift(-1))
    # Beside another holdout, which begins where this one ends and knew of another trend.
    folds = [(Window(END.shift(-1), END), -0.2), (period, monthly)]
    customers = customers_by_fold(engine.from_arrow(days_of(orders)), folds)
    rows = engine.collect(fold_patterns(customers, 1, period, monthly)).to_pylist()
    expected: dict[tuple[int, float], list[float]] = {}
    for who in np.unique(orders["who"]):
        mine = {name: each[orders["who"] == who] for name, each in orders.items()}
        known = mine["day"] <= period.origin.last_day
        later = ~known & (mine["day"] <= period.last.last_day)
        if not known.any():
            continue
        repeat = known & (mine["day"] > min(mine["day"]))
        x = int(repeat.sum())
        value = mine["spend"][repeat].mean() if x else 0.0
        today = (mine["spend"] * np.exp(monthly * (mine["age"] - 3)))[repeat].mean() if x else 0.0
        n, z = float(later.sum()), float(mine["spend"][later].sum())
        sums = [1.0, value, today, n, z, n * n, z * z, n * z, float(n > 0)]
        for name in ("all", x):
            old = expected.get(name, [0.0] * len(sums))
            expected[name] = [a + b for a, b in zip(old, sums, strict=True)]
    names = ("orders", "spend", "orders_squares", "spend_squares", "orders_spend", "buyers")
    for key, sums in expected.items():
        own = [row for row in rows if key in ("all", row["frequency"])]
        weighted = [sum(row["customers"] * row[name] for row in own) for name in ("monetary_value", "lifted_value")]
        found = [sum(row["customers"] for row in own), *weighted, *(sum(row[name] for row in own) for name in names)]
        assert found == pytest.approx(sums, rel=1e-6, abs=0.02)


def test_a_trend_goes_on_for_as_long_as_it_was_seen():
    row = {"value_trend": 0.21, "value_trend_use": "goes_on", "value_trend_months": 4}
    assert growth_ahead(row, 6) == pytest.approx([1.21 ** (k / 12) for k in (1, 2, 3, 4, 4, 4)])
    assert growth_ahead(row | {"value_trend_use": "level"}, 3).tolist() == [1.0] * 3
    # Rows of earlier versions know no trend.
    assert growth_ahead({"p": 6.0}, 2).tolist() == [1.0] * 2
