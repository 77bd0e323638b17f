"""What is there without doing anything: graph, assets, months, checks."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from cltv_assets.tables.purchase_model.columns import PURCHASE_MODEL
from cltv_assets_tests.e2e.browser.conftest import READY, Shop
from cltv_assets_tests.e2e.browser.screens import SHOWN, Screens
from cltv_assets_tests.e2e.reading import REPORT, TABLES

#: In the order of the mission.
GROUPS = ("ingestion", "preparation", "modelling", "prediction", "evaluation")
MONTH = READY[1]


def test_the_graph_reads_from_left_to_right(ui: Screens) -> None:
    # A usual screen; on a much narrower one Dagster draws the groups without their states.
    ui.page.set_viewport_size({"width": 1920, "height": 1080})
    ui.lineage(expanded=False)
    graph = ui.page.locator("svg foreignObject")
    places = []
    for group in GROUPS:
        box = graph.get_by_text(group, exact=True).first
        expect(box).to_be_visible(timeout=SHOWN)
        found = box.bounding_box()
        assert found is not None
        places.append(found["x"])
    assert places == sorted(places)
    assert len(set(places)) == len(GROUPS)
    expect(graph.get_by_text("fetching statuses")).to_have_count(0, timeout=SHOWN)
    states = [graph.filter(has_text=re.compile(rf"^{group}")).first.text_content() or "" for group in GROUPS]
    assert sum(int(found) for text in states for found in re.findall(r"\d+", text)) == len(TABLES) + 1, states
    ui.shoot("graph-groups")


def test_the_graph_shows_every_asset(ui: Screens) -> None:
    ui.lineage()
    graph = ui.page.locator("svg foreignObject")
    for asset in (*TABLES, REPORT):
        # From afar a long name is cut in the middle.
        cut = rf"{re.escape(asset[:4])}\w*…{re.escape(asset[asset.index('_') :])}"
        expect(graph.get_by_text(re.compile(f"^({asset}|{cut})$")).first).to_be_visible(timeout=SHOWN)
    ui.shoot("graph")


def test_an_asset_says_what_it_is_whose_and_made_by_what(ui: Screens) -> None:
    ui.asset("purchase_model")
    first, rest = PURCHASE_MODEL.description.split(". ", 1)
    ui.see(f"{first}.")
    ui.see(rest)
    for text in (
        "Latest check results",
        "customer-analytics",
        "modelling",
        "SciPy",
        "Delta Lake",
        "Rate of the gamma distribution",
    ):
        ui.see(re.compile(text))
    # Other tests may have made a later month.
    month = re.compile(rf"^month.*{MONTH}( \(not the newest month, which is [\d-]+: see Partitions\))?$", re.DOTALL)
    first_line = ui.page.get_by_role("row").filter(has_text=month)
    expect(first_line.first).to_be_visible(timeout=SHOWN)
    ui.shoot("asset")
    ui.asset("rfm_summary")
    ui.see("DuckDB")


def test_a_month_shows_numbers_and_a_picture(ui: Screens) -> None:
    ui.month("purchase_model", MONTH)
    for name in ("alpha", "repeat_customers", "dagster/partition_row_count", "table_version", "dagster/uri"):
        expect(ui.page.get_by_role("cell", name=name, exact=True).first).to_be_visible(timeout=SHOWN)
    ui.shoot("month")
    dialog = ui.markdown("repeat_purchases")
    picture = dialog.locator("img")
    expect(picture).to_be_visible(timeout=SHOWN)
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 300
    ui.shoot("month-picture")


def test_the_report_is_one_step_away(ui: Screens, shop: Shop) -> None:
    ui.month(REPORT, MONTH)
    ui.see(f"{shop.settings.lake_root}/cltv_report/month={MONTH}-01/report.html")
    ui.see(f"cltv report --month {MONTH}")
    ui.see("Of them repeat customers")
    ui.shoot("report")


def test_a_check_says_what_it_found_and_plots_it(ui: Screens) -> None:
    ui.asset("cleaned_transactions", "checks", "&checkDetail=lines_reconcile")
    ui.see("raw = cleaned + rejected, to the line.")
    ui.see(re.compile(r"[\d,]+ raw lines, [\d,]+ cleaned \+ 11 rejected\."))
    plot = ui.page.locator("canvas").first
    plot.scroll_into_view_if_needed(timeout=SHOWN)
    expect(plot).to_be_visible(timeout=SHOWN)
    ui.shoot("check")
