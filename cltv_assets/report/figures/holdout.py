"""How wrong predictions were, over the months."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cltv_assets.figures import canvas, wording
from cltv_assets.figures.canvas import DASHED, DOTTED, Key
from cltv_assets.figures.holdout import CONTENDERS
from cltv_assets.figures.svg import FIRST, MUTED, SECOND, TEXT, THIRD
from cltv_assets.months import Month
from cltv_assets.tables.holdout_evaluation.cases import HoldoutCase

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def bias_figure(by_horizon: Sequence[Sequence[HoldoutCase]]) -> Figure:
    """Draw the bias of the predicted total over the months, a line a horizon.

    Parameters
    ----------
    by_horizon : sequence of sequence of HoldoutCase
        Purchases; each oldest first, with at least one bias in all.
    """
    lines = [[(case.ended, case.model.bias) for case in cases if case.model.bias is not None] for cases in by_horizon]
    values = [100 * bias for line in lines for _, bias in line]
    styles = [(FIRST, "line"), (SECOND, "dashed"), (THIRD, "dotted"), (MUTED, "line"), (TEXT, "dashed")]
    drawn = [
        (line, *styles[i % len(styles)], wording.months(cases[0].horizon).replace("\N{NO-BREAK SPACE}", " "))
        for i, (line, cases) in enumerate(zip(lines, by_horizon, strict=True))
        if line
    ]
    keys = [Key(colour, f"{name} ahead", style) for _, colour, style, name in drawn]
    left = canvas.margin(max(values), min(values)) + 10
    figure, plot = canvas.axes("Month at whose end the horizon was over", "Total off by, percent", left, 30, keys)
    months = sorted({month for line in lines for month, _ in line})
    _month_axis(plot, months)
    canvas.upwards(plot, max(max(values), 5.0), min(min(values), -5.0))
    plot.axhline(0, color=TEXT, linewidth=1)
    for line, colour, style, _ in drawn:
        _line(plot, months[0], [(month, 100 * bias) for month, bias in line], colour, style)
    return figure


def errors_figure(cases: Sequence[HoldoutCase]) -> Figure:
    """Draw the mean absolute error of model and baselines over the months.

    Parameters
    ----------
    cases : sequence of HoldoutCase
        Purchases of one horizon, oldest first; at least one.
    """
    lines = {
        name: [(case.ended, one.mae) for case in cases if (one := case.labelled.get(name)) is not None]
        for name in CONTENDERS
    }
    shown = {name: line for name, line in lines.items() if line}
    most = max(mae for line in shown.values() for _, mae in line)
    keys = [Key(CONTENDERS[name][0], name, CONTENDERS[name][1]) for name in shown]
    what = "Mean absolute error, purchases a customer"
    figure, plot = canvas.axes("Month at whose end the horizon was over", what, canvas.margin(most), 30, keys)
    months = [case.ended for case in cases]
    _month_axis(plot, months)
    canvas.upwards(plot, most)
    for name, line in reversed(shown.items()):
        _line(plot, months[0], line, *CONTENDERS[name])
    return figure


def _month_axis(plot: Axes, months: Sequence[Month]) -> None:
    span = _between(months[0], months[-1])
    plot.set_xlim(-0.4, max(span, 1) + 0.4)
    places = canvas.thinned(span + 1, 4)
    canvas.names_below(plot, places, [wording.short_month(months[0].shift(place)) for place in places])


def _line(plot: Axes, first: Month, line: Sequence[tuple[Month, float]], colour: str, style: str) -> None:
    dashes = {"line": "-", "dashed": DASHED, "dotted": DOTTED}[style]
    places = [_between(first, month) for month, _ in line]
    plot.plot(places, [value for _, value in line], color=colour, linewidth=2.2, linestyle=dashes)
    plot.plot(places, [value for _, value in line], "o", color=colour, markersize=4.5)


def _between(first: Month, last: Month) -> int:
    return 12 * (last.first_day.year - first.first_day.year) + last.first_day.month - first.first_day.month
