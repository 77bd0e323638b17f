"""RFM against lifetimes' own summary, and what the definitions imply."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from types import SimpleNamespace
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
#: What outliers are capped at.
CAP = Decimal(1000)


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


def days_of(engine, *lines: tuple[str, str, str, str, str]) -> dict[tuple[str, int], dict[str, Any]]:
    """Merge lines of (order, customer, day, kind, amount), and find rows by customer and day of the month."""
    rows = [
        {
            "transaction_id": order,
            "customer_id": customer,
            "transacted_at": dt.datetime.fromisoformat(day).replace(tzinfo=dt.UTC),
            "purchase_day": dt.date.fromisoformat(day),
            "kind": kind,
            "quantity": None,
            "amount": min(Decimal(amount), CAP),
            "amount_delivered": Decimal(amount),
            "source_file": "f",
            "source_line": n,
        }
        for n, (order, customer, day, kind, amount) in enumerate(lines)
    ]
    cleaned = engine.from_arrow(pa.Table.from_pylist(rows, schema=CLEANED_TRANSACTIONS.arrow))
    found = engine.collect(purchase_days.merge_by_day(cleaned)).to_pylist()
    return {(row["customer_id"], row["purchase_day"].day): row for row in found}


def test_purchase_days_merge_orders_and_keep_money(engine):
    found = days_of(
        engine,
        ("o1", "a", "2011-06-01", "purchase", "5.10"),
        ("o1", "a", "2011-06-01", "purchase", "4.90"),
        ("o2", "a", "2011-06-01", "purchase", "1.00"),
        ("C3", "a", "2011-06-01", "refund", "-4.90"),
        ("C4", "b", "2011-06-02", "refund", "-7.00"),
    )
    a, b = found["a", 1], found["b", 2]
    assert (a["order_count"], a["line_count"]) == (2, 3)
    assert (a["spend"], a["refunds"]) == (Decimal("11.0000"), Decimal("4.9000"))
    assert (b["order_count"], b["spend"], b["refunds"]) == (0, 0, 7)


def test_what_is_cancelled_on_its_own_day_is_no_purchase_and_keeps_its_money(engine):
    found = days_of(
        engine,
        # Under another number, all of the day.
        ("o1", "a", "2011-06-01", "purchase", "30.00"),
        ("o1", "a", "2011-06-01", "purchase", "20.00"),
        ("C2", "a", "2011-06-01", "refund", "-50.00"),
        # Under the order's own number, beside another order, or beside the return of something older.
        ("o3", "a", "2011-06-02", "purchase", "50.00"),
        ("o3", "a", "2011-06-02", "refund", "-50.00"),
        ("o4", "a", "2011-06-02", "purchase", "8.00"),
        ("o5", "a", "2011-06-03", "purchase", "50.00"),
        ("o5", "a", "2011-06-03", "refund", "-50.00"),
        ("C6", "a", "2011-06-03", "refund", "-8.00"),
        # Returned a day later, in part, or beside something older that went back: a purchase took place.
        ("o7", "a", "2011-06-04", "purchase", "10.00"),
        ("o7", "a", "2011-06-05", "refund", "-10.00"),
        ("o8", "a", "2011-06-06", "purchase", "10.00"),
        ("o8", "a", "2011-06-06", "refund", "-9.99"),
        ("o9", "a", "2011-06-07", "purchase", "10.00"),
        ("o9", "a", "2011-06-07", "refund", "-60.00"),
        # Capped as an outlier, but the refund is of the whole.
        ("o10", "a", "2011-06-08", "purchase", "5000.00"),
        ("C11", "a", "2011-06-08", "refund", "-5000.00"),
        # Free, without a refund.
        ("o12", "a", "2011-06-09", "purchase", "0.00"),
    )  # fmt: skip
    counts = {day: row["order_count"] for (_, day), row in found.items()}
    assert counts == {1: 0, 2: 1, 3: 0, 4: 1, 5: 0, 6: 1, 7: 1, 8: 0, 9: 1}
    assert (found["a", 1]["spend"], found["a", 1]["refunds"], found["a", 1]["line_count"]) == (50, 50, 2)
    assert (found["a", 2]["spend"], found["a", 2]["refunds"]) == (58, 50)
    assert (found["a", 8]["spend"], found["a", 8]["refunds"]) == (CAP, 5000)


def test_a_cancelled_day_changes_nothing_of_what_its_customer_is(engine, shop_settings):
    bought = ("a", "2011-05-01", 1, "60", "0"), ("a", "2011-05-10", 1, "40", "25")
    plain = observe(engine, day_rows(*bought), shop_settings())
    # The largest order of all, before, between and after the others.
    for day in ("2011-04-01", "2011-05-05", "2011-06-20"):
        cancelled = day_rows(*bought, ("a", day, 0, "7000", "7000"), ("b", day, 0, "9000", "9000"))
        assert observe(engine, cancelled, shop_settings()) == plain
    # What goes back beyond such a day is of another one.
    more = observe(engine, day_rows(*bought, ("a", "2011-06-20", 0, "7000", "7010")), shop_settings())["a"]
    assert (more["total_spend"], more["total_refunds"]) == (100, 35)


def test_the_spend_score_goes_by_what_was_kept(engine, shop_settings):
    rows = [(f"{i}", "2011-05-01", 1, str(10 * i), "0") for i in range(1, 5)]
    rows += [("returned", "2011-05-01", 1, "9000", "0"), ("returned", "2011-06-01", 0, "0", "9500")]
    inputs = {"purchase_days": engine.from_arrow(day_rows(*rows))}
    run = SimpleNamespace(engine=engine, inputs=inputs, month=MONTH, settings=shop_settings())
    scores = {row["customer_id"]: row["m_score"] for row in engine.collect(rfm_summary.make(run)).to_pylist()}
    assert scores == {"returned": 1, "1": 2, "2": 3, "3": 4, "4": 5}


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


def test_days_of_lines_without_amounts_have_orders_and_no_money(engine):
    line = {"kind": "purchase", "source_file": "f", "transacted_at": dt.datetime(2011, 6, 1, tzinfo=dt.UTC)}
    rows = [
        line | {"customer_id": who, "transaction_id": number, "purchase_day": dt.date(2011, 6, day), "source_line": i}
        for i, (who, number, day) in enumerate(
            [("a", "1", 1), ("a", "1", 1), ("a", "2", 1), ("a", "3", 9), ("b", "4", 1)]
        )
    ]
    table = engine.from_arrow(pa.Table.from_pylist(rows, schema=CLEANED_TRANSACTIONS.arrow))
    found = engine.collect(purchase_days.merge_by_day(table).order_by("customer_id", "purchase_day")).to_pylist()
    assert [(row["order_count"], row["line_count"]) for row in found] == [(2, 3), (1, 1), (1, 1)]
    assert {row[name] for row in found for name in ("spend", "refunds", "margin", "margin_spend")} == {None}
    without = purchase_days.merge_by_day(table, margins=False).order_by("customer_id", "purchase_day")
    assert engine.collect(without).to_pylist() == found


@pytest.mark.parametrize("refunds", ["net", "drop"])
def test_what_customers_without_amounts_spent_is_not_known(engine, shop_settings, refunds):
    table = day_rows(
        ("a", "2011-06-01", 1, "5", "0"), ("a", "2011-06-05", 1, "5", "0"), ("b", "2011-06-01", 1, "5", "0")
    )
    for name in ("spend", "refunds"):
        place = table.schema.get_field_index(name)
        table = table.set_column(place, table.schema.field(name), pa.nulls(3, table.schema.field(name).type))
    settings = shop_settings(refunds=refunds)
    found = observe(engine, table, settings)
    assert {name: (row["frequency"], row["recency"]) for name, row in found.items()} == {"a": (1, 4.0), "b": (0, 0.0)}
    money = ("monetary_value", "total_spend", "repeat_spend", "total_refunds")
    assert {row[name] for row in found.values() for name in money} == {None}
    thresholds = rfm_summary.ScoreThresholds([dt.date(2011, 6, 1)] * 4, [0] * 4, None)
    observed = rfm_summary.observed_customers(engine.from_arrow(table), MONTH, settings)
    scored = engine.collect(rfm_summary.with_scores(observed, thresholds).order_by("customer_id")).to_pylist()
    assert [(row["r_score"], row["f_score"], row["m_score"]) for row in scored] == [(5, 5, None), (1, 1, None)]


def test_a_day_without_an_amount_makes_the_sum_unknown(engine, shop_settings):
    table = day_rows(
        ("a", "2011-06-01", 1, "5", "0"), ("a", "2011-06-05", 1, "5", "0"), ("b", "2011-06-01", 1, "5", "0")
    )
    spend = pa.array([Decimal(5), None, Decimal(5)], table.schema.field("spend").type)
    table = table.set_column(table.schema.get_field_index("spend"), table.schema.field("spend"), spend)
    found = observe(engine, table, shop_settings())
    assert [found[name]["total_spend"] for name in "ab"] == [None, Decimal(5)]
    assert [found[name]["monetary_value"] for name in "ab"] == [None, 0.0]
