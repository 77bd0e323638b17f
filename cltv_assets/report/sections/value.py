"""Value: the year before beside the forecast, how earlier ones turned out, and concentration."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cltv_assets.figures import canvas, wording
from cltv_assets.figures.canvas import Key
from cltv_assets.figures.svg import FIRST, SECOND
from cltv_assets.figures.value import concentration_figure, course_figure
from cltv_assets.report.data import ReportData, Row
from cltv_assets.report.facts.last_year import Bought
from cltv_assets.report.facts.value import ValueFacts
from cltv_assets.report.sections.section import (
    Drawing,
    Picture,
    Section,
    margin_in_words,
    much,
    why_no_money,
    why_no_predictions,
)
from cltv_assets.tables.cltv_predictions.totals import READ_AT, Concentration
from cltv_assets.tables.holdout_evaluation.cases import HoldoutCase

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_READ_AT = (0.01, 0.05, 0.1, 0.2, 0.5)
_YEAR = 12
#: The share of customers in the picture's title: Pareto's 20 %.
_FIFTH = READ_AT[-1]


@dataclass(frozen=True)
class Ahead:
    """One horizon beside the same months of the year before.

    Parameters
    ----------
    months : int
        Its length.
    before : Bought or None
        What these customers bought in the same months before, in the unit of ``expected``; None if not known.
    expected, low, high : float or None
        Revenue, or purchases where no money is predicted, and the ends of its 80 % interval.
    purchases : tuple of float or None, length 3
        Expected purchases and the ends of their interval.
    value : tuple of float or None, length 3
        The same of value: margin, discounted.
    """

    months: int
    before: Bought | None
    expected: float
    low: float | None
    high: float | None
    purchases: tuple[float | None, ...]
    value: tuple[float | None, ...]


def section(data: ReportData) -> Section:
    """Return what customers are expected to bring beside what they brought a year before."""
    name = "Value"
    facts = data.value
    if facts is None:
        return Section("value", name, "No predicted value this month", {"missing": why_no_predictions(data)})
    money = facts.revenue is not None
    every = [_ahead(data, facts, h) for h in data.settings.horizons_months]
    # A horizon that is no longer configured has no counterpart to compare with.
    horizons = data.settings.horizons_months
    tested = [case for case in data.holdout if case.target == "revenue" and case.horizon in horizons]
    content = {
        "missing": "",
        "no_money": "" if money else why_no_money(data),
        "currency": data.settings.currency,
        "footing": _footing(data),
        "only_repeat": data.settings.population == "repeat",
        "month": data.month,
        "customers": facts.predicted.customers,
        "every": every,
        "written": wording.amounts(max((one.high or one.expected) for one in every)) if money else wording.count,
        "comparison": _comparison(data, every[-1]),
        "newcomers": any(one.before is not None and one.before.came for one in every),
        "range": _range,
        "tested": tested,
        "held": data.held,
    }
    pictures = (
        *_course(data, facts, every),
        *_earlier_totals(data),
        *_concentration(facts.predicted.concentration),
    )
    return Section("value", name, _headline(data, every[-1]), content, pictures)


def _ahead(data: ReportData, facts: ValueFacts, horizon: int) -> Ahead:
    base: Row = data.segments.base.get(horizon, {})
    total = next(one for one in facts.predicted.totals if one.months == horizon)
    before = facts.year.before(horizon)
    purchases, value = (
        (base.get(f"expected_{what}_low"), base.get(f"expected_{what}_high")) for what in ("purchases", "value")
    )
    expected, (low, high) = total.purchases, purchases
    if facts.revenue is not None:
        expected = facts.revenue[horizon]
        low, high = _undone(expected, total.value, value)
    return Ahead(horizon, before, expected, low, high, (total.purchases, *purchases), (total.value, *value))


def _undone(revenue: float, value: float | None, ends: Sequence[float | None]) -> tuple[float | None, float | None]:
    """Take margin and discount off an interval of value, by the ratio of the expectations."""
    low, high = ends
    if low is None or high is None or value is None or value <= 0:
        return None, None
    return low * revenue / value, high * revenue / value


def _headline(data: ReportData, longest: Ahead) -> str:
    text = f"The next {wording.months(data.horizon)} are expected to bring {much(data, longest.expected)}"
    if longest.before is None:
        return text
    known = much(data, longest.before.known)
    return (
        f"{text}; those of them who were customers a year ago have brought {known} since"
        if data.horizon == _YEAR
        else text
    )


def _comparison(data: ReportData, longest: Ahead) -> str:
    """Say whose year it is that stands beside the forecast."""
    if longest.before is None:
        begin = wording.month_name(data.settings.first_month)
        return f"The data begin in {begin}: the same months of a year before are not in them."
    return (
        "Beside the forecast stands what the same customers brought in the same months of the year before: those who "
        "were customers when it began compare with it; those who came in it do not, as who is yet to come is not in "
        "the forecast. So the change also holds how many more customers there are now than a year ago."
    )


def _footing(data: ReportData) -> str:
    settings = data.settings
    margin, rate = margin_in_words(settings), wording.share(settings.annual_discount_rate)
    spend = "spend less refunds" if settings.refunds == "net" else "spend"
    return f"Revenue is {spend}. Value is revenue times {margin}, discounted at {rate} a year to today"


def _range(low: float, high: float, whole: bool = False) -> str:
    # Write both ends with the digits of the larger one.
    digits = 0 if whole or max(abs(low), abs(high)) >= wording.WHOLE else 2
    return f"{wording.decimal(low, digits)} to {wording.decimal(high, digits)}"


def _course(data: ReportData, facts: ValueFacts, every: Sequence[Ahead]) -> tuple[Picture, ...]:
    course = facts.year.course(data.horizon)
    money = facts.revenue is not None
    lines = {"a year before": [one.known for one in course]} if course else {}
    if course and course[-1].came:
        lines["with who came in it"] = [one.known + one.came for one in course]
    ahead = [
        (one.months, one.expected, one.low, one.high) for one in every if one.low is not None and one.high is not None
    ]
    if not ahead:
        return ()
    what = f"Revenue in {data.settings.currency}" if money else "Purchases"
    seen = "; ".join(
        f"by {wording.months(months)} {much(data, mean)}, {_range(low, high, whole=not money)}"
        for months, mean, low, high in ahead
    )
    solid = " Solid is what those who were customers a year before brought in the same months." if lines else ""
    return (
        Picture(
            "The course over the coming months",
            Drawing(lambda: course_figure(lines, ahead, what), "course", f"Expected from now on: {seen}."),
            f"Dashed is what is expected from now to each horizon, the band its 80% interval.{solid}",
        ),
    )


def _earlier_totals(data: ReportData) -> tuple[Picture, ...]:
    horizon = data.tested_horizon("revenue")
    cases = data.trend(horizon, "revenue") if horizon is not None else []
    if horizon is None or not cases:
        return ()
    newest = cases[-1]
    judged = data.held(horizon)
    record = (
        f" {sum(judged)} of {wording.quantity(len(judged), 'interval')} so far held; eight of ten should."
        if judged
        else ""
    )
    seen = (
        f"Predicted {wording.amount(newest.model.predicted)} for the {wording.months(horizon)} to "
        f"{wording.day(newest.ended)}, actual {wording.amount(newest.actual)}."
    )
    drawing = Drawing(lambda: totals_figure(cases, f"Revenue in {data.settings.currency}"), "totals", f"{seen}{record}")
    return (
        Picture(
            f"Earlier forecasts of {wording.months(horizon)} of revenue",
            drawing,
            f"Each mark is one month's forecast, made {wording.months(horizon)} earlier for the customers known then, "
            f"and what they spent.{record} Neighbouring months share most of their days, so their misses are alike.",
        ),
    )


def _concentration(curve: Concentration | None) -> tuple[Picture, ...]:
    if curve is None:
        return ()
    read = ", ".join(f"the top {share:.0%} hold {wording.percent(curve.held_by(share), 0)}" for share in _READ_AT)
    held = wording.percent(curve.held_by(_FIFTH), 0)
    drawing = Drawing(
        lambda: concentration_figure(curve.customers, curve.value, curve.marked),
        "concentration",
        f"Concentration curve of predicted value: {read}.",
    )
    return (
        Picture(
            f"The top {_FIFTH:.0%} of customers hold {held} of predicted value",
            drawing,
            "Customers in order of predicted value, the most valuable first. The dashed line is where the curve would "
            "lie if all were worth the same: the further above it, the more depends on few.",
        ),
    )


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
