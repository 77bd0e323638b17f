"""Whether the model describes what it was fitted on."""

from __future__ import annotations

from cltv_assets.report import wording
from cltv_assets.report.data import ReportData
from cltv_assets.report.facts.model_view import Histogram, Tracking
from cltv_assets.report.figures.calibration import histogram_figure, tracking_figure
from cltv_assets.report.figures.svg import svg
from cltv_assets.report.sections.section import Picture, Section


def section(data: ReportData) -> Section:
    """Return the model beside what happened."""
    name, tracking = "Model against history", data.tracking
    if tracking is None:
        return Section("calibration", name, "No history yet", {"missing": "No customer has bought anything so far."})
    actual = tracking.actual[-1]
    if tracking.expected is None:
        reason = wording.sentence(data.models.purchase.reason)
        missing = f"The purchase model could not be fitted, so only what happened is drawn: {reason}"
        headline = f"Customers have come back {wording.count(actual)} times so far"
    else:
        missing = ""
        expected = tracking.expected[len(tracking.actual) - 1]
        off = wording.too_many(expected / actual - 1 if actual else None)
        headline = (
            f"Customers have come back {wording.count(actual)} times so far; the model has "
            f"{wording.count(expected)}, {off}"
        )
    pictures = (_tracking(data, tracking), _histogram(data.histogram))
    return Section("calibration", name, headline, {"missing": missing}, pictures)


def _tracking(data: ReportData, facts: Tracking) -> Picture:
    end = wording.day(data.month)
    seen = f"{wording.count(facts.actual[-1])} repeat purchases by {end}"
    caption = "Repeat purchases of all customers, added up at the end of each month."
    if facts.expected is not None:
        seen += f", {wording.count(facts.expected[len(facts.actual) - 1])} in the model"
        seen += f"; {wording.count(facts.expected[-1])} expected by {wording.day(facts.months[-1])}"
        caption += (
            " The model's line is what it expects of customers from the day each first bought, knowing nothing else of "
            f"them; beyond {end}, dashed, of the customers known so far only. A line that bends otherwise than the "
            "actual one says that buying changes with time, which the model does not know: seasons, campaigns."
        )
    drawing = svg(tracking_figure(facts), "tracking", f"Cumulative repeat purchases: {seen}.")
    return Picture("Tracking: repeat purchases so far", drawing, caption)


def _histogram(facts: Histogram) -> Picture:
    classes = [*map(str, range(len(facts.actual) - 1)), f"{len(facts.actual) - 1} or more"]
    if facts.expected is None:
        label = ", ".join(f"{name}: {n:,}" for name, n in zip(classes, facts.actual, strict=True))
        caption = "How many customers made so many repeat purchases so far."
    else:
        pairs = zip(classes, facts.actual, facts.expected, strict=True)
        label = ", ".join(f"{name}: {n:,} (model {wording.count(model)})" for name, n, model in pairs)
        caption = (
            "How many customers made so many repeat purchases so far, and how many the model has, given when each of "
            "them came first. Bars of a pair should be alike."
        )
    drawing = svg(histogram_figure(facts), "frequencies", f"Customers by repeat purchases. {label}.")
    return Picture("Frequency of repeat purchases", drawing, caption)
