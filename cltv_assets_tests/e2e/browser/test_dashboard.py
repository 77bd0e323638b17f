"""The example dashboard, as ``make dashboard`` starts it, beside what plain readers find in the tables."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from cltv_assets_tests.cli.analysis_shop import MODELLED, MONTHS, AnalysisShop, analysis_shop
from cltv_assets_tests.cluster.server_process import ServerProcess, accepts_connections, free_port
from cltv_assets_tests.e2e.browser.dagster_dev import CHECKOUT
from cltv_assets_tests.e2e.browser.screens import SHOWN, watch
from cltv_assets_tests.e2e.reading import rows_of
from cltv_assets_tests.e2e.running import run, settings_in, values_in, write_config
from cltv_assets_tests.e2e.test_channels import home as shop_with_channels

__all__ = ["analysis_shop", "shop_with_channels"]

NEWEST = MODELLED[-1]
#: What the dashboard shows, and the questions of docs/analysis.md do not need.
MORE = ["customer_attributes", "acquisition_costs", "cohort_value", "acquisition_payback", "new_customer_value"]
MORE += ["customer_scores"]
_STARTS_WITHIN_SECONDS = 180


@contextlib.contextmanager
def dashboard_of(config: Path, folder: Path) -> Iterator[str]:
    """Run the commands of ``make dashboard`` on a lake, on a port of its own, and give the address."""
    shown = subprocess.run(
        ["make", "--dry-run", "--no-print-directory", "dashboard", f"VIEWS={folder / 'analysis.duckdb'}"],
        cwd=CHECKOUT, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    views, streamlit = (line for line in shown.splitlines() if " views --to " in line or "streamlit run" in line)
    port = free_port()
    surroundings = {**os.environ, "CLTV_CONFIG": str(config), "STREAMLIT_SERVER_PORT": str(port)}
    subprocess.run(["bash", "-c", views], cwd=CHECKOUT, env=surroundings, check=True, timeout=_STARTS_WITHIN_SECONDS)
    server = ServerProcess("dashboard", ["bash", "-c", f"cd {CHECKOUT}; {streamlit}"], folder, surroundings)
    try:
        server.wait_until(lambda: accepts_connections(port), _STARTS_WITHIN_SECONDS)
        # Nobody but this machine reaches it: another address of it does not answer.
        with socket.socket() as other:
            assert other.connect_ex(("127.0.0.2", port)) != 0
        yield f"http://127.0.0.1:{port}"
        assert "Traceback" not in server.log_tail()
    finally:
        server.stop()


@contextlib.contextmanager
def page_on(browser: Browser, url: str) -> Iterator[Page]:
    """Open a fresh page; what goes wrong in it, or asks another server, fails the test."""
    context = browser.new_context(viewport={"width": 1500, "height": 1400})
    page = context.new_page()
    faults = watch(page, url)
    page.goto(url)
    yield page
    context.close()
    assert faults == []


@pytest.fixture(scope="module")
def lake(analysis_shop: AnalysisShop, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lake of fourteen months without channels or costs."""
    home = tmp_path_factory.mktemp("dashboard")
    shutil.copytree(analysis_shop.home, home, dirs_exist_ok=True)
    changes = {"start_month": MONTHS[0].key, "end_month": NEWEST.key, "horizons_months": [3, 6, 12]}
    write_config(home, **changes)
    assert [result.errors for result in run(settings_in(home, **values_in(**changes)), [NEWEST], MORE)] == [[]]
    return home / "lake"


@pytest.fixture(scope="module")
def url(lake: Path) -> Iterator[str]:
    with dashboard_of(lake.parent / "cltv.yaml", lake.parent) as url:
        yield url


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    with page_on(browser, url) as page:
        yield page


def go_to(page: Page, name: str, title: str) -> None:
    page.get_by_test_id("stSidebarNav").get_by_role("link", name=name).click(timeout=SHOWN)
    expect(page.get_by_role("heading", name=title, exact=True)).to_be_visible(timeout=SHOWN)


def metric(page: Page, label: str) -> str:
    shown = page.get_by_test_id("stMetric").filter(has_text=label).get_by_test_id("stMetricValue")
    expect(shown).to_be_visible(timeout=SHOWN)
    return shown.inner_text()


def cells(page: Page, grid: int = 0) -> list[list[str]]:
    """Return the rows of a table, which is drawn, as it tells them to screen readers."""
    table = page.get_by_test_id("stDataFrame").nth(grid).locator("table[role=grid]")
    expect(table.locator("tbody tr").first).to_be_attached(timeout=SHOWN)
    return [row.locator("td").all_inner_texts() for row in table.locator("tbody tr").all()]


def total(lake: Path, horizon: int) -> dict[str, Any]:
    rows = rows_of(lake, "segment_summary", NEWEST.key)
    return next(row for row in rows if row["scheme"] == "all" and row["horizon_months"] == horizon)


def test_the_value_is_that_of_the_newest_month_with_its_interval(page: Page, lake: Path) -> None:
    longest = total(lake, 12)
    assert metric(page, "Customers") == f"{longest['customers']:,}"
    assert metric(page, "Expected value, next 12 months") == f"{longest['expected_value']:,.0f}"
    low, high = (f"{longest[f'expected_value_{end}']:,.0f}" for end in ("low", "high"))
    expect(page.get_by_text(f"80 % interval: {low} to {high}")).to_be_visible(timeout=SHOWN)
    year = [row for row in rows_of(lake, "purchase_days") if row["month"] >= MONTHS[-12].first_day]
    assert metric(page, "Last year's revenue") == f"{sum(row['spend'] - row['refunds'] for row in year):,.0f}"
    # The course, and the revenue of each year.
    expect(page.get_by_test_id("stVegaLiteChart")).to_have_count(2, timeout=SHOWN)
    page.get_by_role("combobox", name=re.compile("Months ahead")).click()
    page.get_by_role("option", name="3", exact=True).click()
    assert metric(page, "Expected value, next 3 months") == f"{total(lake, 3)['expected_value']:,.0f}"


def test_cohorts_are_drawn(page: Page) -> None:
    go_to(page, "Cohorts", "Cohorts")
    for chart in range(2):
        drawn = page.get_by_test_id("stVegaLiteChart").nth(chart).locator("canvas, svg").first
        expect(drawn).to_be_visible(timeout=SHOWN)
    expect(page.get_by_test_id("stException")).to_have_count(0)


def test_segments_come_with_what_to_do(page: Page, lake: Path) -> None:
    go_to(page, "Segments", "Segments and what to do")
    scores = rows_of(lake, "customer_scores", NEWEST.key)
    sizes = Counter(row["rfm_segment"] for row in scores)
    actions = {row["rfm_segment"]: row["suggested_action"] for row in scores}
    shown = {row[0]: row for row in cells(page)}
    assert {name: int(row[1].replace(",", "")) for name, row in shown.items()} == sizes
    assert {name: row[-1] for name, row in shown.items()} == actions
    for state, count in Counter(row["churn_state"] for row in scores).items():
        assert metric(page, state) == f"{count:,}"


def test_a_lake_without_channels_says_how_to_name_them(page: Page) -> None:
    go_to(page, "Channels", "Channels and payback")
    for told in ("This lake has no channels: source.columns.attributes", "This lake has no costs: acquisition_costs"):
        expect(page.get_by_test_id("stAlert").filter(has_text=told)).to_be_visible(timeout=SHOWN)


def test_a_question_is_asked_and_a_wrong_one_explained(page: Page, lake: Path) -> None:
    go_to(page, "Questions", "Questions")
    shown = cells(page)
    # Those on the screen.
    assert [row[0] for row in shown] == [month.first_day.isoformat() for month in MONTHS][: len(shown)]
    assert len(shown) > 5
    spend = sum(row["spend"] for row in rows_of(lake, "purchase_days", MONTHS[0].key))
    assert float(shown[0][3].replace(",", "")) == pytest.approx(float(spend), abs=0.01)
    box = page.get_by_role("textbox", name="SQL")
    for query, told in (("SELECT nothing FROM purchase_days", "nothing"), ("DROP VIEW purchase_days", "read-only")):
        box.fill(query)
        box.press("Control+Enter")
        expect(page.get_by_test_id("stAlert").filter(has_text=told)).to_be_visible(timeout=SHOWN)


def test_channels_and_what_they_paid_back(browser: Browser, shop_with_channels: Path, tmp_path: Path) -> None:
    lake = shop_with_channels / "lake"
    with dashboard_of(shop_with_channels / "cltv.yaml", tmp_path) as url, page_on(browser, url) as page:
        go_to(page, "Channels", "Channels and payback")
        worth = {
            row["attribute_value"]: pytest.approx(row["expected_value"])
            for row in rows_of(lake, "new_customer_value", "2024-06")
            if row["attribute"] == "channel" and row["horizon_months"] == 12
        }
        assert {row[0]: float(row[3]) for row in cells(page)} == worth
        paid = {
            (row["attribute_value"], row["cohort"].isoformat(), row["payback"])
            for row in rows_of(lake, "acquisition_payback", "2024-06")
            if row["horizon_months"] == 12
        }
        # Below a table for each attribute.
        attributes = {row["attribute"] for row in rows_of(lake, "new_customer_value", "2024-06")} - {"all"}
        shown = {(row[0], row[1], row[7]) for row in cells(page, len(attributes))}
        assert shown <= paid
        assert len(shown) > 5
