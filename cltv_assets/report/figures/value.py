"""Predicted value: its concentration, and earlier totals against what happened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cltv_assets.report import wording
from cltv_assets.report.facts.holdout import HoldoutCase
from cltv_assets.report.facts.value import Concentration
from cltv_assets.report.figures import canvas
from cltv_assets.report.figures.canvas import Key
from cltv_assets.report.figures.svg import FIRST, MUTED, SECOND, TEXT

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: The shares of customers that the curve is read at; the last one after Pareto.
READ_AT = (0.05, 0.2)


def concentration_figure(curve: Concentration) -> Figure:
    """Draw the cumulative share of value against that of customers."""
    figure, plot = canvas.axes(
        "Customers, most valuable first (share of all)", "Share of predicted value", left=50, right=22
    )
    plot.set_xlim(0, 1)
    plot.set_ylim(0, 1.02)
    quarters = [0.0, 0.25, 0.5, 0.75, 1.0]
    tenths = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    canvas.ticks(plot, "x", tenths, [f"{place:.0%}" for place in tenths])
    # One zero for both axes.
    canvas.ticks(plot, "y", quarters, ["", *(f"{place:.0%}" for place in quarters[1:])])
    plot.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
    plot.text(0.62, 0.5, "all worth the same", color=MUTED, fontsize=canvas.FONT, ha="left", va="center")
    plot.plot(curve.customers, curve.value, color=FIRST, linewidth=2.5, clip_on=False)
    for row, share in enumerate(READ_AT):
        held = curve.held_by(share)
        plot.plot([share], [held], "o", color=FIRST, markersize=7)
        # Below the line of equal worth there is room whatever the curve.
        shown = f"top {share:.0%} hold {wording.percent(held, 0)}"
        plot.text(0.98, 0.24 - 0.12 * row, shown, color=TEXT, fontsize=canvas.FONT, fontweight="bold", ha="right")
    return figure


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
