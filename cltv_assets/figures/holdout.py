"""Earlier predictions beside what happened: by tenth of customers and by contender."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from cltv_assets.figures import canvas
from cltv_assets.figures.canvas import Key
from cltv_assets.figures.svg import FIRST, MUTED, SECOND, TEXT, THIRD

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BAR = 0.38
#: Colour and dashes of each contender, in the order drawn.
CONTENDERS = {
    "model": (FIRST, "line"),
    "NBD": (THIRD, "dashed"),
    "rate so far": (SECOND, "dashed"),
    "last year": (MUTED, "dotted"),
}


def deciles_figure(predicted: Sequence[float], actual: Sequence[float], what: str) -> Figure:
    """Draw predicted beside actual means of the tenths of customers.

    Parameters
    ----------
    predicted, actual : sequence of float, same length
        Means of each tenth, the lowest predictions first.
    what : str
        The vertical axis, with its unit.
    """
    most = max(*predicted, *actual)
    keys = [Key(SECOND, "predicted", "box"), Key(FIRST, "actual", "box")]
    figure, plot = canvas.axes("Tenth of customers, lowest prediction first", what, canvas.margin(most), keys=keys)
    plot.set_xlim(0.4, len(predicted) + 0.6)
    canvas.upwards(plot, most)
    places = range(1, len(predicted) + 1)
    plot.xaxis.set_ticks(list(places), [str(place) for place in places])
    plot.bar([place - _BAR / 2 for place in places], predicted, _BAR, color=SECOND)
    plot.bar([place + _BAR / 2 for place in places], actual, _BAR, color=FIRST)
    return figure


def totals_by_contender_figure(
    horizons: Sequence[int], actual: Sequence[float], predicted: Mapping[str, Sequence[float]]
) -> Figure:
    """Draw what each contender predicted for each horizon beside what happened.

    Parameters
    ----------
    horizons : sequence of int
        Months ahead.
    actual : sequence of float
        Purchases of all customers, one number for each horizon.
    predicted : mapping of str to sequence of float
        The same by contender: the names of `CONTENDERS`.
    """
    bars = [("actual", TEXT, actual)]
    bars += [(name, colour, predicted[name]) for name, (colour, _) in CONTENDERS.items() if name in predicted]
    most = max(max(heights) for _, _, heights in bars)
    keys = [Key(colour, name, "box") for name, colour, _ in bars]
    figure, plot = canvas.axes(
        "Months ahead that it was predicted", "Purchases of all customers", canvas.margin(most), keys=keys
    )
    plot.set_xlim(-0.6, len(horizons) - 0.4)
    canvas.upwards(plot, most)
    plot.xaxis.set_ticks(range(len(horizons)), [str(horizon) for horizon in horizons])
    width = 0.8 / len(bars)
    for i, (_, colour, heights) in enumerate(bars):
        places = [place + (i - (len(bars) - 1) / 2) * width for place in range(len(horizons))]
        plot.bar(places, heights, width, color=colour)
    return figure
