"""Axes in the report's style: few lines, horizontal text, and the vertical axis' name above it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cltv_assets.figures import wording
from cltv_assets.figures.svg import GRID, MUTED, TEXT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: In points; readable on a phone, where the drawing shrinks to three quarters.
WIDTH, HEIGHT, FONT = 460, 310, 13
_TOP, _BOTTOM, _RIGHT = 34, 52, 14
#: A row of the key, and the place that a sample and a letter take there.
_ROW, _SAMPLE, _LETTER = 19, 26, 7.5
#: Share of the axis that half a month's name takes.
_EDGE = 0.09
#: If there are more names than this, the first may be left out.
_MANY = 3
#: Gap before a colour bar, its width, and the room of its labels; colours of heat maps.
_BAR_GAP, _BAR_WIDTH, _BAR_LABELS = 14, 12, 44
BAR_ROOM, HEAT = _BAR_GAP + _BAR_WIDTH + _BAR_LABELS, "viridis"
#: Dashes of lines that are not measurements.
DASHED, DOTTED = (0, (4, 3)), (0, (1, 2))


@dataclass(frozen=True)
class Key:
    """One entry of a figure's key.

    Parameters
    ----------
    colour, text : str
        Colour of the sample, and the words beside it.
    style : str
        ``line``, ``dashed``, ``dotted``, ``box``, ``dot`` or ``cross``.
    """

    colour: str
    text: str
    style: str = "line"


def axes(
    x_label: str,
    y_label: str,
    left: int = 56,
    right: int = _RIGHT,
    keys: Sequence[Key] = (),
    height: int = HEIGHT,
) -> tuple[Figure, Axes]:
    """Return an empty figure with one plot.

    Parameters
    ----------
    x_label, y_label : str
        With units.
    left, right : int
        Margins in points, as wide as the labels there.
    keys : sequence of Key
        Drawn above the plot, below the vertical axis' name.
    height : int
        In points; the key's rows are added.
    """
    from matplotlib.figure import Figure

    rows = _rows(keys)
    height += _ROW * len(rows)
    top = _TOP + _ROW * len(rows)
    figure = Figure(figsize=(WIDTH / 72, height / 72), dpi=72)
    figure.patch.set_visible(False)
    plot = figure.add_axes(
        (left / WIDTH, _BOTTOM / height, (WIDTH - left - right) / WIDTH, 1 - (top + _BOTTOM) / height)
    )
    plot.patch.set_visible(False)
    for side in ("top", "right", "left"):
        plot.spines[side].set_visible(False)
    plot.spines["bottom"].set_color(MUTED)
    plot.tick_params(axis="x", length=3, color=MUTED, labelcolor=TEXT, labelsize=FONT)
    plot.tick_params(axis="y", length=0, labelcolor=TEXT, labelsize=FONT)
    figure.text(left / WIDTH, 13 / height, x_label, color=MUTED, fontsize=FONT)
    figure.text(4 / WIDTH, 1 - 15 / height, y_label, color=MUTED, fontsize=FONT)
    for i, row in enumerate(rows):
        x = 4.0
        for key in row:
            _sample(figure, key, x, height - _TOP - _ROW * i, height)
            x += _width(key)
    return figure, plot


def ticks(plot: Axes, axis: str, places: Sequence[float], labels: Sequence[str]) -> None:
    """Set an axis' ticks, and grid lines along the vertical one."""
    one: Any = plot.xaxis if axis == "x" else plot.yaxis
    one.set_ticks(places, labels)
    if axis == "y":
        plot.hlines(places, *plot.get_xlim(), color=GRID, linewidth=0.8, zorder=0)


def quarters(plot: Axes, zero: str = "0%") -> None:
    """Make the vertical axis one of shares of a whole; ``zero`` is its lowest label."""
    places = [0.0, 0.25, 0.5, 0.75, 1.0]
    ticks(plot, "y", places, [zero, *(f"{place:.0%}" for place in places[1:])])


def names_below(plot: Axes, places: Sequence[float], labels: Sequence[str]) -> None:
    """Set the horizontal axis' ticks so that no name overlaps the vertical axis' labels."""
    left, right = plot.get_xlim()
    at_edge = [place - left < _EDGE * (right - left) for place in places]
    if at_edge[0] and len(places) > _MANY:
        labels = ["", *labels[1:]]
    plot.xaxis.set_ticks(places, labels)
    if at_edge[0]:
        plot.xaxis.get_major_ticks()[0].label1.set_horizontalalignment("left")


def upwards(plot: Axes, most: float, least: float = 0.0) -> None:
    """Make the vertical axis one of round amounts from 0, or from below it, that reach ``most``."""
    places = round_range(least, most)
    plot.set_ylim(places[0], places[-1] + 0.02 * (places[-1] - places[0]))
    ticks(plot, "y", places, labels_of(places))


def margin(most: float, least: float = 0.0) -> int:
    """Return room for the largest label of such an axis."""
    return 18 + 8 * max(len(label) for label in labels_of(round_range(least, most)))


def colour_bar(figure: Figure, plot: Axes, steps: Sequence[float], labels: Sequence[str], what: str) -> None:
    """Draw right of a heat map which colour of `HEAT` stands for which number, from 0 to the last step.

    Parameters
    ----------
    figure : Figure
        Of `axes`, with a right margin of `BAR_ROOM`.
    plot : Axes
    steps, labels : sequence of float and of str, same length
        Numbers along the bar.
    what : str
        What they count, above the bar.
    """
    import numpy as np

    box = plot.get_position()
    height = figure.get_size_inches()[1] * 72
    bar = figure.add_axes((box.x1 + _BAR_GAP / WIDTH, box.y0, _BAR_WIDTH / WIDTH, box.height))
    scale = np.linspace(0.0, 1.0, 64)[:, None]
    bar.imshow(scale, cmap=HEAT, interpolation="none", aspect="auto", origin="lower", extent=(0, 1, 0, steps[-1]))
    bar.set_frame_on(False)
    bar.xaxis.set_visible(False)
    bar.yaxis.set_ticks(steps, labels)
    bar.tick_params(axis="y", length=0, labelcolor=TEXT, labelsize=FONT, labelleft=False, labelright=True)
    figure.text(1 - 4 / WIDTH, 1 - 15 / height, what, color=MUTED, fontsize=FONT, ha="right")


def labels_of(places: Sequence[float]) -> list[str]:
    """Return labels with as many digits as the steps need; millions and more shortened."""
    step = abs(places[1] - places[0])
    largest = max(abs(place) for place in places)
    for size, letter in ((1e9, "bn"), (1e6, "m")):
        if largest >= size and step >= size / 100:
            return [
                f"{wording.decimal(place / size, _digits(step / size))}{letter if place else ''}" for place in places
            ]
    return [wording.decimal(place, _digits(step)) for place in places]


def round_steps(largest: float, most: int = 5) -> list[float]:
    """Return at most ``most`` + 1 round numbers from 0 that reach ``largest``."""
    # An axis of nothing still has a length.
    largest = largest or 1.0
    step = 10.0 ** math.floor(math.log10(largest / most))
    step = next(step * factor for factor in (1, 2, 5, 10) if step * factor * most >= largest * (1 - 1e-9))
    return [n * step for n in range(math.ceil(largest / step - 1e-9) + 1)]


def round_range(least: float, largest: float, most: int = 5) -> list[float]:
    """Return round numbers, 0 among them, from at most ``least`` to at least ``largest``."""
    least, largest = min(least, 0.0), max(largest, 0.0)
    if least == largest:
        # An axis of nothing still has a length.
        largest = 1.0
    step = round_steps(largest - least, most)[1]
    return [n * step for n in range(math.floor(least / step + 1e-9), math.ceil(largest / step - 1e-9) + 1)]


def thinned(items: int, most: int = 5) -> list[int]:
    """Return at most ``most`` + 1 places among ``items``, evenly spaced, the first one included."""
    step = max(1, -(-items // most))
    return list(range(0, items, step))


def _digits(step: float) -> int:
    return max(0, -math.floor(math.log10(step) + 1e-9))


def _rows(keys: Sequence[Key]) -> list[list[Key]]:
    rows: list[list[Key]] = []
    for key in keys:
        if rows and sum(map(_width, rows[-1])) + _width(key) <= WIDTH:
            rows[-1].append(key)
        else:
            rows.append([key])
    return rows


def _width(key: Key) -> float:
    return _SAMPLE + _LETTER * len(key.text) + 10


def _sample(figure: Figure, key: Key, x: float, y: float, height: int) -> None:
    from matplotlib.lines import Line2D

    style: dict[str, Any] = {"linewidth": 2.5}
    if key.style == "box":
        style = {"linewidth": 9}
    elif key.style in ("dashed", "dotted"):
        style = {"linewidth": 2, "linestyle": DASHED if key.style == "dashed" else DOTTED}
    elif key.style in ("dot", "cross"):
        style = {"linewidth": 0, "marker": "o" if key.style == "dot" else "x", "markersize": 7, "markeredgewidth": 2}
    middle = (y - 4) / height
    ends = [(x + 9) / WIDTH] if "marker" in style else [x / WIDTH, (x + 18) / WIDTH]
    figure.add_artist(Line2D(ends, [middle] * len(ends), color=key.colour, solid_capstyle="butt", **style))
    figure.text((x + 23) / WIDTH, middle - 4.5 / height, key.text, color=TEXT, fontsize=FONT)
