"""Text that others chose makes the operator's browser ask no server, on any page that shows it."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from cltv_assets_tests.e2e.browser.conftest import PICTURES
from cltv_assets_tests.e2e.browser.dagster_dev import DagsterDev, instance_home
from cltv_assets_tests.e2e.browser.screens import SHOWN, Screens, watch
from cltv_assets_tests.e2e.hostile import MONTH, SETTINGS, deliver_hostile
from cltv_assets_tests.e2e.running import cltv, write_config


@dataclass
class Tracker:
    """A server that others would have the browser ask, and what it was asked."""

    url: str
    asked: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def tracker() -> Iterator[Tracker]:
    found = Tracker("")

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    found.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield found
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory, tracker: Tracker) -> Iterator[DagsterDev]:
    """Yield a UI on a shop whose ids, values and file names want the browser to ask the tracker."""
    home = tmp_path_factory.mktemp("hostile")
    deliver_hostile(home / "shop", tracker.url)
    config = write_config(home, **SETTINGS)
    surroundings = {"DAGSTER_HOME": str(instance_home(home)), "CLTV_CONFIG": str(config)}
    # Charts and predictions have been looked at elsewhere; these are the assets that show what was delivered.
    ran = cltv("run", "--select", "+customer_attributes", cwd=home, environ=surroundings, timeout=600)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    dev = DagsterDev(config)
    try:
        dev.wait()
        yield dev
    finally:
        dev.stop()


def test_nothing_asks_the_server_of_an_id_a_value_or_a_file_name(
    browser: Browser, hostile: DagsterDev, tracker: Tracker
) -> None:
    context = browser.new_context(viewport={"width": 1500, "height": 940}, timezone_id="Europe/London")
    page = context.new_page()
    faults = watch(page, hostile.url)
    ui = Screens(page, hostile.url, PICTURES)

    # Words of checks, which the UI renders.
    for asset, check, said in (
        ("raw_transactions", "unused_columns", "look like no sales"),
        ("raw_transactions", "delivered_once", "f.png"),
        ("rejected_transactions", "lost_value", "lines cannot be read"),
    ):
        ui.asset(asset, "checks", f"&checkDetail={check}")
        expect(page.get_by_text(said).last).to_be_visible(timeout=SHOWN)
        ui.shoot(f"foreign-{check}")
    # Places in the delivery, in a dialog of their own.
    ui.asset("rejected_transactions", "checks", "&checkDetail=lost_value")
    dialog = ui.markdown("examples")
    expect(dialog).to_contain_text("![f](http:")
    ui.shoot("foreign-examples")
    # Values, in a table that the month's page shows at once.
    ui.month("customer_attributes", MONTH.key)
    expect(page.get_by_text(re.compile(r"!\[m\]\(http:")).last).to_be_visible(timeout=SHOWN)
    assert page.locator("table img, table a[href*='127.0.0.1']").count() == 0
    ui.shoot("foreign-month")
    # The run, with its events; and the asset's own page.
    page.locator("a[href*='/runs/']").first.click()
    ui.see(re.compile("_SUCCESS|MATERIALIZATION"))
    ui.shoot("foreign-run")
    ui.asset("raw_transactions")
    ui.see("Latest check results")
    context.close()
    assert tracker.asked == []
    assert faults == []


def test_the_tracker_would_notice(browser: Browser, tracker: Tracker) -> None:
    page = browser.new_page()
    page.set_content(f'<img src="{tracker.url}/seen.png">')
    page.wait_for_load_state("networkidle")
    page.close()
    assert tracker.asked == ["/seen.png"]
