"""How wrong earlier predictions were, and whether customers expected to buy more did so."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from cltv_assets.figures import canvas, wording
from cltv_assets.figures.canvas import DASHED, DOTTED, Key
from cltv_assets.figures.holdout import CONTENDERS, deciles_figure
from cltv_assets.figures.svg import FIRST, MUTED, SECOND, TEXT, THIRD
from cltv_assets.months import Month
from cltv_assets.report.data import ReportData
from cltv_assets.report.sections.section import Drawing, Picture, Section
from cltv_assets.tables.fitted_rows import model_title
from cltv_assets.tables.holdout_evaluation.cases import HoldoutCase
from cltv_assets.tables.holdout_evaluation.outcomes import LAST_YEAR, NAIVE_RATE, NBD

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_BASELINES = {
    NBD: "NBD: nobody leaves",
    NAIVE_RATE: "Naive: rate so far",
    LAST_YEAR: "Naive: last 12 months",
}
#: How to choose the best of several figures.
_BEST: dict[str, Callable[[list[float]], float]] = {
    "mae": min,
    "rmse": min,
    "normalised_gini": max,
    "top_decile_capture": max,
}


def section(data: ReportData) -> Section:
    """Return the month's holdout figures and their trend."""
    name = "Predictions that came due"
    if not data.holdout:
        first = data.settings.horizons_months[0]
        missing = (
            f"No earlier prediction has come due: the first test is {wording.months(first)} after the first month with "
            "predictions."
        )
        return Section("holdout", name, "Not tested yet", {"missing": missing})
    longest = [case for case in data.holdout if case.target == "purchases"][-1:] or [data.holdout[-1]]
    headline = (
        f"{wording.months(longest[0].horizon).capitalize()} ago the model predicted "
        f"{wording.count(longest[0].model.predicted)} {longest[0].target}; {wording.count(longest[0].actual)} happened"
    )
    content = {
        "missing": "",
        "currency": data.settings.currency,
        "stories": [_story(case) for case in data.holdout if case.target == "purchases"],
        "contender_title": contender_title,
        "cases": [_table(case, data.settings.currency) for case in data.holdout],
    }
    return Section("holdout", name, headline, content, (*_bias(data), *_errors(data)))


def _story(case: HoldoutCase) -> str:
    model = case.model
    text = (
        f"{wording.months(case.horizon).capitalize()} ahead, made on {wording.day(case.origin)}: "
        f"{wording.count(model.predicted)} purchases predicted for {wording.count(case.customers)} customers, "
        f"{wording.count(case.actual)} made: {wording.too_many(model.bias)}."
    )
    if case.interval is not None:
        low, high = case.interval
        text += (
            f" The 80% interval of the total, {wording.count(low)} to {wording.count(high)}, "
            f"{'held' if case.held else 'did not hold'}."
        )
    if case.coverage is not None:
        text += f" Each customer's own 80% interval held for {wording.percent(case.coverage)} of customers."
    return text


def _table(case: HoldoutCase, currency: str) -> dict[str, object]:
    revenue = case.target == "revenue"
    total = wording.amount if revenue else wording.count
    found = {metric: [one.metrics[metric] for one in case.contenders if metric in one.metrics] for metric in _BEST}
    return {
        "title": f"{wording.months(case.horizon).capitalize()} ahead: "
        f"{f'revenue in {currency}' if revenue else 'purchases'}; actual {total(case.actual)}",
        "contenders": case.contenders,
        "best": {metric: _BEST[metric](values) for metric, values in found.items() if values},
        "total": total,
        "digits": 2 if revenue else 3,
    }


def _bias(data: ReportData) -> tuple[Picture, ...]:
    trends = [data.trend(horizon, "purchases") for horizon in data.settings.horizons_months]
    shown = [cases for cases in trends if any(case.model.bias is not None for case in cases)]
    if max((len(cases) for cases in shown), default=0) < 2:
        return ()
    newest = ", ".join(
        f"{wording.months(cases[-1].horizon)} ahead {wording.change(cases[-1].model.bias)} in "
        f"{wording.month_name(cases[-1].ended)}"
        for cases in shown
    )
    drawing = Drawing(lambda: bias_figure(shown), "bias", f"Bias of predicted purchases over the months: {newest}.")
    return (
        Picture(
            "Bias of the predicted total, by month",
            drawing,
            "By how much the predicted total of purchases was above (+) or below (\N{MINUS SIGN}) the actual one. A "
            "line that stays on one side says that the model errs in one direction; one that swings with the calendar "
            "speaks of seasons.",
        ),
    )


def _errors(data: ReportData) -> tuple[Picture, ...]:
    horizon = data.tested_horizon()
    cases = [] if horizon is None else data.trend(horizon, "purchases")
    # Where the longest horizon has no record yet, use the shortest, which has the longest record.
    if len(cases) < 2:
        cases = data.trend(data.settings.horizons_months[0], "purchases")
    if len(cases) < 2:
        return ()
    newest = cases[-1]
    shown = ", ".join(f"{contender_title(one.name)} {wording.decimal(one.mae, 3)}" for one in newest.contenders)
    ahead = wording.months(newest.horizon)
    drawing = Drawing(
        lambda: errors_figure(cases), "errors", f"Mean absolute error {ahead} ahead over the months; newest: {shown}."
    )
    return (
        Picture(
            f"Mean miss a customer, {ahead} ahead, by month",
            drawing,
            "Lower is better. The model should lie below the rules that need none: everyone's own rate so far, the "
            "last 12 months once more, and the NBD, in which nobody ever leaves.",
        ),
    )


def calibration(data: ReportData) -> Section:
    """Return the calibration of the longest horizon that has ended."""
    name = "Calibration"
    cases = [
        case
        for target in ("purchases", "revenue")
        for case in data.holdout
        if case.target == target and case.horizon == data.tested_horizon(target) and case.deciles
    ]
    if not cases:
        missing = "No earlier prediction has come due, so there is nothing to hold predictions against yet."
        return Section("calibration", name, "Not tested yet", {"missing": missing})
    first = cases[0]
    top = first.deciles[-1]
    what = "purchases" if first.target == "purchases" else f"{data.settings.currency} of revenue"
    digits = 2
    headline = (
        f"The tenth of customers predicted highest {wording.months(first.horizon)} ago was expected to make "
        f"{wording.decimal(top.predicted, digits)} {what} each and made {wording.decimal(top.actual, digits)}"
    )
    content = {
        "missing": "",
        "origin": wording.day(first.origin),
        "horizon": wording.months(first.horizon),
        "heads": [
            "Purchases" if case.target == "purchases" else f"Revenue, {data.settings.currency}" for case in cases
        ],
        "tenths": range(len(first.deciles)),
        "means": [(case.deciles, _spelled(case)) for case in cases],
    }
    return Section("calibration", name, headline, content, tuple(_picture(data, case) for case in cases))


def _spelled(case: HoldoutCase) -> Callable[[float | None], str]:
    """Return how the case's means are spelled: three decimals of purchases, an amount's of revenue."""
    if case.target == "purchases":
        return lambda number: wording.decimal(number, 3)
    return wording.amounts(max(max(one.predicted, one.actual) for one in case.deciles))


def _picture(data: ReportData, case: HoldoutCase) -> Picture:
    purchases = case.target == "purchases"
    axis = f"{'Purchases' if purchases else f'Revenue in {data.settings.currency}'} a customer"
    digits = 2
    pairs = "; ".join(
        f"tenth {i}: {wording.decimal(one.predicted, digits)} predicted, {wording.decimal(one.actual, digits)} actual"
        for i, one in enumerate(case.deciles, 1)
    )
    return Picture(
        f"{'Purchases' if purchases else 'Revenue'}, {wording.months(case.horizon)} ahead",
        Drawing(
            lambda: deciles_figure([one.predicted for one in case.deciles], [one.actual for one in case.deciles], axis),
            f"deciles-{case.target}",
            f"Mean {axis} by tenth of prediction. {pairs}.",
        ),
        "Bars of a pair should be alike, and rise together: a model that ranks customers well has steep bars, one "
        "that is right about amounts has equal ones.",
    )


def bias_figure(by_horizon: Sequence[Sequence[HoldoutCase]]) -> Figure:
    """Draw the bias of the predicted total over the months, one line for each horizon.

    Parameters
    ----------
    by_horizon : sequence of sequence of HoldoutCase
        Cases of purchases for each horizon, oldest first; at least one has a bias.
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


def contender_title(name: str) -> str:
    """Return a model's or baseline's name in a holdout."""
    found = _BASELINES.get(name)
    if found is not None:
        return found
    # The spend model, which comes last, is the same for all.
    return f"Model: {model_title(name.rsplit('+', 1)[0])}"
