"""Earlier predictions beside what happened: by decile, by contender, over the months."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cltv_assets.months import Month
from cltv_assets.report import wording
from cltv_assets.report.facts.holdout import Contender, Decile, HoldoutCase
from cltv_assets.report.figures import canvas
from cltv_assets.report.figures.canvas import DASHED, DOTTED, Key
from cltv_assets.report.figures.svg import FIRST, MUTED, SECOND, TEXT, THIRD
from cltv_assets.tables.holdout_evaluation.outcomes import LAST_YEAR, NAIVE_RATE, NBD

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BAR = 0.38
#: Colour, dashes and name of each contender; the model has none of its own here.
_CONTENDERS = {
    None: (FIRST, "line", "model"),
    NBD: (THIRD, "dashed", "NBD"),
    NAIVE_RATE: (SECOND, "dashed", "rate so far"),
    LAST_YEAR: (MUTED, "dotted", "last year"),
}


def deciles_figure(deciles: Sequence[Decile], what: str) -> Figure:
    """Draw predicted beside actual means of the tenths of customers.

    Parameters
    ----------
    deciles : sequence of Decile
        The lowest predictions first.
    what : str
        The vertical axis, with its unit.
    """
    most = max(max(one.predicted, one.actual) for one in deciles)
    keys = [Key(SECOND, "predicted", "box"), Key(FIRST, "actual", "box")]
    figure, plot = canvas.axes("Tenth of customers, lowest prediction first", what, canvas.margin(most), keys=keys)
    plot.set_xlim(0.4, len(deciles) + 0.6)
    canvas.upwards(plot, most)
    places = range(1, len(deciles) + 1)
    plot.xaxis.set_ticks(list(places), [str(place) for place in places])
    plot.bar([place - _BAR / 2 for place in places], [one.predicted for one in deciles], _BAR, color=SECOND)
    plot.bar([place + _BAR / 2 for place in places], [one.actual for one in deciles], _BAR, color=FIRST)
    return figure


def totals_by_contender_figure(cases: Sequence[HoldoutCase]) -> Figure:
    """Draw what each contender predicted for each horizon beside what happened.

    Parameters
    ----------
    cases : sequence of HoldoutCase
        Purchases, one a horizon.
    """
    names = [name for name in _CONTENDERS if any(_of(case, name) is not None for case in cases)]
    heights = {name: [_of(case, name) or 0.0 for case in cases] for name in names}
    most = max([case.actual for case in cases] + [height for each in heights.values() for height in each])
    actual = Key(TEXT, "actual", "box")
    keys = [actual, *(Key(_CONTENDERS[name][0], _CONTENDERS[name][2], "box") for name in names)]
    figure, plot = canvas.axes(
        "Months ahead that it was predicted", "Purchases of all customers", canvas.margin(most), keys=keys
    )
    plot.set_xlim(-0.6, len(cases) - 0.4)
    canvas.upwards(plot, most)
    plot.xaxis.set_ticks(range(len(cases)), [str(case.horizon) for case in cases])
    bars = [(TEXT, [case.actual for case in cases]), *((_CONTENDERS[name][0], heights[name]) for name in names)]
    width = 0.8 / len(bars)
    for i, (colour, tall) in enumerate(bars):
        places = [place + (i - (len(bars) - 1) / 2) * width for place in range(len(cases))]
        plot.bar(places, tall, width, color=colour)
    return figure


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
        name: [(case.ended, one.mae) for case in cases if (one := _contender(case, name)) is not None]
        for name in _CONTENDERS
    }
    shown = {name: line for name, line in lines.items() if line}
    most = max(mae for line in shown.values() for _, mae in line)
    keys = [Key(_CONTENDERS[name][0], _CONTENDERS[name][2], _CONTENDERS[name][1]) for name in shown]
    what = "Mean absolute error, purchases a customer"
    figure, plot = canvas.axes("Month at whose end the horizon was over", what, canvas.margin(most), 30, keys)
    months = [case.ended for case in cases]
    _month_axis(plot, months)
    canvas.upwards(plot, most)
    for name, line in reversed(shown.items()):
        _line(plot, months[0], line, *_CONTENDERS[name][:2])
    return figure


def _contender(case: HoldoutCase, name: str | None) -> Contender | None:
    return case.model if name is None else case.contender(name)


def _of(case: HoldoutCase, name: str | None) -> float | None:
    one = _contender(case, name)
    return None if one is None else float(one.predicted)


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
