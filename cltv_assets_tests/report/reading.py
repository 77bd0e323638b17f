"""Reads a page as a person does: sections, tables, text."""

from __future__ import annotations

from html.parser import HTMLParser

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle


class Page(HTMLParser):
    """Tables as rows of text, the visible text of each section, and every attribute."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tables: dict[str, list[list[str]]] = {}
        self.sections: dict[str, str] = {}
        self.attributes: list[tuple[str, str, str]] = []
        self._section = ""
        self._caption = False
        self._name = ""
        self._number = 0
        self._silent = False
        self._cell = False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.attributes += [(tag, name, value) for name, value in given.items()]
        if tag == "section":
            self._section = given["id"]
            self.sections[self._section] = ""
        elif tag == "table":
            self._number += 1
            self._name = f"{self._section} {self._number}"
            self.tables[self._name] = []
        elif tag == "caption":
            self._caption = True
        elif tag == "tr":
            self.tables[self._name].append([])
        elif tag in ("td", "th"):
            self.tables[self._name][-1].append("")
            self._cell = True
        elif tag in ("style", "title"):
            self._silent = True
        elif tag == "br":
            self.handle_data(" ")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._cell = False
        elif tag == "caption":
            self._caption = False
        elif tag in ("style", "title"):
            self._silent = False

    def handle_data(self, data: str) -> None:
        if self._silent:
            return
        text = data.replace("\N{NO-BREAK SPACE}", " ")
        if self._section:
            self.sections[self._section] += text
        if self._caption:
            rows = self.tables.pop(self._name)
            self._name = text
            self.tables[self._name] = rows
        elif self._cell:
            self.tables[self._name][-1][-1] += text

    def text(self, section: str) -> str:
        """Return a section's text with single blanks."""
        return " ".join(self.sections[section].split())

    def table(self, beginning: str) -> list[list[str]]:
        """Return the rows, without header, of the table whose caption begins so."""
        rows = next(rows for caption, rows in self.tables.items() if caption.startswith(beginning))
        return [[" ".join(cell.split()) for cell in row] for row in rows[1:]]


def drawn_lines(figure: Figure) -> list[tuple[list[float], list[float]]]:
    """Return the places and heights of the lines of a figure's first plot, in the order drawn."""
    return [
        (np.asarray(line.get_xdata()).tolist(), np.asarray(line.get_ydata()).tolist()) for line in figure.axes[0].lines
    ]


def drawn_bars(figure: Figure) -> list[Rectangle]:
    """Return the bars of a figure's first plot, in the order drawn."""
    return [bar for bar in figure.axes[0].patches if isinstance(bar, Rectangle)]
