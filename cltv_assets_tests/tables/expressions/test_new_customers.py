"""Sums over new customers, on every engine, against the same sums written out customer by customer."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from cltv_assets.columns import MONTH
from cltv_assets.months import Month
from cltv_assets.tables.new_customer_value.cohorts import (
    Cohort,
    acquired,
    by_attribute,
    cohort_sums,
    first_order_sums,
    outcomes,
)
from cltv_assets.tables.purchase_days import PURCHASE_DAYS
from cltv_assets.tables.rfm_summary import RFM_SUMMARY
from cltv_assets_tests.tables.new_customers import settings_of

JAN, FEB, MAR, APR, JUN = (Month.parse(f"2011-0{n}") for n in (1, 2, 3, 4, 6))


def customer(name: str, first: dt.date, spends: list[str], refunds: str = "0", margin: float | None = None) -> dict:
    money = [Decimal(spend) for spend in spends]
    return {
        "customer_id": name, "first_purchase": first, "frequency": len(spends) - 1, "total_spend": sum(money),
        "repeat_spend": sum(money[1:], Decimal(0)), "total_refunds": Decimal(refunds), "gross_margin": margin,
    }  # fmt: skip


def rfm_of(engine, rows):
    return engine.from_arrow(pa.Table.from_pylist(rows, schema=RFM_SUMMARY.arrow))


ROWS = [
    customer("a", dt.date(2011, 1, 31), ["10", "5", "5"]),
    customer("b", dt.date(2011, 2, 1), ["20", "20"], refunds="10", margin=0.2),
    customer("c", dt.date(2011, 2, 1), ["7"]),
    customer("d", dt.date(2011, 3, 31), ["100", "1"], refunds="200"),
    customer("e", dt.date(2011, 4, 1), ["3"]),
]
CHANNELS = [("a", "web"), ("b", "web"), ("c", "shop"), ("d", None), ("x", "web")]


def attributes_of(engine, pairs=CHANNELS):
    rows = [{"customer_id": who, "attribute": "channel", "value": what} for who, what in pairs]
    schema = pa.schema([("customer_id", pa.string()), ("attribute", pa.string()), ("value", pa.string())])
    return engine.from_arrow(pa.Table.from_pylist(rows, schema=schema))


@pytest.mark.parametrize(("refunds", "kept"), [("net", {"b": 0.75, "d": 0.0}), ("drop", {})])
def test_new_customers_by_day_and_attribute(engine, refunds, kept):
    settings = settings_of(refunds=refunds, gross_margin=0.5)
    new = acquired(rfm_of(engine, ROWS), FEB, MAR, settings)
    found = engine.collect(cohort_sums(by_attribute(new, attributes_of(engine)))).to_pylist()
    by = {(row["attribute_value"], row["first_purchase"]): row for row in found}
    # January and April are outside, a null value has no rows, and an unknown customer none.
    day, last = dt.date(2011, 2, 1), dt.date(2011, 3, 31)
    assert by.keys() == {("all", day), ("all", last), ("web", day), ("shop", day)}
    share = kept.get("b", 1.0)
    both = by["all", day]
    assert (both["customers"], both["purchases"], both["purchase_squares"]) == (2, 1.0, 1.0)
    assert (both["repeat"], both["repeat_squares"], both["repeat_cross"]) == pytest.approx(
        (20 * share, (20 * share) ** 2, 20 * share)
    )
    assert both["spend"] == pytest.approx(40 * share + 7)
    assert both["margin"] == pytest.approx(40 * share * 0.2 + 7 * 0.5)
    assert by["all", last]["spend"] == pytest.approx(101 * kept.get("d", 1.0))
    assert by["web", day]["customers"] == by["shop", day]["customers"] == 1


@pytest.mark.embedded
def test_one_huge_first_order_counts_as_the_next_largest(engine):
    settings = settings_of()
    spends = ["10", "30", "20", "1000000"]
    rows = [customer(f"c{i}", FEB.first_day, [spend]) for i, spend in enumerate(spends)]
    rows += [customer("only", FEB.first_day, ["5"])]
    tags = [(f"c{i}", "many") for i in range(4)] + [("c1", "same"), ("c2", "same"), ("only", "one")]
    new = by_attribute(acquired(rfm_of(engine, rows), FEB, FEB, settings), attributes_of(engine, tags))
    by = {row["attribute_value"]: row for row in engine.collect(first_order_sums(new)).to_pylist()}
    assert by["many"]["total"] == pytest.approx(10 + 30 + 20 + 30)
    assert by["many"]["squares"] == pytest.approx(100 + 900 + 400 + 900)
    assert (by["many"]["customers"], by["many"]["last_acquired"]) == (4, FEB.first_day)
    # An only order stays, and so does a largest one that several share.
    assert by["one"]["total"] == 5
    tied = [customer(f"t{i}", FEB.first_day, [spend]) for i, spend in enumerate(["9", "9", "4"])]
    new = by_attribute(acquired(rfm_of(engine, tied), FEB, FEB, settings), None)
    (row,) = engine.collect(first_order_sums(new)).to_pylist()
    assert (row["total"], row["squares"]) == (22, 81 + 81 + 16)


@pytest.mark.embedded
def test_without_amounts_orders_are_counted_and_money_is_null(engine):
    rows = [row | {"total_spend": None, "repeat_spend": None, "total_refunds": None} for row in ROWS]
    new = by_attribute(acquired(rfm_of(engine, rows), JAN, APR, settings_of()), None)
    found = engine.collect(cohort_sums(new)).to_pylist()
    assert sum(row["customers"] for row in found) == 5
    assert sum(row["purchases"] for row in found) == 4
    assert {row[name] for row in found for name in ("repeat", "spend", "margin")} == {None}
    (row,) = engine.collect(first_order_sums(new)).to_pylist()
    assert (row["customers"], row["total"]) == (5, None)


@pytest.mark.parametrize("refunds", ["net", "drop"])
def test_outcomes_count_each_customers_own_time(engine, refunds):
    rng = np.random.default_rng(3)
    days, firsts = [], {}
    for i in range(200):
        name = f"c{i:03}"
        on = dt.date(2011, 1, 1) + dt.timedelta(days=int(rng.integers(0, 110)))
        firsts[name] = on
        for n, gap in enumerate([0, *np.cumsum(rng.integers(1, 60, 6)).tolist()]):
            days.append(
                {
                    "customer_id": name, "purchase_day": on + dt.timedelta(days=gap), "line_count": 1,
                    # A day with a refund only is no purchase, and takes from the spend where refunds are netted.
                    "order_count": int(n == 0 or rng.random() < 0.8), "spend": Decimal(int(rng.integers(1, 50))),
                    "refunds": Decimal(int(rng.integers(0, 5))),
                }
            )  # fmt: skip
    rows = [{"customer_id": name, "first_purchase": first} for name, first in firsts.items()]
    channel = {name: "web" if i % 3 else "shop" for i, name in enumerate(firsts)}
    # What they are called changes: each cohort's attributes are those of its origin.
    called = [(FEB, channel), (JUN, dict.fromkeys(channel, "other"))]
    tags = [
        {"customer_id": name, "attribute": "channel", "value": value, MONTH: month.first_day}
        for month, names in called
        for name, value in names.items()
    ]
    cohorts = [Cohort(FEB, 3, FEB), Cohort(FEB, 3, JAN), Cohort(FEB, 1, FEB)]
    found = engine.collect(
        outcomes(
            cohorts,
            rfm_of(engine, rows),
            engine.from_arrow(pa.Table.from_pylist(days, schema=PURCHASE_DAYS.arrow)),
            engine.from_arrow(pa.Table.from_pylist(tags)),
            settings_of(refunds=refunds),
        )
    ).to_pylist()
    by = {(row["cohort"], row["attribute_value"]): row for row in found}
    assert by.keys() == {(i, value) for i in range(3) for value in ("all", "web", "shop")}
    # February's three months are March to May: 92 days. January's are February to April: 89. One: March, 31.
    for i, (month, length) in enumerate([(2, 92), (1, 89), (2, 31)]):
        for value in ("all", "web", "shop"):
            inside = {n for n, d in firsts.items() if d.month == month and value in ("all", channel[n])}
            mine = [
                d for d in days
                if d["customer_id"] in inside and 0 <= (d["purchase_day"] - firsts[d["customer_id"]]).days <= length
            ]  # fmt: skip
            row = by[i, value]
            assert row["customers"] == len(inside) > 10
            assert row["purchases"] == sum(d["order_count"] for d in mine) - len(inside)
            net = sum(d["spend"] - (d["refunds"] if refunds == "net" else 0) for d in mine)
            assert row["spend"] == pytest.approx(float(net))
