"""The screens of the Dagster UI that the tests walk through.

Dagster names no element for tests, so they are found as people find them: by role and text.
"""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import ConsoleMessage, Locator, Page, Request, Response, expect

#: Of one page or dialog.
SHOWN = 60_000
#: Of a run: the queue looks every few seconds, and a run's process begins with its imports.
RUN = 240_000
#: Within this a graph that is on the screen has taken its shape, and a dialog has loaded more.
SETTLED = 4_000
PRESSES = 5


class Screens:
    """One browser page on one UI.

    Parameters
    ----------
    page : Page
    url : str
        Of the webserver.
    pictures : Path
        Folder for screenshots.
    """

    def __init__(self, page: Page, url: str, pictures: Path) -> None:
        self.page = page
        self._url = url
        self._pictures = pictures

    def open(self, path: str) -> None:
        """Go to a path of the UI."""
        self.page.goto(f"{self._url}{path}")

    def shoot(self, name: str) -> None:
        """Keep what is seen as a PNG."""
        self._pictures.mkdir(parents=True, exist_ok=True)
        # Dialogs and panels slide in; a picture taken half-way shows nothing.
        self.page.screenshot(path=self._pictures / f"{name}.png", animations="disabled")

    def text(self, text: str | re.Pattern[str]) -> Locator:
        """Return the first element that shows ``text``."""
        return self.page.get_by_text(text).first

    def see(self, text: str | re.Pattern[str], timeout: float = SHOWN) -> None:
        """Wait until ``text`` is seen."""
        expect(self.text(text)).to_be_visible(timeout=timeout)

    def lineage(self, expanded: bool = True) -> None:
        """Open the global graph, groups open or closed."""
        if expanded:
            # Opened, the graph is as wide as the screen; on a usual one it is higher, and one looks at a part of it.
            self.page.set_viewport_size({"width": 2600, "height": 4400})
        self._whole_graph()
        if not expanded:
            return
        # The side bar lists groups only, so an asset is seen once its group is open. The first one is looked for: what
        # lies outside of the screen is not drawn, and on a very large one that may be the last.
        inside = self.text(re.compile("^raw_transactions$"))
        # The key opens the groups, or closes them if the browser was just about to open those that it remembers.
        for _ in range(PRESSES):
            try:
                expect(inside).to_be_visible(timeout=SETTLED)
                break
            except AssertionError:
                self.page.keyboard.press("Alt+e")
        # Opened anew, the graph fits the screen.
        self._whole_graph()
        expect(inside).to_be_visible(timeout=SHOWN)

    def _whole_graph(self) -> None:
        self.open("/asset-groups")
        expect(self.page.get_by_role("button", name="Materialize all…")).to_be_enabled(timeout=SHOWN)
        self.see("evaluation")

    def asset(self, name: str, view: str = "overview", more: str = "") -> None:
        """Open a tab of an asset: overview, partitions, events, checks, lineage."""
        self.open(f"/assets/{name}?view={view}{more}")
        expect(self.page.get_by_role("tab", name=view.capitalize()).first).to_be_visible(timeout=SHOWN)

    def month(self, asset: str, month: str) -> None:
        """Open a month of an asset."""
        self.asset(asset, "partitions", f"&partition={month}")
        self.see("Latest materialization")

    def choose_months(self, months: str) -> None:
        """Fill the months into the dialog that is open: ``2011-04`` or ``[2011-01...2011-03]``."""
        box = self.page.get_by_placeholder(re.compile("^ex: "))
        expect(box).to_be_visible(timeout=SHOWN)
        box.fill(months)
        box.press("Tab")

    def markdown(self, row: str) -> Locator:
        """Open the markdown of a metadata row and return the dialog."""
        line = self.page.get_by_role("row").filter(has=self.page.get_by_role("cell", name=row, exact=True))
        line.get_by_text("[Show Markdown]").click(timeout=SHOWN)
        dialog = self.page.get_by_role("dialog")
        expect(dialog).to_be_visible(timeout=SHOWN)
        return dialog


def watch(page: Page, url: str) -> list[str]:
    """Collect what a page should never do: throw, complain, be refused, ask other servers."""
    faults: list[str] = []

    def said(message: ConsoleMessage) -> None:
        if message.type == "error":
            faults.append(f"console: {message.text}")

    def asked(request: Request) -> None:
        if not request.url.startswith((url, "data:", "blob:")):
            faults.append(f"asked {request.url}")

    def answered(response: Response) -> None:
        if response.status >= 400:
            faults.append(f"{response.status} from {response.url}")

    page.on("pageerror", lambda error: faults.append(f"error: {error}"))
    page.on("console", said)
    page.on("request", asked)
    page.on("response", answered)
    return faults
