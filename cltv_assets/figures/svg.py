"""A matplotlib figure as SVG that belongs to the page.

Text stays text: in the page's font, sharp, selectable, and coloured by the page's
CSS like every line, so one drawing serves light, dark and print. matplotlib's own
writer does this only through global settings, which a report must not touch.
"""

from __future__ import annotations

import io
import itertools
import re
from functools import cache
from html import escape
from typing import TYPE_CHECKING, Any

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
#: What they become in the page's SVG, so that they follow its light, dark and print.
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
DPI = 72

_IDS = re.compile(r'\sid="([^"]*)"')
_STYLE = re.compile(r"<style.*?</style>", re.DOTALL)
_USES = re.compile(r'url\(#([^)"]+)\)|href="#([^"]+)"')


def svg(figure: Figure, name: str, label: str) -> str:
    """Return the figure as an ``<svg>`` element.

    Parameters
    ----------
    figure : Figure
        Drawn in the colours of `CSS`.
    name : str
        Unique on the page: what the drawing defines is named after it.
    label : str
        What is seen, in words, for readers who cannot see it.
    """
    figure.dpi = DPI
    width, height = (size * DPI for size in figure.get_size_inches())
    text = io.StringIO()
    renderer = _renderer_class()(width, height, text, image_dpi=DPI)
    figure.draw(renderer)
    renderer.finalize()
    # Past XML declaration, document type and matplotlib's own opening tag with its metadata.
    drawing = text.getvalue()
    body = drawing[drawing.index("<defs>") : drawing.rindex("</svg>")]
    # Its style sheet would apply to the whole page, which has the same rule for drawings.
    body = _STYLE.sub("", body)
    for colour, css in CSS.items():
        body = body.replace(colour, css)
    opening = f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{escape(label)}">'
    return f"{opening}{_with_own_ids(body, name)}</svg>"


def png(figure: Figure) -> bytes:
    """Return the figure as a PNG file on white."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    figure.patch.set(visible=True, facecolor="white")
    out = io.BytesIO()
    FigureCanvasAgg(figure).print_png(out)  # type: ignore[no-untyped-call]  # matplotlib's own
    return out.getvalue()


def _with_own_ids(body: str, name: str) -> str:
    """Rename what is referred to, drop other ids: matplotlib's are random, and alike in all figures."""
    used = {first or second for first, second in _USES.findall(body)}
    number = itertools.count(1)
    names = {old: f"{name}-{next(number)}" for old in _IDS.findall(body) if old in used}

    def own(match: re.Match[str]) -> str:
        return f' id="{names[match[1]]}"' if match[1] in names else ""

    body = _IDS.sub(own, body)
    return _USES.sub(lambda match: match[0].replace(match[1] or match[2], names[match[1] or match[2]]), body)


@cache
def _renderer_class() -> Any:
    """Return matplotlib's SVG renderer, except that text is written as text."""
    from matplotlib.backends.backend_svg import RendererSVG
    from matplotlib.colors import to_hex

    class PageRenderer(RendererSVG):
        def draw_text(
            self, gc: Any, x: float, y: float, s: str, prop: Any, *_: Any, mtext: Any = None, **__: Any
        ) -> None:
            anchor = "start"
            if mtext is not None:
                # Anchor at the text's own position: the page's font has other widths.
                x = mtext.get_transform().transform(mtext.get_unitless_position())[0]
                anchor = {"left": "start", "center": "middle", "right": "end"}[mtext.get_ha()]
            attributes = {
                "x": f"{x:.1f}",
                "y": f"{y:.1f}",
                "text-anchor": anchor,
                "font-size": f"{prop.get_size_in_points():g}",
                "fill": to_hex(gc.get_rgb()),
            }
            if prop.get_weight() == "bold":
                attributes["font-weight"] = "bold"
            # Text is never turned, and never mathematics: the figures have none.
            self.writer.element("text", s, attrib=attributes)  # type: ignore[no-untyped-call]  # matplotlib's own

    return PageRenderer
