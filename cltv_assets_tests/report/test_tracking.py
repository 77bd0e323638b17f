"""Tracking plots against counts of the customers themselves and published formulas."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pytest
from scipy.special import hyp2f1

from cltv_assets.engines.duckdb_engine import DuckDBEngine
from cltv_assets.months import Month
from cltv_assets.report import ReportData, collect, problems, render
from cltv_assets.report.facts.tracking import Tracking
from cltv_assets.report.sections.tracking import cumulative_figure, weekly_figure
from cltv_assets_tests.report.made_rows import NOW
from cltv_assets_tests.report.reading import Page, drawn_lines
from cltv_assets_tests.report.small_shop import BG_NBD, STATUS, Customer, Shop
from cltv_assets_tests.report.test_model_view import expected_so_far

WEEK = dt.timedelta(days=7)


def tracked(data: ReportData) -> Tracking:
    assert data.tracking is not None
    return data.tracking


def test_weeks_end_with_the_month_and_begin_before_anybody_bought(data: ReportData, shop: Shop) -> None:
    facts = tracked(data)
    assert {after - before for before, after in zip(facts.ends, facts.ends[1:], strict=False)} == {WEEK}
    assert facts.ends[facts.now] == NOW.last_day
    assert facts.ends[0] < min(customer.days[0] for customer in shop.customers) <= facts.ends[1]


def test_counts_repeat_purchases(data: ReportData, shop: Shop) -> None:
    facts = tracked(data)
    for end, actual in zip(facts.ends, facts.actual, strict=False):
        assert actual == sum(day <= end for customer in shop.customers for day in customer.days[1:])
    assert facts.actual[0] == 0


def test_a_purchase_on_a_weeks_last_day_is_in_that_week(engine: DuckDBEngine, lake: Path) -> None:
    first = NOW.last_day - 3 * WEEK
    days = (first, first + WEEK, first + WEEK + dt.timedelta(days=1))
    facts = tracked(collect(Shop((Customer("a", days, 0.5, 1.0),)).run(engine, lake)))
    assert dict(zip(facts.ends, facts.actual, strict=False)) == {
        first - WEEK: 0,
        first: 0,
        first + WEEK: 1,
        first + 2 * WEEK: 2,
        first + 3 * WEEK: 2,
    }


def test_expects_what_the_formula_says(data: ReportData, shop: Shop) -> None:
    facts = tracked(data)
    assert facts.expected is not None
    assert len(facts.expected) == len(facts.ends) > len(facts.actual)
    for end, expected in zip(facts.ends, facts.expected, strict=True):
        ages = [(end - customer.days[0]).days for customer in shop.customers]
        assert expected == pytest.approx(sum(map(expected_so_far, ages)), rel=1e-8)


def test_in_weeks(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    facts = tracked(collect(shop.run(engine, lake, time_unit="week")))
    assert facts.expected is not None
    ages = [(NOW.last_day - customer.days[0]).days / 7 for customer in shop.customers]
    assert facts.expected[facts.now] == pytest.approx(sum(map(expected_so_far, ages)), rel=1e-8)


def test_mbg_newcomers_may_leave_at_once(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    """E[X(t)] of the MBG/NBD, Batislam, Denizel and Filiztekin (2007): b / (a + b) of BG/NBD's with b + 1."""
    r, alpha, a, b = (BG_NBD[name] for name in ("r", "alpha", "a", "b"))

    def expected(t: float) -> float:
        tail = (alpha / (alpha + t)) ** r * hyp2f1(r, b + 1, a + b, t / (alpha + t))
        return float(b / (a + b) * (a + b) / (a - 1) * (1 - tail)) if t > 0 else 0.0

    facts = tracked(collect(shop.changed(purchase={**STATUS, **BG_NBD, "model_name": "mbg_nbd"}).run(engine, lake)))
    assert facts.expected is not None
    ages = [(NOW.last_day - customer.days[0]).days for customer in shop.customers]
    assert facts.expected[facts.now] == pytest.approx(sum(map(expected, ages)), rel=1e-7)


def test_pareto_newcomers(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    """E[X(t)] of the Pareto/NBD, Schmittlein, Morrison and Colombo (1987), equation 17."""
    r, alpha, s, beta = 0.55, 74.0, 0.61, 81.0
    pareto = {**STATUS, **dict.fromkeys(BG_NBD), "model_name": "pareto_nbd"}
    pareto |= {"r": r, "alpha": alpha, "s": s, "beta": beta}
    facts = collect(shop.changed(purchase=pareto).run(engine, lake))
    ages = np.array([(NOW.last_day - customer.days[0]).days for customer in shop.customers])
    expected = (r * beta / (alpha * (s - 1)) * (1 - (beta / (beta + ages)) ** (s - 1))).sum()
    now = tracked(facts)
    assert now.expected is not None
    assert now.expected[now.now] == pytest.approx(expected, rel=1e-8)
    page = render(facts)
    assert problems(page, facts) == []
    # P(still there) = (81 / (81 + t)) ** 0.61 is a half after 171.3 days.
    assert "Half of all customers have left 5.6 months after they first came." in Page(page).text("models")


def test_a_seasonal_clock_is_followed(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    index = {f"season_{n:02d}": 0.5 + n / 13 for n in range(1, 13)}
    facts = tracked(
        collect(shop.changed(purchase={**STATUS, **BG_NBD, "seasonality": "monthly", **index}).run(engine, lake))
    )
    average = [31, 28.2425, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    mean = sum(n * s for n, s in zip(average, index.values(), strict=True)) / sum(average)

    def elapsed(first: dt.date, last: dt.date) -> float:
        days = (first + dt.timedelta(days=n) for n in range(1, (last - first).days + 1))
        return sum(index[f"season_{day.month:02d}"] / mean for day in days)

    assert facts.expected is not None
    for place in (facts.now // 2, facts.now, len(facts.ends) - 1):
        ages = [elapsed(customer.days[0], facts.ends[place]) for customer in shop.customers]
        assert facts.expected[place] == pytest.approx(sum(map(expected_so_far, ages)), rel=1e-6)


def test_days_with_refunds_only_are_no_purchases(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    run = shop.run(engine, lake)
    days = run.inputs["purchase_days"]
    refunds = days.mutate(order_count=days.order_count - 1, purchase_day=days.purchase_day)
    run.inputs["purchase_days"] = days.union(refunds)  # type: ignore[index]
    assert tracked(collect(run)).actual[-1] == sum(customer.frequency for customer in shop.customers)


def test_repeat_customers_only_have_no_line(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    only = shop.changed(purchase={**STATUS, **BG_NBD, "truncated": True})
    facts = collect(only.run(engine, lake))
    assert tracked(facts).expected is None
    page = render(facts)
    assert problems(page, facts) == []
    assert "fitted on repeat customers only" in Page(page).text("tracking")
    assert "an extract without those who bought only once" in Page(page).text("models")


def test_an_extract_is_told_by_its_bound(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    only = shop.changed(purchase={**STATUS, **BG_NBD, "truncated": True, "least_frequency": 2, "left_out": 7})
    facts = collect(only.run(engine, lake))
    page = render(facts)
    assert problems(page, facts) == []
    summary = Page(page).text("todo").replace("\N{NO-BREAK SPACE}", " ")
    assert "All but 7 customers in the data have bought on 3 days or more" in summary
    assert "fitted on customers with 3 purchase days or more only" in Page(page).text("tracking")
    assert "given that they made 2 or more" in Page(page).text("tracking")
    assert "on the condition of 2 repeat purchases or more" in Page(page).text("models")


@pytest.mark.parametrize(("published", "origin"), [((3,), 3), ((1,), 1), ((1, 3), 3)])
def test_the_oldest_model_within_reach_forecasts(
    engine: DuckDBEngine, lake: Path, shop: Shop, published: tuple[int, ...], origin: int
) -> None:
    start = Month.parse("1997-01")
    for back in published:
        other = {**STATUS, **BG_NBD, "r": 0.4 + back / 10}
        shop.changed(purchase=other).publish(engine, lake, NOW.shift(-back), ("purchase_model",))
    facts = collect(shop.run(engine, lake, start_month=start.key))
    earlier = tracked(facts).earlier
    assert earlier is not None
    assert earlier.month == NOW.shift(-origin)
    ages = [(NOW.last_day - customer.days[0]).days for customer in shop.customers]
    # E[X(t)] at the earlier model's r, of everybody who came until now.
    r = 0.4 + origin / 10
    alpha, a, b = (BG_NBD[name] for name in ("alpha", "a", "b"))

    def so_far(t: float) -> float:
        tail = (alpha / (alpha + t)) ** r * hyp2f1(r, b, a + b - 1, t / (alpha + t))
        return float((a + b - 1) / (a - 1) * (1 - tail))

    assert earlier.expected[-1] == pytest.approx(sum(map(so_far, ages)), rel=1e-8)
    assert tracked(facts).ends[earlier.ended - 1] < earlier.month.last_day <= tracked(facts).ends[earlier.ended]
    page = render(facts)
    assert problems(page, facts) == []
    made = sum(day > tracked(facts).ends[earlier.ended] for one in shop.customers for day in one.days[1:])
    assert f"{made} were made" in Page(page).text("tracking")


def test_an_earlier_month_that_was_not_fitted_forecasts_nothing(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    shop.without_models().publish(engine, lake, NOW.shift(-3), ("purchase_model",))
    assert tracked(collect(shop.run(engine, lake))).earlier is None


def test_the_pictures_hold_what_happened(data: ReportData) -> None:
    facts = tracked(data)
    (_, actual), (_, model), (ahead, _), *_ = drawn_lines(cumulative_figure(facts))
    assert actual == list(facts.actual)
    # What the model has up to now is drawn through; what it forecasts begins now.
    assert facts.expected is not None
    assert model == list(facts.expected[: facts.now + 1])
    assert ahead == list(range(facts.now, len(facts.ends)))
    assert cumulative_figure(facts).axes[0].lines[2].get_linestyle() == "--"
    _, weekly = drawn_lines(weekly_figure(facts))[0]
    assert len(weekly) == len(facts.actual) - 1
    assert sum(weekly) == facts.actual[-1]
