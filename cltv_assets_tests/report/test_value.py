"""Predicted value: the page's numbers against sums over the customers themselves."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from cltv_assets.engines.duckdb_engine import DuckDBEngine
from cltv_assets.report import ReportData, collect, render
from cltv_assets.report.facts.value import concentration_of
from cltv_assets_tests.report.reading import Page
from cltv_assets_tests.report.small_shop import HORIZONS, Customer, Shop


def test_totals_of_every_horizon(page: str, shop: Shop) -> None:
    total = sum(customer.value for customer in shop.customers)
    rows = Page(page).table("Expected purchases and value")
    assert len(rows) == len(HORIZONS)
    for row, h in zip(rows, HORIZONS, strict=True):
        share = h / HORIZONS[-1]
        assert row[2] == f"{total * share / 12.5:,.0f}"
        assert row[3] == f"{total * share:,.2f}"
        assert row[4] == f"{total * share / len(shop.customers):,.2f}"


def test_total_stands_in_the_headline(page: str, shop: Shop) -> None:
    total = sum(customer.value for customer in shop.customers)
    assert f"EUR {total:,.2f}" in Page(page).text("value")
    assert f"EUR {total:,.2f}" in Page(page).text("summary")


def test_only_a_tested_horizon_says_how_far_off_it_was(page: str) -> None:
    one, three = Page(page).table("Expected purchases and value")
    assert one[5] == "10.0% too high"
    assert three[5] == "not tested yet"


def test_segments(page: str, shop: Shop) -> None:
    total = sum(customer.value for customer in shop.customers)
    rows = Page(page).table("Value segments")
    assert [row[0].split()[0] for row in rows] == ["top", "high", "middle", "low"]
    for row in rows:
        inside = [customer for customer in shop.customers if customer.segment == row[0].split()[0]]
        value = sum(customer.value for customer in inside)
        assert row[1] == str(len(inside))
        assert row[2] == f"{len(inside) / len(shop.customers):.1%}"
        assert row[3] == f"{value:,.2f}"
        assert row[4] == f"{value / total:.1%}"
        assert row[6] == f"{sum(c.p_alive for c in inside) / len(inside):.3f}"


def test_concentration_passes_through_the_customers(data: ReportData, shop: Shop) -> None:
    assert data.value is not None
    curve = data.value.concentration
    assert curve is not None
    values = sorted((customer.value for customer in shop.customers), reverse=True)
    for n in range(1, len(values) + 1):
        # Between two points of the curve values differ by a tenth at most.
        held = sum(values[:n]) / sum(values)
        assert curve.held_by(n / len(values)) == pytest.approx(held, abs=2e-3)


def test_concentration_of_many(engine: DuckDBEngine, lake: Path) -> None:
    chance = random.Random(1)
    day = (Shop().customers[0].days[0],)
    many = tuple(Customer(str(i), day, 0.5, chance.lognormvariate(2, 2)) for i in range(3_000))
    value = collect(Shop(many).run(engine, lake)).value
    assert value is not None
    assert value.concentration is not None
    assert len(value.concentration.value) < 600
    values = sorted((customer.value for customer in many), reverse=True)
    for share in (0.01, 0.05, 0.2, 0.5):
        held = sum(values[: int(share * len(many))]) / sum(values)
        assert value.concentration.held_by(share) == pytest.approx(held, abs=1e-3)


def test_concentration_by_hand() -> None:
    curve = concentration_of([(1, 6, 6.0), (80, 1, 80.0), (14, 1, 14.0)])
    assert curve is not None
    assert curve.customers == (0.0, 1 / 8, 2 / 8, 1.0)
    assert curve.value == (0.0, 0.8, 0.94, 1.0)
    assert curve.held_by(1 / 16) == pytest.approx(0.4)


def test_nothing_is_concentrated_where_there_is_no_value(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    worthless = tuple(Customer(one.id, one.days, one.p_alive, 0.0) for one in shop.customers)
    page = Page(render(collect(shop.changed(customers=worthless).run(engine, lake))))
    assert "hold" not in page.text("value")
    assert "EUR 0.00" in page.text("value")


def test_most_valuable_customers(page: str, shop: Shop) -> None:
    best = sorted(shop.customers, key=lambda one: (-one.value, one.id))[:10]
    rows = Page(page).table("Most valuable")
    assert [row[0] for row in rows] == [one.id for one in best]
    first, row = best[0], rows[0]
    assert row[1:4] == [str(first.frequency), str(first.age - first.recency), f"{first.p_alive:.3f}"]
    assert row[4] == f"{first.value / 12.5:.1f}"
    assert row[6:] == [f"{first.value:,.2f}", f"{first.value / 2:,.2f} to {first.value * 2:,.2f}"]


def test_value_at_risk(page: str, shop: Shop) -> None:
    def risk(one: Customer) -> float:
        return (1 - one.p_alive) * one.value

    most = sorted(shop.customers, key=lambda one: (-risk(one), one.id))[:10]
    reader = Page(page)
    rows = reader.table("Most value at risk")
    assert [(row[0], row[-1]) for row in rows] == [(one.id, f"{risk(one):,.2f}") for one in most]
    total = sum(risk(one) for one in shop.customers)
    share = total / sum(one.value for one in shop.customers)
    assert f"EUR {total:,.2f}, {share:.1%} of the predicted value" in reader.text("customers")


def test_nobody_is_at_risk_where_all_are_alive(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    alive = tuple(Customer(one.id, one.days, 1.0, one.value, one.segment) for one in shop.customers)
    page = Page(render(collect(shop.changed(customers=alive).run(engine, lake))))
    assert "no value is at risk" in page.text("customers")
