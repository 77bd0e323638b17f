"""Cohorts on the page and in its pictures, against sums over the customers and rows made by hand."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cltv_assets.engines.duckdb_engine import DuckDBEngine
from cltv_assets.figures.cohorts import curves_figure, retention_figure
from cltv_assets.months import Month
from cltv_assets.report import collect, problems, render
from cltv_assets.tables.cohort_value.facts import SHOWN, cohorts_of, spread
from cltv_assets_tests.report.made_rows import NOW
from cltv_assets_tests.report.reading import Page
from cltv_assets_tests.report.small_shop import Shop

LONG = Month.parse("2012-03")


def cohort(first: Month, active: list[int], margin: float = 10.0, now: Month = LONG) -> list[dict[str, Any]]:
    """Return a cohort of a hundred customers who bring so much margin in each month, with a year ahead."""
    months = len(list(first.until(now)))
    common = {"attribute": "all", "attribute_value": "all", "cohort": first.first_day, "customers": 100}
    rows: list[dict[str, Any]] = [
        common
        | {
            "age_months": age,
            "kind": "realised",
            "active_customers": active[age] if age < len(active) else 5,
            "revenue": Decimal(1),
            "cumulative_margin": Decimal(str(margin * (age + 1))),
            "cumulative_purchases": float(age + 1),
        }
        for age in range(months)
    ]
    so_far = margin * months
    end = {"age_months": months + 11, "kind": "predicted", "revenue": None, "cumulative_margin": Decimal(so_far + 50)}
    ends = {"cumulative_value_per_customer_low": so_far / 100, "cumulative_value_per_customer_high": so_far / 100 + 1}
    return [*rows, common | end | ends | {"cumulative_purchases": 1.0}]


def shown_by(shop: Shop, ages: tuple[int, ...]) -> list[list[str]]:
    rows = []
    for first in sorted({one.cohort for one in shop.customers}):
        inside = [one for one in shop.customers if one.cohort == first]
        spent, value = sum(one.spend * len(one.days) for one in inside), sum(one.value for one in inside)
        back = []
        for age in ages:
            month = Month(first).shift(age)
            active = sum(any(Month.of(day) == month for day in one.days) for one in inside)
            back.append(f"{active / len(inside):.1%}" if month <= NOW else "\N{EN DASH}")
        whole, low, high = ((spent + value * factor) / len(inside) for factor in (1.0, 0.9, 1.1))
        sums = [f"{spent / len(inside):,.2f}", f"{whole:,.2f} {low:,.2f} to {high:,.2f}"]
        rows.append([str(len(inside)), *back, *sums])
    return rows


def test_the_table_is_that_of_the_customers(page: str, shop: Shop) -> None:
    rows = Page(page).table("Cohorts, by the month")
    # Of ages 1, 3, 6 and 12 nobody has reached the last two.
    names = ("Jan 1997", "Feb 1997", "Mar 1997")
    assert rows == [[name, *row] for name, row in zip(names, shown_by(shop, (1, 3)), strict=True)]


def test_a_month_without_money_ahead_shows_what_came(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    for poor in (shop.without_money(), shop.without_models()):
        facts = collect(poor.run(engine, lake))
        page = render(facts)
        assert problems(page, facts) == []
        assert "has brought EUR" in Page(page).text("cohorts")
        assert "With the next" not in Page(page).text("cohorts")
        assert all(curve.ahead == () for curve in facts.cohorts.curves)


def test_a_first_month_has_no_pictures(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    customers = tuple(one for one in shop.changed().customers)
    new = tuple(
        type(one)(one.id, (NOW.first_day + dt.timedelta(days=i % 20),), one.p_alive, one.value)
        for i, one in enumerate(customers)
    )
    facts = collect(shop.changed(customers=new).run(engine, lake))
    page = render(facts)
    assert problems(page, facts) == []
    assert "nobody could come back in a later one yet" in Page(page).text("cohorts")
    assert "Who came back" not in page


def test_what_was_refunded_to_nobody_is_told(engine: DuckDBEngine, lake: Path, shop: Shop) -> None:
    facts = collect(shop.run(engine, lake))
    nobody = {"attribute": "all", "attribute_value": "all", "cohort": None, "age_months": 0, "kind": "no_purchase",
              "revenue": Decimal("-4.25")}  # fmt: skip
    found = cohorts_of([*cohort(LONG.shift(-1), [100, 30]), nobody])
    assert (found.refunded, len(found.groups)) == (4.25, 1)
    object.__setattr__(facts, "cohorts", found)
    assert "EUR 4.25 went back to customers" in Page(render(facts)).text("cohorts").replace("\N{NO-BREAK SPACE}", " ")


def test_older_cohorts_stand_by_year() -> None:
    """Twenty-four by month, from April 2010 on; before them three of 2010 and two of 2009."""
    begin = LONG.shift(-(SHOWN + 4))
    rows = [row for i, first in enumerate(begin.until(LONG)) for row in cohort(first, [100, 20 + 10 * i], i + 1.0)]
    # Another attribute's cohorts are not counted.
    rows += [row | {"attribute": "country"} for row in rows]
    found = cohorts_of(rows)
    assert [one.name for one in found.groups][:4] == ["2009", "2010", "Apr 2010", "May 2010"]
    assert len(found.groups) == 2 + SHOWN
    assert [one.customers for one in found.groups[:3]] == [200, 300, 100]
    # 20 and 30 of a hundred came back; of 2010 40, 50 and 60.
    assert [one.retention[1] for one in found.groups[:2]] == pytest.approx([0.25, 0.5])
    # As many ages as the youngest of the year has reached.
    assert [len(one.retention) for one in found.groups[:3]] == [28, 25, 24]
    # Margin of 1 a month for 29 months and of 2 for 28, of 200 customers; 50 each to come.
    assert found.groups[0].so_far == pytest.approx((29 + 56) / 200)
    assert found.groups[0].expected == pytest.approx((29 + 56 + 100) / 200)
    assert found.groups[0].low is None
    assert found.groups[2].low == pytest.approx(6 * 24 / 100)
    # The newest has no age beyond 0 and no line.
    assert [curve.name for curve in found.curves] == ["Apr 2010", "Nov 2010", "Jul 2011", "Feb 2012"]
    assert found.oldest == 27


def test_spread_has_both_ends() -> None:
    months = list(Month.parse("2011-01").until(Month.parse("2011-10")))
    assert [month.key for month in spread(months, 4)] == ["2011-01", "2011-04", "2011-07", "2011-10"]
    assert spread(months[:3], 4) == months[:3]


def test_the_heat_map_has_a_field_for_each_age() -> None:
    figure = retention_figure([("2010", [1.0, 0.3, 0.2]), ("Jan 2011", [1.0, 0.1]), ("Feb 2011", [1.0])])
    (image,) = figure.axes[0].images
    drawn = np.asarray(image.get_array().filled(np.nan), dtype=float)
    # Age 0, in which everybody bought, is not drawn, nor a cohort that has no other.
    np.testing.assert_allclose(drawn, [[0.3, 0.2], [0.1, np.nan]])
    assert image.get_extent() == [0.5, 2.5, 1.5, -0.5]


def test_the_tail_begins_where_the_line_ends() -> None:
    ahead = [(4, 14.0, 11.0, 18.0), (7, 17.0, 12.0, 24.0)]
    figure = curves_figure([("Jan 2011", [5.0, 9.0], ahead)], "Margin of a customer, EUR")
    plot = figure.axes[0]
    line, tail = plot.lines
    assert (list(line.get_xdata()), list(line.get_ydata())) == ([0, 1], [5.0, 9.0])
    assert (list(tail.get_xdata()), list(tail.get_ydata())) == ([1, 4, 7], [9.0, 14.0, 17.0])
    (band,) = [one for one in plot.collections if one.get_alpha()]
    corners = {tuple(point) for point in band.get_paths()[0].vertices}
    assert {(4.0, 11.0), (4.0, 18.0), (7.0, 12.0), (7.0, 24.0), (1.0, 9.0)} <= corners
    # Everything lies inside the plot.
    assert plot.get_xlim() == (0, 7)
    assert plot.get_ylim()[1] >= 24.0
