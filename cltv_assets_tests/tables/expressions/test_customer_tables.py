"""RFM against lifetimes' own summary, and what the definitions imply."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from cltv_assets.months import Month
from cltv_assets.tables import purchase_days, repeat_customers, rfm_summary
from cltv_assets.tables.cleaned_and_rejected.columns import CLEANED_TRANSACTIONS
from cltv_assets.tables.purchase_days import PURCHASE_DAYS

MONTH = Month.parse("2011-06")


def day_rows(*rows: tuple[str, str, int, str, str]) -> pa.Table:
    """Make purchase_days from (customer, day, orders, spend, refunds)."""
    made = [
        {
            "customer_id": customer,
            "purchase_day": dt.date.fromisoformat(day),
            "order_count": orders,
            "line_count": orders,
            "spend": Decimal(spend),
            "refunds": Decimal(refunds),
        }
        for customer, day, orders, spend, refunds in rows
    ]
    return pa.Table.from_pylist(made, schema=PURCHASE_DAYS.arrow)


def observe(engine, table: pa.Table, settings: Any) -> dict[str, dict[str, Any]]:
    found = rfm_summary.observed_customers(engine.from_arrow(table), MONTH, settings)
    return {row["customer_id"]: row for row in engine.collect(found).to_pylist()}


@pytest.fixture(scope="module")
def random_orders() -> pd.DataFrame:
    rng = np.random.default_rng(7)
    n = 4000
    return pd.DataFrame(
        {
            "customer": rng.integers(0, 500, n).astype(str),
            "day": pd.Timestamp("2011-01-01") + pd.to_timedelta(rng.integers(0, 181, n), unit="D"),
            "amount": rng.integers(1, 100_000, n) / 100,
        }
    )


def test_rfm_is_lifetimes_summary(engine, shop_settings, random_orders):
    from lifetimes.utils import summary_data_from_transaction_data

    expected = summary_data_from_transaction_data(
        random_orders, "customer", "day", "amount", observation_period_end="2011-06-30"
    )
    daily = random_orders.groupby(["customer", "day"])["amount"].agg(["sum", "count"]).reset_index()
    table = day_rows(
        *[
            (row.customer, str(row.day.date()), row.count_, f"{row.sum_:.2f}", "0")
            for row in daily.rename(columns={"sum": "sum_", "count": "count_"}).itertuples()
        ]
    )
    found = observe(engine, table, shop_settings())
    assert set(found) == set(expected.index)
    for customer, row in expected.iterrows():
        mine = found[str(customer)]
        assert (mine["frequency"], mine["recency"], mine["T"]) == (row.frequency, row.recency, row["T"])
        assert mine["monetary_value"] == pytest.approx(row.monetary_value, rel=1e-12)


def test_weeks_are_seven_days_and_keep_the_days(engine, shop_settings):
    table = day_rows(("a", "2011-06-01", 1, "5", "0"), ("a", "2011-06-11", 1, "5", "0"))
    found = observe(engine, table, shop_settings(time_unit="week"))["a"]
    assert (found["frequency"], found["recency"], found["T"]) == (1, 10 / 7, 29 / 7)


def test_later_days_are_not_known_yet(engine, shop_settings):
    table = day_rows(
        ("a", "2011-06-30", 1, "5", "0"), ("a", "2011-07-01", 1, "9", "0"), ("b", "2011-07-02", 1, "1", "0")
    )
    found = observe(engine, table, shop_settings())
    assert list(found) == ["a"]
    assert (found["a"]["frequency"], found["a"]["T"], found["a"]["total_spend"]) == (0, 0, 5)


def test_refunds_lower_the_value_in_proportion_when_netted(engine, shop_settings):
    table = day_rows(
        ("a", "2011-05-01", 1, "60", "0"), ("a", "2011-05-10", 2, "40", "0"), ("a", "2011-06-01", 0, "0", "25")
    )
    net = observe(engine, table, shop_settings())["a"]
    assert net["frequency"] == 1  # the day of the refund is no purchase
    assert net["monetary_value"] == 40 * 0.75
    assert (net["total_spend"], net["repeat_spend"], net["total_refunds"]) == (100, 40, 25)
    assert observe(engine, table, shop_settings(refunds="drop"))["a"]["monetary_value"] == 40


def test_a_fully_refunded_customer_is_worth_nothing_and_still_bought(engine, shop_settings):
    table = day_rows(("a", "2011-05-01", 1, "10", "0"), ("a", "2011-05-10", 1, "10", "90"))
    found = observe(engine, table, shop_settings())["a"]
    assert (found["frequency"], found["monetary_value"]) == (1, 0.0)


def test_someone_who_only_returned_things_is_no_customer(engine, shop_settings):
    assert observe(engine, day_rows(("a", "2011-05-01", 0, "0", "10")), shop_settings()) == {}


def test_purchase_days_merge_orders_and_keep_money(engine):
    lines = [
        ("o1", "a", "2011-06-01", "purchase", "5.10"),
        ("o1", "a", "2011-06-01", "purchase", "4.90"),
        ("o2", "a", "2011-06-01", "purchase", "1.00"),
        ("C3", "a", "2011-06-01", "refund", "-4.90"),
        ("C4", "b", "2011-06-02", "refund", "-7.00"),
    ]
    rows = [
        {
            "transaction_id": order,
            "customer_id": customer,
            "transacted_at": dt.datetime.fromisoformat(day).replace(tzinfo=dt.UTC),
            "purchase_day": dt.date.fromisoformat(day),
            "kind": kind,
            "quantity": None,
            "amount": Decimal(amount),
            "amount_delivered": Decimal(amount),
            "source_file": "f",
            "source_line": n,
        }
        for n, (order, customer, day, kind, amount) in enumerate(lines)
    ]
    cleaned = engine.from_arrow(pa.Table.from_pylist(rows, schema=CLEANED_TRANSACTIONS.arrow))
    found = {row["customer_id"]: row for row in engine.collect(purchase_days.merge_by_day(cleaned)).to_pylist()}
    assert (found["a"]["order_count"], found["a"]["line_count"]) == (2, 3)
    assert (found["a"]["spend"], found["a"]["refunds"]) == (Decimal("11.0000"), Decimal("4.9000"))
    assert (found["b"]["order_count"], found["b"]["spend"], found["b"]["refunds"]) == (0, 0, 7)


def test_repeat_customers_need_two_purchase_days_inside_the_window(engine):
    table = day_rows(
        ("both", "2011-05-01", 1, "5", "0"), ("both", "2011-06-01", 1, "5", "1"),
        ("one_outside", "2011-03-31", 1, "5", "0"), ("one_outside", "2011-06-01", 1, "5", "0"),
        ("twice_a_day", "2011-06-01", 2, "5", "0"),
        ("refund", "2011-05-01", 1, "5", "0"), ("refund", "2011-06-01", 0, "0", "5"),
        ("edges", "2011-04-01", 1, "5", "0"), ("edges", "2011-06-30", 1, "5", "0"),
    )  # fmt: skip
    found = repeat_customers.repeaters_in_window(engine.from_arrow(table), MONTH, 3)
    rows = {row["customer_id"]: row for row in engine.collect(found).to_pylist()}
    assert set(rows) == {"both", "edges"}
    assert rows["both"]["purchase_day_count"] == 2
    assert str(rows["edges"]["window_start"]) == "2011-04-01"
    assert str(rows["edges"]["window_end"]) == "2011-06-30"
