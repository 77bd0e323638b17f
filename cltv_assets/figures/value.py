"""Predicted value by segment and by share of customers, and who moved between the tiers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from cltv_assets.figures import canvas, wording
from cltv_assets.figures.canvas import Key
from cltv_assets.figures.svg import BACK, FIRST, GRID, MUTED, SECOND, TEXT, THIRD

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BAR = 0.38
_BAND = 0.18
#: A part narrower than this shows no number.
_LEAST_LABELLED = 0.07


def segments_figure(segments: Sequence[tuple[str, int, float]], what: str = "predicted value") -> Figure:
    """Draw each segment's share of customers beside its share of predicted value.

    Parameters
    ----------
    segments : sequence of (name, customers, value)
        From the top; at least one customer in all.
    what : str
        What stands in place of the value where that is not known.
    """
    customers = sum(n for _, n, _ in segments)
    value = sum(v for _, _, v in segments)
    keys = [Key(MUTED, "customers", "box"), Key(FIRST, what, "box")]
    figure, plot = canvas.axes("Value tier", "Share of all", left=50, keys=keys)
    plot.set_xlim(-0.6, len(segments) - 0.4)
    plot.set_ylim(0, 1.06)
    canvas.quarters(plot)
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


def course_figure(
    before: Mapping[str, Sequence[float]], ahead: Sequence[tuple[int, float, float, float]], what: str
) -> Figure:
    """Draw what is expected from now to each horizon, and what the same months of a year before brought.

    Parameters
    ----------
    before : mapping of str to sequence of float
        By name, cumulative, at the end of each month; two at most.
    ahead : sequence of (months, expected, low, high)
        By horizon, at least one; ends of the 80 % interval.
    what : str
        The vertical axis, with its unit.
    """
    ends = [
        *(number for line in before.values() for number in line),
        *(number for point in ahead for number in point[1:]),
    ]
    most, least = max(ends), min(0.0, *ends)
    keys = [Key(FIRST, "expected", "dashed")]
    keys += [Key(colour, name) for name, colour in zip(before, (SECOND, MUTED), strict=False)]
    figure, plot = canvas.axes("Months from now", what, canvas.margin(most, least), keys=keys)
    plot.set_xlim(0, ahead[-1][0] * 1.02)
    canvas.upwards(plot, most, least)
    places = canvas.thinned(ahead[-1][0] + 1, 6)
    plot.xaxis.set_ticks(places, [str(place) for place in places])
    at, mean, low, high = zip((0, 0.0, 0.0, 0.0), *ahead, strict=True)
    plot.fill_between(at, low, high, color=FIRST, alpha=_BAND, linewidth=0)
    plot.plot(at, mean, color=FIRST, linewidth=2, linestyle=canvas.DASHED)
    plot.plot(at[1:], mean[1:], "o", color=FIRST, markersize=5, clip_on=False)
    for line, colour in zip(before.values(), (SECOND, MUTED), strict=False):
        plot.plot(range(len(line) + 1), [0.0, *line], color=colour, linewidth=2.5)
    return figure


def movement_figure(tiers: Mapping[str, Mapping[str, int]]) -> Figure:
    """Draw where each value tier's customers came from: stacked shares, one bar a tier.

    Parameters
    ----------
    tiers : mapping of str to mapping of str to int
        By tier from the top, its customers who ``stayed``, ``rose``, ``fell`` or are ``new``;
        at least one customer in each tier.
    """
    # Customers who stayed are grey, because the picture is about those who moved.
    parts = (("stayed", GRID), ("rose", FIRST), ("fell", SECOND), ("new", THIRD))
    keys = [
        Key(colour, {"rose": "rose into it", "fell": "fell into it"}.get(name, name), "box") for name, colour in parts
    ]
    figure, plot = canvas.axes("Value tier now", "Customers of the tier", left=50, keys=keys)
    plot.set_xlim(-0.6, max(len(tiers), 1) - 0.4)
    plot.set_ylim(0, 1.04)
    canvas.quarters(plot)
    plot.xaxis.set_ticks(range(len(tiers)), list(tiers))
    for place, counted in enumerate(tiers.values()):
        whole, bottom = sum(counted.values()), 0.0
        for name, colour in parts:
            share = counted.get(name, 0) / whole
            plot.bar([place], [share], 2 * _BAR, bottom=bottom, color=colour)
            if share >= _LEAST_LABELLED:
                # The colours are dark on a light page and light on a dark one.
                ink = TEXT if name == "stayed" else BACK
                middle = bottom + share / 2
                plot.text(place, middle, f"{share:.0%}", color=ink, fontsize=canvas.FONT - 2, ha="center", va="center")
            bottom += share
    return figure


def concentration_figure(customers: Sequence[float], value: Sequence[float], held: Mapping[float, float]) -> Figure:
    """Draw the cumulative share of value against that of customers.

    Parameters
    ----------
    customers, value : sequence of float, same length
        Cumulative shares from 0 to 1, the most valuable customers first.
    held : mapping of float to float
        Share of value by the share of customers that hold it: points that are marked and spelled out.
    """
    figure, plot = canvas.axes(
        "Customers, most valuable first (share of all)", "Share of predicted value", left=50, right=22
    )
    plot.set_xlim(0, 1)
    plot.set_ylim(0, 1.02)
    tenths = [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
    canvas.ticks(plot, "x", tenths, [f"{place:.0%}" for place in tenths])
    # Both axes share one zero label.
    canvas.quarters(plot, zero="")
    plot.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (3, 3)))
    plot.text(0.62, 0.5, "all worth the same", color=MUTED, fontsize=canvas.FONT, ha="left", va="center")
    plot.plot(customers, value, color=FIRST, linewidth=2.5, clip_on=False)
    for row, (share, theirs) in enumerate(held.items()):
        plot.plot([share], [theirs], "o", color=FIRST, markersize=7)
        # There is always room below the line of equal value.
        shown = f"top {share:.0%} hold {wording.percent(theirs, 0)}"
        plot.text(0.98, 0.24 - 0.12 * row, shown, color=TEXT, fontsize=canvas.FONT, fontweight="bold", ha="right")
    return figure
