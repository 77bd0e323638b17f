"""What would make a report unfit to publish, found in the page itself."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from cltv_assets.figures import wording
from cltv_assets.report.data import ReportData
from cltv_assets.report.facts.segments import Range
from cltv_assets.report.page import SECTIONS, page_title
from cltv_assets.tables.fitted_rows import in_words

#: Attributes that make a browser fetch something.
_FETCHING = {
    "src",
    "href",
    "xlink:href",
    "srcset",
    "data",
    "poster",
    "action",
    "formaction",
    "background",
    "manifest",
    "ping",
    "cite",
}
_CSS_FETCH = re.compile(r"@import|url\(\s*['\"]?(?!#|data:)", re.IGNORECASE)
#: What Python prints for a number or value that is none, as a word of its own.
_NO_NUMBER = re.compile(r"(?<![\w-])-?(?:[nN][aA][nN]|[iI]nf|Infinity|None|NaT|undefined)(?![\w-])")
_TEMPLATE = re.compile(r"\{\{|\}\}|\{%|%\}|\{#|#\}")
_VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
_CODE = {"style", "script"}
#: Width of a letter as a share of the font's size, on the narrow side: what is told to be cut off is.
_LETTER = 0.42


def problems(html: str, data: ReportData) -> list[str]:
    """Return what is wrong with a rendered report, in plain words; nothing when it is fine.

    Looks for missing sections, references to anything outside the file, scripts,
    numbers that are none (NaN, inf, None), left-over template tags, unclosed
    elements, pictures without words or with words beyond their edge, rows of a table
    that do not have its columns, intervals that are upside down, and figures that are
    not on the page: customers, lines, totals with their intervals, segments, and why
    this model predicts.
    Customers' ids are foreign text and may read like any of these: they are left out.

    Parameters
    ----------
    html : str
    data : ReportData
        What the page was rendered from.
    """
    page = _Page()
    page.feed(html)
    page.close()
    found = list(page.problems)
    found += [f"<{tag}> is never closed" for tag, _ in page.open]
    found += [f"section '{anchor}' is missing" for anchor in SECTIONS if anchor not in page.ids]
    twice = sorted({one for one in page.ids if page.ids.count(one) > 1})
    found += [f"id '{one}' stands twice on the page" for one in twice]
    found += [f"'{target}' leads nowhere on the page" for target in sorted(page.targets - set(page.ids))]
    text = "".join(page.text)
    if page_title(data) not in text:
        found.append(f"the title does not name the month {data.month}")
    for what, number in (
        ("customers", wording.count(data.now.customers)),
        ("lines delivered", wording.count(data.now.lines_in)),
        ("expected value", wording.money(data.now.expected_value, data.settings.currency)),
    ):
        if number not in text:
            found.append(f"the number of {what}, {number}, is not on the page")
    found += _totals(data, text)
    found += _names(data, text)
    return list(dict.fromkeys(found))


def _totals(data: ReportData, text: str) -> list[str]:
    """Hold every horizon's total and the ends of its intervals against the page."""
    found = []
    for total in data.value.predicted.totals if data.value else ():
        if wording.amount(total.value) not in text:
            found.append(f"the expected value of {wording.months(total.months)} is not on the page")
        base = data.segments.base.get(total.months)
        for what, one in (("value", base.value), ("purchases", base.purchases)) if base else ():
            found += _interval(f"the {what} of {wording.months(total.months)}", one)
            shown = [wording.count(end) for end in (one.low, one.high) if end is not None and abs(end) >= wording.WHOLE]
            found += [
                f"{end}, an end of the interval of {what}, is not on the page" for end in shown if end not in text
            ]
    for segment in (*data.segments.tiers, *data.segments.rfm):
        found += _interval(f"the value of segment {segment.segment}", segment.value)
    return found


def _interval(what: str, one: Range) -> list[str]:
    if (one.low is None) != (one.high is None):
        return [f"the interval of {what} has one end only"]
    if one.low is not None and one.high is not None and not one.low <= one.high:
        return [f"the interval of {what} is upside down: {one.low} to {one.high}"]
    return []


def _names(data: ReportData, text: str) -> list[str]:
    """Look for the segments, and for why the model that predicts does so."""
    segments = (*data.segments.tiers, *data.segments.rfm) if data.value is not None else ()
    found = [f"the segment {one.segment} is not on the page" for one in segments if one.segment not in text]
    if in_words(data.models.purchase.choice_reason) not in text:
        found.append("why this purchase model predicts is not on the page")
    return found


class _Page(HTMLParser):
    """Reads a page and notes what is wrong with it."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.problems: list[str] = []
        self.ids: list[str] = []
        self.targets: set[str] = set()
        self.text: list[str] = []
        #: Open elements, and whether each holds foreign text.
        self.open: list[tuple[str, bool]] = []
        #: Columns of the table that is open, once its first row is read, and of the row so far.
        self._columns = self._cells = 0
        #: Size of the drawing that is open, and where its text stands.
        self._drawing = (0.0, 0.0)
        self._place = ("", 0.0, 0.0, 0.0)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._look_at(tag, attrs)
        given = {name: value or "" for name, value in attrs}
        if tag == "table":
            self._columns = 0
        elif tag == "tr":
            self._cells = 0
        elif tag in ("td", "th"):
            self._cells += int(given.get("colspan", "1"))
        elif tag == "svg":
            width, height = (given.get("viewbox", "").split() or ["0"] * 4)[2:4]
            self._drawing = float(width), float(height)
        elif tag == "text":
            x, y, size = (float(given.get(name, "0")) for name in ("x", "y", "font-size"))
            self._place = given.get("text-anchor", "start"), x, y, size
        if tag not in _VOID:
            self.open.append((tag, any(name == "data-foreign" for name, _ in attrs)))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._look_at(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if tag == "tr":
            self._columns = self._columns or self._cells
            if self._cells != self._columns:
                self.problems.append(f"a row of {self._cells} cells stands in a table of {self._columns} columns")
        if self.open and self.open[-1][0] == tag:
            self.open.pop()
            return
        self.problems.append(f"</{tag}> closes nothing")

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        if self._foreign:
            return
        if self.open and self.open[-1][0] in _CODE:
            self._look_at_css(data)
            return
        if self.open and self.open[-1][0] == "text":
            self._look_at_edges(data)
        self._look_at_text(data)

    @property
    def _foreign(self) -> bool:
        return bool(self.open) and self.open[-1][1]

    def _look_at(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag in ("script", "iframe", "object", "embed", "link", "base"):
            self.problems.append(f"<{tag}> has no place in a report")
        if (tag == "img" and not given.get("alt")) or (tag == "svg" and not given.get("aria-label")):
            self.problems.append(f"<{tag}> has no words for readers who cannot see it")
        for name, value in given.items():
            if name in _FETCHING and not value.startswith(("#", "data:")):
                self.problems.append(f"{name} refers to something outside: {_shown(value)}")
            elif name in _FETCHING and value.startswith("#"):
                self.targets.add(value[1:])
            elif name.startswith("on"):
                self.problems.append(f"<{tag}> has a script in {name}")
            elif name == "id":
                self.ids.append(value)
            if not value.startswith("data:"):
                self._look_at_text(value)
                self._look_at_css(value)

    def _look_at_edges(self, text: str) -> None:
        """Find words of a drawing that its edge cuts off."""
        anchor, x, y, size = self._place
        wide = _LETTER * size * len(text.strip())
        left = x - {"start": 0.0, "middle": wide / 2, "end": wide}[anchor]
        width, height = self._drawing
        if left < -1 or left + wide > width + 1 or not 0 <= y <= height:
            self.problems.append(f"'{_shown(text)}' is cut off at the edge of a picture")

    def _look_at_text(self, text: str) -> None:
        for pattern, what in ((_NO_NUMBER, "no number"), (_TEMPLATE, "a template's tag")):
            match = pattern.search(text)
            if match:
                around = text[max(0, match.start() - 30) : match.end() + 30]
                self.problems.append(f"'{match[0]}' is {what}: …{_shown(around)}…")

    def _look_at_css(self, text: str) -> None:
        match = _CSS_FETCH.search(text)
        if match:
            self.problems.append(f"style refers to something outside: {_shown(text[match.start() :])}")
        if "{{" in text or "{%" in text:
            self.problems.append("a template's tag is left in a style")


def _shown(text: str) -> str:
    return " ".join(text.split())[:80]
