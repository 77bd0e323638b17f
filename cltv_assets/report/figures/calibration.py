"""The model beside what happened: purchase counts and the tracking plot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cltv_assets.report import wording
from cltv_assets.report.facts.model_view import LAST_CLASS, Histogram, Tracking
from cltv_assets.report.figures import canvas
from cltv_assets.report.figures.svg import FIRST, MUTED, SECOND, TEXT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BAR = 0.38


def histogram_figure(facts: Histogram) -> Figure:
    """Draw customers by repeat purchases, actual beside model."""
    most = max([*facts.actual, *(facts.expected or ())])
    figure, plot = canvas.axes("Repeat purchases so far", "Customers", left=_margin(most))
    classes = range(LAST_CLASS + 1)
    plot.set_xlim(-0.6, LAST_CLASS + 0.6)
    _vertical(plot, most)
    plot.xaxis.set_ticks(list(classes), [*map(str, range(LAST_CLASS)), f"{LAST_CLASS}+"])
    aside = _BAR / 2 if facts.expected is not None else 0.0
    plot.bar([n - aside for n in classes], facts.actual, _BAR, color=FIRST)
    _key(plot, 0.6, FIRST, "actual", 0)
    if facts.expected is not None:
        plot.bar([n + aside for n in classes], facts.expected, _BAR, color=SECOND)
        _key(plot, 0.6, SECOND, "model", 1)
    return figure


def tracking_figure(facts: Tracking) -> Figure:
    """Draw cumulative repeat purchases by month, and the model's expectation."""
    n, seen = len(facts.months), len(facts.actual)
    most = max([*facts.actual, *(facts.expected or ())])
    what = "Cumulative repeat purchases, all customers"
    figure, plot = canvas.axes("Month's end", what, left=_margin(most), right=30)
    last = n - 1 if facts.expected is not None else max(seen - 1, 1)
    plot.set_xlim(-0.2, last + 0.2)
    _vertical(plot, most)
    places = canvas.thinned(last + 1, 4)
    plot.xaxis.set_ticks(places, [wording.short_month(facts.months[place]) for place in places])
    plot.plot(range(seen), facts.actual, color=FIRST, linewidth=2.5, marker="o", markersize=4.5)
    _key(plot, 0.03, FIRST, "actual", 0)
    if facts.expected is not None:
        plot.plot(range(seen), facts.expected[:seen], color=SECOND, linewidth=2)
        plot.plot(range(seen - 1, n), facts.expected[seen - 1 :], color=SECOND, linewidth=2, linestyle=(0, (4, 3)))
        _key(plot, 0.03, SECOND, "model", 1)
        plot.axvline(seen - 1, color=MUTED, linewidth=1, linestyle=(0, (1, 2)))
        # Low down, where a curve has left; half-way up where it has only begun.
        height = 0.02 if seen > n / 4 else 0.5
        plot.text(seen - 1 + last * 0.015, height * most, "fitted up to here", color=MUTED, fontsize=canvas.FONT)
    return figure


def _margin(most: float) -> int:
    """Return room for the largest label of the vertical axis."""
    return 18 + 8 * len(wording.count(canvas.round_steps(most)[-1]))


def _vertical(plot: Axes, most: float) -> None:
    steps = canvas.round_steps(most)
    plot.set_ylim(0, steps[-1] * 1.02)
    canvas.ticks(plot, "y", steps, [wording.count(step) for step in steps])


def _key(plot: Axes, x: float, colour: str, text: str, row: int) -> None:
    """Name a colour inside the plot, at its top, where rising curves or falling bars leave room."""
    y = 0.95 - 0.09 * row
    plot.plot([x, x + 0.04], [y, y], color=colour, linewidth=5, transform=plot.transAxes, solid_capstyle="butt")
    plot.text(x + 0.06, y, text, color=TEXT, fontsize=canvas.FONT, va="center", transform=plot.transAxes)
