"""Customers by repeat purchases: counted, and as the model has them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cltv_assets.report.facts.frequencies import LAST_CLASS, Histogram
from cltv_assets.report.figures import canvas
from cltv_assets.report.figures.canvas import Key
from cltv_assets.report.figures.svg import FIRST, SECOND

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BAR = 0.38


def histogram_figure(facts: Histogram) -> Figure:
    """Draw customers by repeat purchases, actual beside model."""
    most = max([*facts.actual, *(facts.expected or ())])
    keys = [Key(FIRST, "actual", "box"), *([Key(SECOND, "model", "box")] if facts.expected is not None else [])]
    figure, plot = canvas.axes("Repeat purchases so far", "Customers", canvas.margin(most), keys=keys)
    classes = range(LAST_CLASS + 1)
    plot.set_xlim(-0.6, LAST_CLASS + 0.6)
    canvas.upwards(plot, most)
    plot.xaxis.set_ticks(list(classes), [*map(str, range(LAST_CLASS)), f"{LAST_CLASS}+"])
    aside = _BAR / 2 if facts.expected is not None else 0.0
    plot.bar([n - aside for n in classes], facts.actual, _BAR, color=FIRST)
    if facts.expected is not None:
        plot.bar([n + aside for n in classes], facts.expected, _BAR, color=SECOND)
    return figure
