"""How the purchase model fits, candidate models side by side, and the seasonal index."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cltv_assets.figures import canvas
from cltv_assets.figures.canvas import Key
from cltv_assets.figures.svg import FIRST, MUTED, SECOND, TEXT

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_ROW = 34
_BAR = 0.38
#: An axis spans at least a hundredth, because smaller differences mean nothing.
_LEAST = 0.04


def histogram_figure(actual: Sequence[int], expected: Sequence[float] | None) -> Figure:
    """Draw customers by repeat purchases, actual beside model.

    Parameters
    ----------
    actual : sequence of int
        Customers with 0, 1, … repeat purchases, the last class with that many or more.
    expected : sequence of float, same length, or None
        What the model expects; None without a model.
    """
    most = max([*actual, *(expected or ())])
    keys = [Key(FIRST, "actual", "box"), *([Key(SECOND, "model", "box")] if expected is not None else [])]
    figure, plot = canvas.axes("Repeat purchases so far", "Customers", canvas.margin(most), keys=keys)
    last = len(actual) - 1
    classes = range(last + 1)
    plot.set_xlim(-0.6, last + 0.6)
    canvas.upwards(plot, most)
    plot.xaxis.set_ticks(list(classes), [*map(str, range(last)), f"{last}+"])
    aside = _BAR / 2 if expected is not None else 0.0
    plot.bar([n - aside for n in classes], actual, _BAR, color=FIRST)
    if expected is not None:
        plot.bar([n + aside for n in classes], expected, _BAR, color=SECOND)
    return figure


def candidates_figure(candidates: Sequence[tuple[str, float, float | None, bool]], what: str) -> Figure:
    """Draw how far each candidate lies behind the best: a dot, and a standard error to both sides.

    Parameters
    ----------
    candidates : sequence of (name, distance, standard error, chosen)
        Distance from the best one, at least 0.
    what : str
        The distance, with its unit.
    """
    reach = max([distance + (error or 0.0) for _, distance, error, _ in candidates] + [_LEAST])
    least = min(distance - (error or 0.0) for _, distance, error, _ in candidates)
    left = 14 + int(8.5 * max(len(name) for name, *_ in candidates))
    figure, plot = canvas.axes(what, "Candidate, the best first", left, 30, height=100 + _ROW * len(candidates))
    steps = canvas.round_steps(reach, 4)
    plot.set_xlim(min(least, 0.0) - 0.03 * steps[-1], steps[-1])
    plot.set_ylim(len(candidates) - 0.4, -0.6)
    plot.xaxis.set_ticks(steps, canvas.labels_of(steps))
    plot.yaxis.set_ticks(range(len(candidates)), [name for name, *_ in candidates])
    plot.axvline(0, color=MUTED, linewidth=1)
    for place, (_, distance, error, chosen) in enumerate(candidates):
        colour = FIRST if chosen else TEXT
        if error:
            plot.plot([distance - error, distance + error], [place, place], color=colour, linewidth=2)
        plot.plot([distance], [place], "o", color=colour, markersize=10 if chosen else 6, clip_on=False)
    return figure


def seasonality_figure(index: Sequence[float]) -> Figure:
    """Draw the purchase intensity of the calendar months.

    Parameters
    ----------
    index : sequence of 12 floats
        January first; a year's mean is 1.
    """
    figure, plot = canvas.axes("Calendar month", "Purchase intensity; a year's mean is 1", canvas.margin(max(index)))
    plot.set_xlim(-0.6, 11.6)
    canvas.upwards(plot, max(*index, 1.0))
    plot.xaxis.set_ticks(range(12), list(_MONTHS))
    plot.bar(range(12), index, 0.7, color=FIRST)
    plot.axhline(1, color=TEXT, linewidth=1.2, linestyle=canvas.DASHED)
    return figure
