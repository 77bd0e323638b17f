"""Bars: predicted value by segment, predictions beside what happened."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cltv_assets.report import wording
from cltv_assets.report.figures import canvas
from cltv_assets.report.figures.svg import FIRST, MUTED, SECOND, TEXT

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BAR = 0.38


def segments_figure(segments: Sequence[tuple[str, int, float]]) -> Figure:
    """Draw each segment's share of customers beside its share of predicted value.

    Parameters
    ----------
    segments : sequence of (name, customers, value)
        From the top; at least one customer in all.
    """
    customers = sum(n for _, n, _ in segments)
    value = sum(v for _, _, v in segments)
    figure, plot = canvas.axes("Value segment", "Share of all", left=50)
    plot.set_xlim(-0.6, len(segments) - 0.4)
    plot.set_ylim(0, 1.06)
    quarters = [0.0, 0.25, 0.5, 0.75, 1.0]
    canvas.ticks(plot, "y", quarters, [f"{place:.0%}" for place in quarters])
    plot.xaxis.set_ticks(range(len(segments)), [name for name, _, _ in segments])
    pairs: tuple[tuple[str, str, float, list[float]], ...] = (
        (MUTED, "customers", customers, [n for _, n, _ in segments]),
        (FIRST, "predicted value", value, [v for _, _, v in segments]),
    )
    for i, (colour, what, whole, parts) in enumerate(pairs):
        shares = [part / whole if whole else 0.0 for part in parts]
        places = [place + (i - 0.5) * _BAR for place in range(len(segments))]
        plot.bar(places, shares, _BAR, color=colour)
        for place, share in zip(places, shares, strict=True):
            plot.text(place, share + 0.02, f"{share:.0%}", color=TEXT, fontsize=canvas.FONT - 2, ha="center")
        plot.text(len(segments) - 0.45, 0.96 - 0.09 * i, what, color=colour, fontsize=canvas.FONT, ha="right", va="top")
    return figure


def holdout_figure(cases: Sequence[tuple[int, float, float, float | None]]) -> Figure:
    """Draw what was predicted for each horizon beside what happened.

    Parameters
    ----------
    cases : sequence of (horizon, actual, predicted, naive)
        Purchases of all customers; the horizon in months.
    """
    most = max(max(actual, predicted, naive or 0.0) for _, actual, predicted, naive in cases)
    steps = canvas.round_steps(most)
    labels = [wording.count(step) for step in steps]
    figure, plot = canvas.axes(
        "Months ahead that it was predicted", "Purchases of all customers", left=18 + 8 * len(labels[-1])
    )
    plot.set_xlim(-0.6, len(cases) - 0.4)
    # Room above the bars for the key.
    plot.set_ylim(0, steps[-1] * 1.3)
    canvas.ticks(plot, "y", steps, labels)
    plot.xaxis.set_ticks(range(len(cases)), [str(horizon) for horizon, *_ in cases])
    series = (
        (FIRST, "actual", [actual for _, actual, _, _ in cases]),
        (SECOND, "model", [predicted for _, _, predicted, _ in cases]),
        (MUTED, "as before (naive)", [naive or 0.0 for _, _, _, naive in cases]),
    )
    width = 0.26
    for i, (colour, what, heights) in enumerate(series):
        plot.bar([place + (i - 1) * width for place in range(len(cases))], heights, width, color=colour)
        plot.text(
            (0.02, 0.22, 0.42)[i], 0.98, what, color=colour, fontsize=canvas.FONT, va="top", transform=plot.transAxes
        )
    return figure
