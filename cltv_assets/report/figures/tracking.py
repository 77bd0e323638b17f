"""Repeat purchases over time: what happened, what the model has, what an earlier one forecast."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from cltv_assets.figures import canvas, wording
from cltv_assets.figures.canvas import DASHED, Key
from cltv_assets.figures.svg import FIRST, MUTED, SECOND, THIRD
from cltv_assets.months import Month
from cltv_assets.report.facts.tracking import Tracking

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Weeks of the past in the weekly plot; more are a hedge.
WEEKS = 104


def cumulative_figure(facts: Tracking) -> Figure:
    """Draw cumulative repeat purchases at week ends."""
    what = "Repeat purchases so far, all customers"
    figure, plot = _plot(facts, facts.ends, what, _most(facts.actual, facts.expected, facts.earlier_line))
    _lines(plot, facts, facts.ends, facts.actual, facts.expected, facts.earlier_line, 2.5)
    return figure


def weekly_figure(facts: Tracking) -> Figure:
    """Draw the repeat purchases of each week, of the last two years at most."""
    actual, expected, earlier = (
        None if line is None else tuple(b - a for a, b in pairwise(line))
        for line in (facts.actual, facts.expected, facts.earlier_line)
    )
    assert actual is not None
    left = max(0, len(actual) - WEEKS)
    ends = facts.ends[1 + left :]
    actual, expected, earlier = (None if line is None else line[left:] for line in (actual, expected, earlier))
    assert actual is not None
    figure, plot = _plot(facts, ends, "Repeat purchases a week, all customers", _most(actual, expected, earlier))
    _lines(plot, facts, ends, actual, expected, earlier, 1.6)
    return figure


def _most(*lines: Sequence[float] | None) -> float:
    return max(max(line) for line in lines if line)


def _plot(facts: Tracking, ends: Sequence[dt.date], what: str, most: float) -> tuple[Figure, Axes]:
    keys = [Key(FIRST, "actual")]
    if facts.expected is not None:
        keys += [Key(SECOND, "model"), Key(SECOND, "its forecast", "dashed")]
    if facts.earlier is not None:
        keys.append(Key(THIRD, f"forecast of {wording.short_month(facts.earlier.month)}", "dashed"))
    figure, plot = canvas.axes("End of week", what, canvas.margin(most), 30, keys)
    last = ends[-1] if facts.expected is not None else facts.ends[facts.now]
    plot.set_xlim(-0.5, max((last - ends[0]).days / 7, 1) + 0.5)
    canvas.upwards(plot, most)
    firsts = [month.first_day for month in Month.of(ends[0]).until(Month.of(last)) if month.first_day >= ends[0]]
    places = [firsts[i] for i in canvas.thinned(len(firsts), 4)] or [ends[0]]
    canvas.names_below(
        plot, [(day - ends[0]).days / 7 for day in places], [wording.short_month(Month.of(day)) for day in places]
    )
    return figure, plot


def _lines(
    plot: Axes,
    facts: Tracking,
    ends: Sequence[dt.date],
    actual: Sequence[float],
    expected: Sequence[float] | None,
    earlier: Sequence[float] | None,
    width: float,
) -> None:
    seen = len(actual)
    plot.plot(range(seen), actual, color=FIRST, linewidth=width)
    if expected is not None:
        plot.plot(range(seen), expected[:seen], color=SECOND, linewidth=2)
        plot.plot(range(seen - 1, len(expected)), expected[seen - 1 :], color=SECOND, linewidth=2, linestyle=DASHED)
        plot.axvline(seen - 1, color=MUTED, linewidth=1, linestyle=canvas.DOTTED)
    if earlier is not None and facts.earlier is not None:
        place = max(facts.ends[facts.earlier.ended], ends[0])
        begun = (place - ends[0]).days // 7
        plot.plot(range(begun, seen), earlier[begun:], color=THIRD, linewidth=2.2, linestyle=DASHED)
        plot.axvline(begun, color=THIRD, linewidth=1, linestyle=canvas.DOTTED)
