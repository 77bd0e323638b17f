"""Axes as the report has them: few lines, horizontal text, the vertical axis named above it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from cltv_assets.report.figures.svg import GRID, MUTED, TEXT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Points: readable at the width of a phone, where the drawing shrinks to three quarters.
WIDTH, HEIGHT, FONT = 460, 310, 13
_TOP, _BOTTOM, _RIGHT = 34, 52, 14


def axes(x_label: str, y_label: str, left: int = 56, right: int = _RIGHT) -> tuple[Figure, Axes]:
    """Return an empty figure with one plot.

    Parameters
    ----------
    x_label, y_label : str
        With units.
    left, right : int
        Margins in points, as wide as the labels there.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH / 72, HEIGHT / 72), dpi=72)
    figure.patch.set_visible(False)
    plot = figure.add_axes(
        (left / WIDTH, _BOTTOM / HEIGHT, (WIDTH - left - right) / WIDTH, (HEIGHT - _TOP - _BOTTOM) / HEIGHT)
    )
    plot.patch.set_visible(False)
    for side in ("top", "right", "left"):
        plot.spines[side].set_visible(False)
    plot.spines["bottom"].set_color(MUTED)
    plot.tick_params(axis="x", length=3, color=MUTED, labelcolor=TEXT, labelsize=FONT)
    plot.tick_params(axis="y", length=0, labelcolor=TEXT, labelsize=FONT)
    figure.text(left / WIDTH, 13 / HEIGHT, x_label, color=MUTED, fontsize=FONT)
    figure.text(4 / WIDTH, (HEIGHT - 15) / HEIGHT, y_label, color=MUTED, fontsize=FONT)
    return figure, plot


def ticks(plot: Axes, axis: str, places: Sequence[float], labels: Sequence[str]) -> None:
    """Set an axis' ticks, and grid lines along the vertical one."""
    one: Any = plot.xaxis if axis == "x" else plot.yaxis
    one.set_ticks(places, labels)
    if axis == "y":
        plot.hlines(places, *plot.get_xlim(), color=GRID, linewidth=0.8, zorder=0)


def round_steps(largest: float, most: int = 5) -> list[float]:
    """Return at most ``most`` + 1 round numbers from 0 that reach ``largest``."""
    import math

    # An axis of nothing still has a length.
    largest = largest or 1.0
    step = 10.0 ** math.floor(math.log10(largest / most))
    step = next(step * factor for factor in (1, 2, 5, 10) if step * factor * most >= largest)
    return [n * step for n in range(math.ceil(largest / step - 1e-9) + 1)]


def thinned(items: int, most: int = 5) -> list[int]:
    """Return at most ``most`` + 1 places among ``items``, evenly spaced, the first one included."""
    step = max(1, -(-items // most))
    return list(range(0, items, step))
