"""A story in the UI: a month by hand, an overdue one, a broken delivery, and the backfill that puts all right.

The tests run in this order, each from where the one before has left the shop.
"""

from __future__ import annotations

import contextlib
import re

from deltalake import DeltaTable
from playwright.sync_api import Locator, expect

from cltv_assets_tests.e2e.browser.conftest import BROKEN, OVERDUE, READY, TO_RUN, Shop
from cltv_assets_tests.e2e.browser.screens import PRESSES, RUN, SETTLED, SHOWN, Screens


def published(shop: Shop, table: str) -> set[str]:
    """Return the months of a table in the lake, asked of Delta itself."""
    return {part["month"][:7] for part in DeltaTable(f"{shop.settings.lake_root}/{table}").partitions()}


def publications(shop: Shop, table: str) -> int:
    """Return how often anything was published in a table."""
    return DeltaTable(f"{shop.settings.lake_root}/{table}").version()


def dialog(ui: Screens) -> None:
    """Open the dialog that materialises the whole graph."""
    ui.lineage(expanded=False)
    ui.page.get_by_role("button", name="Materialize all…").click()


def launch(ui: Screens, shop: Shop) -> None:
    """Press the dialog's button, and wait until all has ended that it has begun."""
    ui.page.get_by_role("button", name=re.compile("^Launch")).click()
    ui.see(re.compile("^(Launched run|Created backfill)"))
    shop.dev.wait_idle()


def line_of(ui: Screens, text: str) -> Locator:
    """Return the one line with ``text`` in the list of runs."""
    lines = ui.page.locator("div").filter(has_text=text).filter(has=ui.page.get_by_text("View", exact=True))
    # Boxes lie in boxes: the innermost is the line.
    return lines.last


def test_a_month_is_made_by_the_dialog(ui: Screens, shop: Shop) -> None:
    assert TO_RUN not in published(shop, "cltv_predictions")
    dialog(ui)
    ui.choose_months(TO_RUN)
    ui.see("1 partition")
    ui.shoot("dialog-month")
    launch(ui, shop)
    ui.open("/runs")
    expect(line_of(ui, f"partition: {TO_RUN}")).to_contain_text("Success", timeout=SHOWN)
    ui.shoot("runs")
    ui.month("cltv_predictions", TO_RUN)
    ui.see("Materialized")
    assert TO_RUN in published(shop, "cltv_predictions")


def test_an_overdue_month_is_seen(ui: Screens) -> None:
    ui.asset("cltv_predictions", "checks", "&checkDetail=on_time")
    ui.see("Failed", RUN)
    ui.see(re.compile(OVERDUE))
    ui.shoot("check-overdue")
    ui.asset("cltv_predictions")
    ui.see("Latest check results")
    ui.shoot("asset-overdue")


def test_a_failed_check_says_why_and_nothing_spreads(ui: Screens, shop: Shop) -> None:
    dialog(ui)
    ui.choose_months(BROKEN)
    launch(ui, shop)
    ui.open("/runs")
    expect(line_of(ui, f"partition: {BROKEN}")).to_contain_text("Failure", timeout=SHOWN)
    ui.shoot("runs-failed")
    ui.asset("rejected_transactions", "checks", "&checkDetail=reject_share")
    ui.see(re.compile(r"[\d,]+ of [\d,]+ lines are rejected \(100\.0%\), more than the 50% allowed"))
    ui.see("Failed")
    ui.shoot("check-failed")
    reasons = ui.markdown("examples")
    expect(reasons).to_contain_text(re.compile(rf"invalid_unit_price.*{BROKEN}\.csv, line \d+"))
    ui.shoot("check-failed-examples")
    ui.asset("cleaned_transactions", "partitions", f"&partition={BROKEN}")
    ui.see("Failed (1)")
    ui.shoot("month-failed")
    ui.asset("purchase_days", "partitions", f"&partition={BROKEN}")
    # Dagster counts what a failed run was to make as failed; what matters is that it was not made.
    ui.see("Materialized (3)")
    assert BROKEN in published(shop, "raw_transactions")
    for table in ("cleaned_transactions", "rejected_transactions", "purchase_days", "cltv_predictions"):
        assert BROKEN not in published(shop, table), table


def test_one_backfill_makes_what_failed_and_what_is_missing(ui: Screens, shop: Shop) -> None:
    shop.mend()
    before = publications(shop, "cltv_predictions")
    dialog(ui)
    # The dialog chooses by what it has loaded so far of the assets' states, and does not choose again.
    for _ in range(PRESSES):
        ui.page.get_by_role("button", name="Latest").click()
        ui.page.get_by_role("button", name="Failed and missing").click()
        with contextlib.suppress(AssertionError):
            ui.see("2 partitions", SETTLED)
            break
    ui.see("2 partitions")
    ui.shoot("dialog-backfill")
    launch(ui, shop)
    ui.open("/runs?view=backfills")
    line = line_of(ui, "Backfill")
    expect(line).to_contain_text(re.compile("Success|Fail|Cancel"), timeout=SHOWN)
    ui.shoot("backfills")
    expect(line).to_contain_text("Success")
    assert {BROKEN, OVERDUE} <= published(shop, "cltv_predictions")
    # These two and no other: what was there is not made again.
    assert publications(shop, "cltv_predictions") == before + 2
    ui.asset("cltv_report", "partitions")
    ui.see("Missing (0)")
    ui.shoot("all-made")


def test_a_range_makes_the_months_chosen_and_no_others(ui: Screens, shop: Shop) -> None:
    """Though later months are made from them."""
    tables = ("raw_transactions", "rfm_summary", "cltv_predictions")
    before = {table: publications(shop, table) for table in tables}
    first, last = READY
    dialog(ui)
    ui.choose_months(f"[{first}...{last}]")
    ui.see("2 partitions")
    ui.shoot("dialog-range")
    launch(ui, shop)
    ui.open("/runs?view=backfills")
    # This one, and the one before.
    expect(ui.page.get_by_text("Success", exact=True)).to_have_count(2, timeout=SHOWN)
    ui.shoot("backfills-range")
    assert {table: publications(shop, table) - before[table] for table in tables} == dict.fromkeys(tables, 2)
