"""Whether the model describes the data it was fitted on, and what an earlier one predicted."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

from cltv_assets.figures import canvas, wording
from cltv_assets.figures.canvas import DASHED, Key
from cltv_assets.figures.models import histogram_figure
from cltv_assets.figures.svg import FIRST, MUTED, SECOND, THIRD
from cltv_assets.months import Month
from cltv_assets.report.data import ReportData
from cltv_assets.report.facts.tracking import Earlier, Tracking
from cltv_assets.report.sections.section import Drawing, Picture, Section
from cltv_assets.tables.fitted_rows import in_words, model_title
from cltv_assets.tables.purchase_model.facts import Histogram

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

#: Weeks of the past in the weekly plot; more would be too dense to read.
WEEKS = 104


def section(data: ReportData) -> Section:
    """Return the model beside what happened."""
    name, facts = "Model against history", data.tracking
    if facts is None:
        return Section("tracking", name, "No history yet", {"missing": "No customer has bought anything so far."})
    actual, missing = facts.actual[facts.now], ""
    if facts.expected is None:
        if data.models.purchase.usable:
            least = data.models.purchase.least_frequency
            only = f"customers with {least + 1} purchase days or more" if least > 1 else "repeat customers"
            missing = (
                f"The model was fitted on {only} only, so it does not tell how often newcomers come back: "
                "only what happened is drawn."
            )
        else:
            reason = in_words(data.models.purchase.reason)
            missing = f"The purchase model could not be fitted, so only what happened is drawn: {reason}"
        headline = f"Customers have come back {wording.count(actual)} times so far"
    else:
        expected = facts.expected[facts.now]
        off = wording.too_many(expected / actual - 1 if actual else None)
        headline = (
            f"Customers have come back {wording.count(actual)} times so far; the model has "
            f"{wording.count(expected)}, {off}"
        )
    content = {"missing": missing, "forecast": _forecast(facts, facts.earlier) if facts.earlier else ""}
    return Section("tracking", name, headline, content, (*_tracking(data, facts), _histogram(data)))


def _forecast(facts: Tracking, earlier: Earlier) -> str:
    """Compare the earlier model's forecast with what has happened since."""
    actual = facts.actual[facts.now] - facts.actual[earlier.ended]
    expected = earlier.expected[facts.now] - earlier.expected[earlier.ended]
    off = f": {wording.too_many(expected / actual - 1)}" if actual else ""
    return (
        f"The {model_title(earlier.model)} model of {wording.month_name(earlier.month)} was fitted without anything "
        f"that came after. Told only when each customer first came, it expects {wording.count(expected)} repeat "
        f"purchases in the weeks since; {wording.count(actual)} were made{off}."
    )


def _tracking(data: ReportData, facts: Tracking) -> tuple[Picture, ...]:
    end = wording.day(data.month)
    seen = f"{wording.count(facts.actual[facts.now])} repeat purchases by {end}"
    caption = "Repeat purchases of all customers, added up at the end of each week."
    weekly = "The same week by week, which shows what the sum hides."
    if facts.expected is not None:
        seen += f", {wording.count(facts.expected[facts.now])} in the model"
        seen += f"; {wording.count(facts.expected[-1])} expected by {wording.date(facts.ends[-1])}"
        caption += (
            " The model's line is what it expects of customers from the day each first bought, knowing nothing else of "
            f"them; beyond {end}, dashed, of the customers known so far only."
        )
        seasons = "" if data.models.purchase.seasonal else ": seasons, campaigns"
        weekly += f" Where the actual line leaves the model's for weeks, buying changed with time{seasons}."
    if facts.earlier is not None:
        caption += (
            f" The line from {wording.month_name(facts.earlier.month)} on is the forecast of that month's model: "
            "right of its dotted mark it had seen nothing."
        )
    label = f"{'' if facts.earlier is None else _forecast(facts, facts.earlier)}"
    return (
        Picture(
            "Tracking: repeat purchases so far",
            Drawing(lambda: cumulative_figure(facts), "tracking", f"Cumulative repeat purchases: {seen}. {label}"),
            caption,
        ),
        Picture(
            "Tracking: repeat purchases a week",
            Drawing(lambda: weekly_figure(facts), "weekly", f"Weekly repeat purchases up to {end}. {label}"),
            weekly,
        ),
    )


def _histogram(data: ReportData) -> Picture:
    facts: Histogram = data.histogram
    classes = [*map(str, range(len(facts.actual) - 1)), f"{len(facts.actual) - 1} or more"]
    if facts.expected is None:
        label = ", ".join(f"{name}: {n:,}" for name, n in zip(classes, facts.actual, strict=True))
        caption = "How many customers made so many repeat purchases so far."
    else:
        pairs = zip(classes, facts.actual, facts.expected, strict=True)
        label = ", ".join(f"{name}: {n:,} (model {wording.count(model)})" for name, n, model in pairs)
        least = data.models.purchase.least_frequency
        enough = "came back" if least == 1 else f"made {least} or more"
        given = f" and given that they {enough}" if least else ""
        caption = (
            "How many customers made so many repeat purchases so far, and how many the model has, given when each of "
            f"them came first{given}. Bars of a pair should be alike."
        )
    drawing = Drawing(
        lambda: histogram_figure(facts.actual, facts.expected),
        "frequencies",
        f"Customers by repeat purchases. {label}.",
    )
    return Picture("Frequency of repeat purchases", drawing, caption)


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
