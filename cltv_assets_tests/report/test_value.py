"""Predicted value: the page's numbers against sums over the customers themselves."""

from __future__ import annotations

import datetime as dt
import random
from pathlib import Path

import pytest

from cltv_assets.engines.duckdb_engine import DuckDBEngine
from cltv_assets.report import ReportData, collect, problems, render
from cltv_assets.tables.cltv_predictions.totals import concentration_of
from cltv_assets_tests.report.reading import Page
from cltv_assets_tests.report.small_shop import HORIZONS, NOW, Customer, Shop, holdout_rows


def test_totals_of_every_horizon_have_their_intervals(page: str, shop: Shop) -> None:
    total = sum(customer.value for customer in shop.customers)
    rows = Page(page).table("Expected purchases and value")
    assert len(rows) == len(HORIZONS)
    for row, h in zip(rows, HORIZONS, strict=True):
        value = total * h / HORIZONS[-1]
        # small_shop's intervals reach a tenth to both sides.
        low, high = value * 0.9 / 12.5, value * 1.1 / 12.5
        assert row[2] == f"{value / 12.5:,.0f} {low:,.0f} to {high:,.0f}"
        assert row[3] == f"{value:,.2f} {value * 0.9:,.2f} to {value * 1.1:,.2f}"
        assert row[4] == f"{value / len(shop.customers):,.2f}"


def test_total_stands_in_the_headline(page: str, shop: Shop) -> None:
    total = sum(customer.value for customer in shop.customers)
    assert f"EUR {total:,.2f}" in Page(page).text("value")
    assert f"EUR {total:,.2f}" in Page(page).text("summary")


def test_beside_the_totals_stands_how_earlier_ones_did(page: str) -> None:
    """small_shop: 33,000 predicted, 28,500 to 37,500; 30,000 happened. The horizon of 3 months is not tested."""
    [row] = Page(page).table("How the same forecast did")
    assert row[0] == "1 month"
    assert row[2:] == ["33,000 28,500 to 37,500", "30,000", "10.0% too high", "inside", "1 of 1"]


def test_intervals_that_held_are_counted_over_the_months(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    for back, interval in ((1, (950.0, 1250.0)), (2, (1001.0, 1250.0)), (3, None)):
        month = NOW.shift(-back)
        rows = holdout_rows(ended=month, interval=interval)
        shop.changed(holdout=rows).publish(engine, lake, month, ("holdout_evaluation",))
    facts = collect(shop.run(engine, lake, start_month="1996-12"))
    page = render(facts)
    assert problems(page, facts) == []
    [row] = Page(page).table("How the same forecast did")
    # This month's and the last one's held, that of two months ago began above; the oldest had none.
    assert row[-2:] == ["inside", "2 of 3"]
    assert "2 of 3 intervals so far held" in Page(page).text("value")


def test_no_interval_is_made_up(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    facts = collect(shop.changed(holdout=holdout_rows(interval=None)).run(engine, lake))
    page = render(facts)
    assert problems(page, facts) == []
    [row] = Page(page).table("How the same forecast did")
    assert row[2:] == ["33,000", "30,000", "10.0% too high", "\N{EN DASH}", "\N{EN DASH}"]


def test_concentration_passes_through_the_customers(data: ReportData, shop: Shop) -> None:
    assert data.value is not None
    curve = data.value.predicted.concentration
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
    assert value.predicted.concentration is not None
    assert len(value.predicted.concentration.value) < 600
    values = sorted((customer.value for customer in many), reverse=True)
    for share in (0.01, 0.05, 0.2, 0.5):
        held = sum(values[: int(share * len(many))]) / sum(values)
        assert value.predicted.concentration.held_by(share) == pytest.approx(held, abs=1e-3)


def test_concentration_by_hand() -> None:
    curve = concentration_of([(1, 6, 6.0), (80, 1, 80.0), (14, 1, 14.0)])
    assert curve is not None
    assert curve.customers == (0.0, 1 / 8, 2 / 8, 1.0)
    assert curve.value == (0.0, 0.8, 0.94, 1.0)
    assert curve.held_by(1 / 16) == pytest.approx(0.4)


def test_nothing_is_concentrated_where_there_is_no_value(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    worthless = tuple(Customer(one.id, one.days, one.p_alive, 0.0) for one in shop.customers)
    page = Page(render(collect(shop.changed(customers=worthless).run(engine, lake))))
    assert "of customers hold" not in page.text("value")
    assert "EUR 0.00" in page.text("value")


def test_most_valuable_customers(page: str, shop: Shop) -> None:
    # Who gave everything back is in the lowest tier and never before the others.
    best = sorted(shop.customers, key=lambda one: (one.segment == "low", -one.value, one.id))[:10]
    rows = Page(page).table("Most valuable")
    assert [row[0] for row in rows] == [one.id for one in best]
    first, row = best[0], rows[0]
    assert row[1:4] == [str(first.frequency), str(first.age - first.recency), f"{first.p_alive:.3f}"]
    assert row[4] == f"{first.value / 12.5:.1f}"
    assert row[6] == f"{first.value:,.2f} {first.value / 2:,.2f} to {first.value * 2:,.2f}"


def spent_in_a_year(one: Customer) -> float:
    """NOW is April 1997: the year begins with May 1996."""
    return float(one.spend * sum(day >= dt.date(1996, 5, 1) for day in one.days))


def test_value_at_risk(page: str, shop: Shop) -> None:
    def risk(one: Customer) -> float:
        return (1 - one.p_alive) * spent_in_a_year(one)

    most = sorted(shop.customers, key=lambda one: (-risk(one), one.id))[:10]
    reader = Page(page)
    rows = reader.table("Most value at risk")
    assert [(row[0], row[-2], row[-1]) for row in rows] == [
        (one.id, f"{spent_in_a_year(one):,.2f}", f"{risk(one):,.2f}") for one in most
    ]
    total = sum(risk(one) for one in shop.customers)
    share = total / sum(spent_in_a_year(one) for one in shop.customers)
    assert f"EUR {total:,.2f}, {share:.1%} of the spend of the last 12 months" in reader.text("customers")


@pytest.mark.parametrize(("refunds", "past"), [("net", 6.0), ("drop", 10.0)])
def test_spend_at_risk_is_that_of_the_last_year(engine: DuckDBEngine, lake: Path, refunds: str, past: float) -> None:
    """One purchase of 10 in the year, with 4 refunded; one of the day before the year began."""
    days = (dt.date(1996, 4, 30), dt.date(1996, 5, 1))
    run = Shop((Customer("a", days, 0.5, 1.0),)).run(engine, lake, refunds=refunds)
    bought = run.inputs["purchase_days"]
    run.inputs["purchase_days"] = bought.mutate(refunds=(bought.refunds + 4).cast(bought.refunds.type()))  # type: ignore[index]
    value = collect(run).value
    assert value is not None
    assert value.past == past
    assert value.at_risk == past / 2
    assert value.most_at_risk[0]["at_risk"] == past / 2


def test_who_returned_more_than_was_bought_has_nothing_at_risk(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    run = shop.run(engine, lake)
    bought = run.inputs["purchase_days"]
    run.inputs["purchase_days"] = bought.mutate(refunds=(bought.spend * 2).cast(bought.refunds.type()))  # type: ignore[index]
    value = collect(run).value
    assert value is not None
    assert (value.past, value.at_risk, value.most_at_risk) == (0.0, 0.0, [])


def test_nobody_is_at_risk_where_all_are_alive(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    alive = tuple(Customer(one.id, one.days, 1.0, one.value, one.segment) for one in shop.customers)
    page = Page(render(collect(shop.changed(customers=alive).run(engine, lake))))
    assert "no value is at risk" in page.text("customers")
