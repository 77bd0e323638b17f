"""A shop with a Dagster UI, and a browser that looks at it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets_tests.e2e.browser.dagster_dev import CHECKOUT, DagsterDev, instance_home
from cltv_assets_tests.e2e.browser.screens import Screens, watch
from cltv_assets_tests.e2e.running import cltv, settings_in, write_config
from cltv_assets_tests.e2e.shop import DIRT, Line, deliver, lines_of_shop, months_of

#: Run before any test: the graph needs history. What comes after is each test's own.
READY = ("2011-01", "2011-02")
#: For the dialog; for the failed check; never run.
TO_RUN, BROKEN, OVERDUE = "2011-03", "2011-04", "2011-05"
PICTURES = CHECKOUT / "artifacts" / "browser"


@dataclass(frozen=True)
class Shop:
    """A shop whose first months have run, under a running UI."""

    settings: Settings
    dev: DagsterDev
    lines: dict[Month, list[Line]]

    def mend(self) -> None:
        """Deliver the broken month again, as it should have been."""
        deliver(Path(self.settings.source_path), self.lines)


@pytest.fixture(scope="session")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    home = tmp_path_factory.mktemp("ui")
    months = months_of(READY[0], 5)
    lines = lines_of_shop(months, customers=60)
    broken = next(month for month in months if month.key == BROKEN)
    # Somebody let the export write prices in another currency.
    deliver(home / "shop", lines | {broken: [_with_foreign_price(line) for line in lines[broken]]})
    changes = {"end_month": OVERDUE, "automation": {"overdue_after": "1s"}}
    config = write_config(home, **changes)
    surroundings = {"DAGSTER_HOME": str(instance_home(home)), "CLTV_CONFIG": str(config)}
    ran = cltv("run", "--to", READY[1], cwd=home, environ=surroundings, timeout=600)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    dev = DagsterDev(config)
    try:
        dev.wait()
        yield Shop(settings_in(home, **changes), dev, lines)
    finally:
        dev.stop()


def _with_foreign_price(line: Line) -> Line:
    return line if line[0] in {dirty[0] for _, dirty in DIRT} else (*line[:4], f"{line[4]} RON")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        pytest.fail("These tests need Chromium, and none is on the PATH: .ci/install-browser installs Debian's.")
    # Chromium refuses to shut itself into a sandbox as root, as in a container.
    alone = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as playwright:
        # Containers have little shared memory.
        opened = playwright.chromium.launch(executable_path=program, args=[*alone, "--disable-dev-shm-usage"])
        yield opened
        opened.close()


@pytest.fixture
def ui(browser: Browser, shop: Shop, request: pytest.FixtureRequest) -> Iterator[Screens]:
    """Return a fresh browser page; what goes wrong in it fails the test."""
    context = browser.new_context(viewport={"width": 1500, "height": 940}, timezone_id="Europe/London")
    page = context.new_page()
    faults = watch(page, shop.dev.url)
    screens = Screens(page, shop.dev.url, PICTURES)
    failed_before = request.session.testsfailed
    yield screens
    if request.session.testsfailed > failed_before:
        screens.shoot(f"failed-{request.node.name}")
    context.close()
    assert faults == [], f"The webserver said:\n{shop.dev.log_tail()}"
