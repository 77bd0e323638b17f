"""Concentration of predicted value."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cltv_assets.report import wording
from cltv_assets.report.facts.value import Concentration
from cltv_assets.report.figures import canvas
from cltv_assets.report.figures.svg import FIRST, MUTED, TEXT

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: The share of customers that the curve is read at, after Pareto.
READ_AT = 0.2


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
    held = curve.held_by(READ_AT)
    plot.plot([READ_AT], [held], "o", color=FIRST, markersize=7)
    shown = f"top {READ_AT:.0%}: {wording.percent(held, 0)}"
    # Right below a steep curve there is room; a flat one leaves it above.
    x, y = (READ_AT + 0.03, held - 0.08) if held > 0.55 else (0.03, held + 0.22)
    plot.text(x, y, shown, color=TEXT, fontsize=canvas.FONT, fontweight="bold")
    return figure
