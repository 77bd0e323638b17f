"""Finds in a page what would make the report unfit to publish."""

from __future__ import annotations

import re
from html.parser import HTMLParser

from cltv_assets.report.data import ReportData
from cltv_assets.report.page import page_title, sections_of

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
#: What Python prints for a missing value or a number that is not finite, as a separate word.
_NO_NUMBER = re.compile(r"(?<![\w-])-?(?:[nN][aA][nN]|[iI]nf|Infinity|None|NaT|undefined)(?![\w-])")
_TEMPLATE = re.compile(r"\{\{|\}\}|\{%|%\}|\{#|#\}")
_VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
_CODE = {"style", "script"}


def problems(html: str, data: ReportData) -> list[str]:
    """Return what is wrong with a rendered report, in plain words; nothing when it is fine.

    Looks for missing sections, the month in the title, references to anything outside the
    file, scripts, missing numbers (NaN, inf, None), left-over template tags and unclosed
    elements. Customers' ids are skipped, because they are foreign text and may look like
    any of these.

    Parameters
    ----------
    html : str
        The rendered page.
    data : ReportData
        What the page was rendered from.
    """
    page = _Page()
    page.feed(html)
    page.close()
    found = list(page.problems)
    wanted = [section.anchor for section in sections_of(data)]
    found += [f"<{tag}> is never closed" for tag, _ in page.open]
    found += [f"section '{anchor}' is missing" for anchor in wanted if anchor not in page.ids]
    if page_title(data) not in page.text:
        found.append(f"the title does not name the month {data.month}")
    return list(dict.fromkeys(found))


class _Page(HTMLParser):
    """Reads a page and notes what is wrong with it."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.problems: list[str] = []
        self.ids: set[str] = set()
        self.text: list[str] = []
        #: Open elements, and whether each holds foreign text.
        self.open: list[tuple[str, bool]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._look_at(tag, attrs)
        if tag not in _VOID:
            self.open.append((tag, any(name == "data-foreign" for name, _ in attrs)))

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._look_at(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        if self.open and self.open[-1][0] == tag:
            self.open.pop()
            return
        self.problems.append(f"</{tag}> closes nothing")

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        tag, foreign = self.open[-1] if self.open else ("", False)
        if tag in _CODE:
            self._look_at_css(data)
        elif not foreign:
            self._look_at_text(data)

    def _look_at(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "iframe", "object", "embed", "link", "base"):
            self.problems.append(f"<{tag}> has no place in a report")
        for name, given in attrs:
            value = given or ""
            if name in _FETCHING and not value.startswith(("#", "data:")):
                self.problems.append(f"{name} refers to something outside: {_shown(value)}")
            elif name.startswith("on"):
                self.problems.append(f"<{tag}> has a script in {name}")
            elif name == "id":
                self.ids.add(value)
            if not value.startswith("data:"):
                self._look_at_text(value)
                self._look_at_css(value)

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
