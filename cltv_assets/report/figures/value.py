"""Earlier totals of value against what happened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cltv_assets.figures import canvas, wording
from cltv_assets.figures.canvas import Key
from cltv_assets.figures.svg import FIRST, SECOND
from cltv_assets.tables.holdout_evaluation.cases import HoldoutCase

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def totals_figure(cases: Sequence[HoldoutCase], what: str) -> Figure:
    """Draw forecasts of the total with their intervals, and what happened.

    Parameters
    ----------
    cases : sequence of HoldoutCase
        One horizon and target, oldest first.
    what : str
        The vertical axis, with its unit.
    """
    ends = [end for case in cases for end in (*(case.interval or ()), case.model.predicted, case.actual)]
    keys = [
        Key(FIRST, "predicted", "dot"),
        *([Key(FIRST, "80% interval")] if any(case.interval for case in cases) else []),
        Key(SECOND, "actual", "cross"),
    ]
    figure, plot = canvas.axes("Month at whose end the horizon was over", what, canvas.margin(max(ends)), 30, keys)
    plot.set_xlim(-0.6, max(len(cases), 2) - 0.4)
    canvas.upwards(plot, max(ends))
    places = canvas.thinned(len(cases), 4)
    canvas.names_below(plot, places, [wording.short_month(cases[place].ended) for place in places])
    for i, case in enumerate(cases):
        if case.interval is not None:
            plot.plot([i, i], case.interval, color=FIRST, linewidth=4, alpha=0.45, solid_capstyle="butt")
        plot.plot([i], [case.model.predicted], "o", color=FIRST, markersize=6)
        plot.plot([i], [case.actual], "x", color=SECOND, markersize=8, markeredgewidth=2.2)
    return figure
