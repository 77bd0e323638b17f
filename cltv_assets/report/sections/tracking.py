"""Whether the model describes what it was fitted on, and what an earlier one foresaw."""

from __future__ import annotations

from cltv_assets.figures import wording
from cltv_assets.figures.models import histogram_figure
from cltv_assets.figures.svg import svg
from cltv_assets.report.data import ReportData
from cltv_assets.report.facts.tracking import Earlier, Tracking
from cltv_assets.report.figures.tracking import cumulative_figure, weekly_figure
from cltv_assets.report.sections.section import Picture, Section
from cltv_assets.tables.fitted_rows import in_words, model_title
from cltv_assets.tables.purchase_model.facts import Histogram


def section(data: ReportData) -> Section:
    """Return the model beside what happened."""
    name, facts = "Model against history", data.tracking
    if facts is None:
        return Section("tracking", name, "No history yet", {"missing": "No customer has bought anything so far."})
    actual, missing = facts.actual[facts.now], ""
    if facts.expected is None:
        if data.models.purchase.usable:
            missing = (
                "The model was fitted on repeat customers only, so it does not tell how often newcomers come back: "
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
    """Hold the earlier model's forecast against what happened since."""
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
            svg(cumulative_figure(facts), "tracking", f"Cumulative repeat purchases: {seen}. {label}"),
            caption,
        ),
        Picture(
            "Tracking: repeat purchases a week",
            svg(weekly_figure(facts), "weekly", f"Weekly repeat purchases up to {end}. {label}"),
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
        given = " and given that they came back" if data.models.purchase.truncated else ""
        caption = (
            "How many customers made so many repeat purchases so far, and how many the model has, given when each of "
            f"them came first{given}. Bars of a pair should be alike."
        )
    drawing = svg(
        histogram_figure(facts.actual, facts.expected), "frequencies", f"Customers by repeat purchases. {label}."
    )
    return Picture("Frequency of repeat purchases", drawing, caption)
