"""Segments: their shares, and who moved between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cltv_assets.report.facts.segments import VALUE, Move, direction, tier_place
from cltv_assets.report.figures import canvas
from cltv_assets.report.figures.canvas import Key
from cltv_assets.report.figures.svg import BACK, FIRST, GRID, MUTED, SECOND, TEXT, THIRD
from cltv_assets.tables.segmentation import GONE

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BAR = 0.38
#: A part narrower than this holds no number.
_LEAST_LABELLED = 0.07


def segments_figure(segments: Sequence[tuple[str, int, float]]) -> Figure:
    """Draw each segment's share of customers beside its share of predicted value.

    Parameters
    ----------
    segments : sequence of (name, customers, value)
        From the top; at least one customer in all.
    """
    customers = sum(n for _, n, _ in segments)
    value = sum(v for _, _, v in segments)
    keys = [Key(MUTED, "customers", "box"), Key(FIRST, "predicted value", "box")]
    figure, plot = canvas.axes("Value tier", "Share of all", left=50, keys=keys)
    plot.set_xlim(-0.6, len(segments) - 0.4)
    plot.set_ylim(0, 1.06)
    quarters = [0.0, 0.25, 0.5, 0.75, 1.0]
    canvas.ticks(plot, "y", quarters, [f"{place:.0%}" for place in quarters])
    plot.xaxis.set_ticks(range(len(segments)), [name for name, _, _ in segments])
    pairs: tuple[tuple[str, float, list[float]], ...] = (
        (MUTED, customers, [n for _, n, _ in segments]),
        (FIRST, value, [v for _, _, v in segments]),
    )
    for i, (colour, whole, parts) in enumerate(pairs):
        shares = [part / whole if whole else 0.0 for part in parts]
        places = [place + (i - 0.5) * _BAR for place in range(len(segments))]
        plot.bar(places, shares, _BAR, color=colour)
        for place, share in zip(places, shares, strict=True):
            plot.text(place, share + 0.02, f"{share:.0%}", color=TEXT, fontsize=canvas.FONT - 2, ha="center")
    return figure


def movement_figure(moves: Sequence[Move]) -> Figure:
    """Draw where each value tier's customers came from: stacked shares, one bar a tier.

    Parameters
    ----------
    moves : sequence of Move
        With a month before; other schemes are left out.
    """
    shown = [move for move in moves if move.scheme == VALUE and move.now != GONE]
    tiers = sorted({move.now for move in shown}, key=lambda name: (tier_place(name), name))
    # What stayed is grey: the picture is about those who moved.
    parts = (("stayed", GRID), ("rose", FIRST), ("fell", SECOND), ("new", THIRD))
    keys = [
        Key(colour, {"rose": "rose into it", "fell": "fell into it"}.get(name, name), "box") for name, colour in parts
    ]
    figure, plot = canvas.axes("Value tier now", "Customers of the tier", left=50, keys=keys)
    plot.set_xlim(-0.6, max(len(tiers), 1) - 0.4)
    plot.set_ylim(0, 1.04)
    quarters = [0.0, 0.25, 0.5, 0.75, 1.0]
    canvas.ticks(plot, "y", quarters, [f"{place:.0%}" for place in quarters])
    plot.xaxis.set_ticks(range(len(tiers)), tiers)
    for place, tier in enumerate(tiers):
        inside = [move for move in shown if move.now == tier]
        whole, bottom = sum(move.customers for move in inside), 0.0
        for name, colour in parts:
            share = sum(move.customers for move in inside if direction(move) == name) / whole
            plot.bar([place], [share], 2 * _BAR, bottom=bottom, color=colour)
            if share >= _LEAST_LABELLED:
                # The colours are dark on a light page and light on a dark one.
                ink = TEXT if name == "stayed" else BACK
                middle = bottom + share / 2
                plot.text(place, middle, f"{share:.0%}", color=ink, fontsize=canvas.FONT - 2, ha="center", va="center")
            bottom += share
    return figure
