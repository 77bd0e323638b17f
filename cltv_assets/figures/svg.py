"""Turns a matplotlib figure into SVG for the page, or into PNG.

Text stays text in the page's font, so it is sharp and can be selected. The page's CSS
colours text and lines, so one drawing serves light, dark and print.
"""

from __future__ import annotations

import io
import re
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: The colours that figures draw with: those of the light page, which a PNG keeps.
TEXT, MUTED, GRID, FIRST, SECOND, THIRD, BACK = (
    "#1c2126",
    "#55606a",
    "#d9dee3",
    "#0b63ce",
    "#c2500a",
    "#a0267e",
    "#ffffff",
)
#: The CSS that replaces these colours in the page's SVG, so that they follow light, dark and print.
CSS = {
    TEXT: "var(--text)",
    MUTED: "var(--muted)",
    GRID: "var(--line)",
    FIRST: "var(--c1)",
    SECOND: "var(--c2)",
    THIRD: "var(--c3)",
    BACK: "var(--page)",
}

#: One unit of the drawing is one point; the page scales it.
_DPI = 72
#: A style sheet, which would apply to the whole page, whose own has the same rule for drawings; names of
#: groups, which are alike in all figures; fonts, which are the page's; turns by nothing.
_LEFT_OUT = re.compile(
    r'<style.*?</style>|(?<=<g) id="[^"]*"|font-family: [^;"]*;? ?| transform="rotate\(-0 [^"]*"', re.DOTALL
)


def svg(figure: Figure, name: str, label: str) -> str:
    """Return the figure as an ``<svg>`` element.

    Parameters
    ----------
    figure : Figure
        Drawn in the colours of `CSS`.
    name : str
        Unique on the page: the ids of what the drawing defines are made from it.
    label : str
        What is seen, in words, for readers who cannot see it.
    """
    import matplotlib as mpl

    text = io.StringIO()
    # With a salt, ids depend only on name and content, so the same facts give the same page.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": name}):
        figure.savefig(text, format="svg", dpi=_DPI, metadata={"Date": None})
    drawing = text.getvalue()
    # Past XML declaration, document type, matplotlib's own opening tag and its metadata.
    body = _LEFT_OUT.sub("", drawing[drawing.index("<defs>") : drawing.rindex("</svg>")])
    for colour, css in CSS.items():
        body = body.replace(colour, css)
    width, height = (size * _DPI for size in figure.get_size_inches())
    return f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(label)}">{body}</svg>'


def png(figure: Figure) -> bytes:
    """Return the figure as a PNG file on white."""
    figure.patch.set_visible(True)
    out = io.BytesIO()
    figure.savefig(out, format="png", dpi=_DPI, facecolor="white")
    return out.getvalue()
