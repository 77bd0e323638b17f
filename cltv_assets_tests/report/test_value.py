"""Predicted value: the page's numbers against sums over the customers themselves."""

from __future__ import annotations

import datetime as dt
import random
from pathlib import Path

import pytest

from cltv_assets.engines.duckdb_engine import DuckDBEngine
from cltv_assets.figures.value import course_figure
from cltv_assets.months import Month
from cltv_assets.report import ReportData, collect, problems, render
from cltv_assets.report.facts.last_year import Bought, LastYear
from cltv_assets.tables.cltv_predictions.totals import concentration_of
from cltv_assets_tests.report.made_rows import HORIZONS, NOW, holdout_rows
from cltv_assets_tests.report.reading import Page
from cltv_assets_tests.report.small_shop import BG_NBD, STATUS, Customer, Shop


def test_every_horizon_stands_beside_the_year_before(engine: DuckDBEngine, lake: Path) -> None:
    """small_shop: intervals reach a tenth to both sides, revenue is twice the value, purchases cost 12.5."""
    chance = random.Random(3)
    # The year before April 1998 begins with May 1997, the next month is held against May 1997.
    firsts = [dt.date(1996, 1, 1), dt.date(1996, 5, 1), dt.date(1996, 4, 30), dt.date(1995, 7, 1), dt.date(1996, 6, 2)]
    customers = tuple(
        Customer(
            str(i),
            tuple(sorted({first, *(first + dt.timedelta(chance.randrange(1, 330)) for _ in range(i + 2))})),
            0.5,
            10.0 + i,
            spend=20 + i,
        )
        for i, first in enumerate(firsts)
    )
    facts = collect(Shop(customers).run(engine, lake, start_month="1995-01"))
    page = render(facts)
    assert problems(page, facts) == []
    rows = Page(page).table("Revenue from now")
    assert len(rows) == len(HORIZONS)
    begin, total = dt.date(1996, 5, 1), sum(one.value for one in customers)
    for row, h in zip(rows, HORIZONS, strict=True):
        end = dt.date(1996, 5 + h, 1)
        spent = {one: float(one.spend * sum(begin <= day < end for day in one.days)) for one in customers}
        known = sum(amount for one, amount in spent.items() if one.days[0] < begin)
        came = sum(spent.values()) - known
        assert known
        assert came
        value = total * h / HORIZONS[-1]
        assert row[2:4] == [f"{known:,.2f}", f"{came:,.2f}"]
        assert row[4] == f"{2 * value:,.2f} {1.8 * value:,.2f} to {2.2 * value:,.2f}"
        assert row[5] == f"{2 * value / known - 1:+.1%}".replace("-", "\N{MINUS SIGN}")
        low, high = value * 0.9 / 12.5, value * 1.1 / 12.5
        assert row[6] == f"{value / 12.5:,.0f} {low:,.0f} to {high:,.0f}"
        assert row[7] == f"{value:,.2f} {value * 0.9:,.2f} to {value * 1.1:,.2f}"
        assert row[8] == f"{value / len(customers):,.2f}"
    # Otherwise a base that has grown reads as customers who buy more.
    assert "the change also holds how many more customers there are now" in Page(page).text("value")


def test_data_that_begin_within_the_year_have_none_before(page: str) -> None:
    text = Page(page).text("value")
    assert "the same months of a year before are not in them" in text
    assert {row[2] for row in Page(page).table("Revenue from now")} == {"\N{EN DASH}"}


@pytest.mark.parametrize(("refunds", "spend"), [("net", 6.0), ("drop", 10.0)])
def test_refunds_count_in_the_year_before_if_they_are_netted(
    engine: DuckDBEngine, lake: Path, refunds: str, spend: float
) -> None:
    """One purchase of 10 in the year, with 4 refunded; one of the day before the year began."""
    days = (dt.date(1996, 4, 30), dt.date(1996, 5, 1))
    run = Shop((Customer("a", days, 0.5, 1.0),)).run(engine, lake, refunds=refunds, start_month="1996-01")
    bought = run.inputs["purchase_days"]
    run.inputs["purchase_days"] = bought.mutate(refunds=(bought.refunds + 4).cast(bought.refunds.type()))  # type: ignore[index]
    value = collect(run).value
    assert value is not None
    assert value.year.before(1) == Bought(known=spend, came=0.0)


def test_a_longer_horizon_repeats_more_years() -> None:
    """18 months from May on repeat those from May two years ago on: who came in year 2 of the two came in them."""
    begin = Month.parse("1996-05")
    bought = {(begin, 0): 1.0, (begin.shift(1), 1): 10.0, (begin.shift(12), 2): 100.0, (begin.shift(17), 0): 1000.0}
    year = LastYear(begin, 2, {**bought, (begin.shift(18), 0): 5e4}, complete=True)
    assert year.before(18) == Bought(known=1001.0, came=110.0)
    # A year from May on repeats the second of the two: who came in the first was known.
    assert year.before(12) == Bought(known=51_000.0, came=100.0)
    assert [one.came for one in year.course(3)] == [100.0, 100.0, 100.0]
    assert LastYear(begin, 2, bought, complete=False).before(18) is None


def test_the_course_begins_at_nothing_and_has_the_intervals_of_its_horizons() -> None:
    ahead = [(3, 30.0, 20.0, 45.0), (12, 90.0, 50.0, 140.0)]
    figure = course_figure({"a year before": [5.0, 9.0]}, ahead, "Revenue in EUR")
    plot = figure.axes[0]
    lines = [(list(line.get_xdata()), list(line.get_ydata())) for line in plot.lines]
    assert lines == [
        ([0, 3, 12], [0.0, 30.0, 90.0]),
        ([3, 12], [30.0, 90.0]),
        ([0, 1, 2], [0.0, 5.0, 9.0]),
    ]
    (band,) = [one for one in plot.collections if one.get_alpha()]
    assert {(12.0, 50.0), (12.0, 140.0), (3.0, 20.0)} <= {tuple(point) for point in band.get_paths()[0].vertices}


def test_total_stands_in_the_headline(page: str, shop: Shop) -> None:
    total = sum(customer.value for customer in shop.customers)
    # small_shop: revenue is twice the value.
    assert f"EUR {2 * total:,.2f}" in Page(page).text("value")
    assert f"EUR {total:,.2f}" in Page(page).text("todo")


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


def stake(one: Customer) -> float:
    """What the customer would bring if still one, times the chance of being none."""
    return one.value / one.p_alive * (1 - one.p_alive)


def test_worth_keeping(page: str, shop: Shop) -> None:
    kept = [one for one in shop.customers if one.segment in ("top", "high") and 0.2 <= one.p_alive <= 0.8]
    most = sorted(kept, key=lambda one: (-stake(one), one.id))
    assert len(most) > 10
    reader = Page(page)
    rows = reader.table("Worth keeping")
    assert [(row[0], row[2], row[3], row[4], row[6]) for row in rows] == [
        (one.id, str(one.age - one.recency), f"{one.p_alive:.3f}", f"{one.value:,.2f}", f"{stake(one):,.2f}")
        for one in most[:10]
    ]
    first = reader.table("Whom to ask first")
    assert [(row[0], row[2], row[3]) for row in first] == [
        (one.id, f"{one.p_alive:.2f}", f"{stake(one):,.2f}") for one in most[:5]
    ]
    total = sum(map(stake, kept))
    assert f"Ask {len(kept)} customers: EUR {total:,.2f} is at stake" in reader.text("todo")
    expected = sum(one.value for one in kept)
    assert f"EUR {expected:,.2f} expected of them in 3 months, and EUR {total:,.2f} more" in reader.text("todo")
    assert f"EUR {total:,.2f} together" in reader.text("customers")


def test_who_is_nearly_gone_or_worth_little_is_not_asked(engine: DuckDBEngine, lake: Path) -> None:
    day = (dt.date(1997, 1, 5),)
    people = {
        "gone": (0.04, 900.0, "top"), "nearly gone": (0.19, 900.0, "top"), "doubtful": (0.2, 5.0, "top"),
        "high": (0.8, 4.0, "high"), "sure": (0.81, 900.0, "top"), "cheap": (0.5, 3.0, "middle"),
        "costs": (0.5, -3.0, "high"),
    }  # fmt: skip
    customers = tuple(Customer(name, day, p, value, tier) for name, (p, value, tier) in people.items())
    facts = collect(Shop(customers).run(engine, lake))
    page = render(facts)
    assert problems(page, facts) == []
    assert [row[0] for row in Page(page).table("Worth keeping")] == ["doubtful", "high"]
    assert "Ask 2 customers: EUR 21.00 is at stake" in Page(page).text("todo")


def test_who_is_alive_only_where_nobody_leaves_is_not_asked(engine: DuckDBEngine, lake: Path) -> None:
    """With a quarter of the weight on a model in which nobody leaves, 0.4 is what 0.2 is elsewhere, and 0.85 is 0.8."""
    day = (dt.date(1997, 1, 5),)
    people = {"gone": 0.25, "nearly gone": 0.39, "doubtful": 0.401, "likely": 0.849, "sure": 0.86}
    customers = tuple(Customer(name, day, p, 900.0, "top") for name, p in people.items())
    mixed = Shop(customers, purchase={**STATUS, **BG_NBD, "weight": 0.75}, null={**STATUS, "r": 0.3, "alpha": 40.0,
                 "aic": 2400.0, "weight": 0.25})  # fmt: skip
    facts = collect(mixed.run(engine, lake))
    page = render(facts)
    assert problems(page, facts) == []
    reader = Page(page)
    assert sorted(row[0] for row in reader.table("Worth keeping")) == ["doubtful", "likely"]
    assert "P(alive) between 0.40 and 0.85" in reader.text("todo")
    assert "nobody leaves has 25% of the weight" in reader.text("customers")


def test_nobody_is_asked_where_nobody_can_leave(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    alive = tuple(Customer(one.id, one.days, 1.0, one.value, one.segment) for one in shop.customers)
    only = {**STATUS, **dict.fromkeys(BG_NBD), "r": 0.3, "alpha": 40.0, "model_name": "nbd"}
    page = Page(render(collect(shop.changed(customers=alive, purchase=only).run(engine, lake))))
    assert "Nobody of high value is in doubt" in page.text("todo")


def test_nobody_is_asked_where_all_are_alive(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    alive = tuple(Customer(one.id, one.days, 1.0, one.value, one.segment) for one in shop.customers)
    page = Page(render(collect(shop.changed(customers=alive).run(engine, lake))))
    assert "Nobody of high value is in doubt" in page.text("todo")
    assert "Nobody is of the top and high value tiers" in page.text("customers")
