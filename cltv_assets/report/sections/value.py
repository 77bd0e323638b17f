"""Predicted value: totals, concentration and segments."""

from __future__ import annotations

from cltv_assets.report import wording
from cltv_assets.report.data import ReportData
from cltv_assets.report.facts.value import Concentration, ValueFacts
from cltv_assets.report.figures.svg import svg
from cltv_assets.report.figures.value import READ_AT, concentration_figure
from cltv_assets.report.sections.naming import why_no_predictions
from cltv_assets.report.sections.section import Picture, Section

_READ_AT = (0.01, 0.05, 0.1, 0.2, 0.5)


def section(data: ReportData) -> Section:
    """Return what customers are expected to be worth."""
    name = "Predicted value"
    facts = data.value
    if facts is None:
        return Section("value", name, "No predicted value this month", {"missing": why_no_predictions(data)})
    total = wording.money(facts.total.value, data.settings.currency)
    headline = f"The next {wording.months(data.horizon)} are expected to bring {total}"
    if facts.concentration is not None:
        held = wording.percent(facts.concentration.held_by(READ_AT), 0)
        headline += f"; the top {READ_AT:.0%} of customers hold {held} of it"
    content = {
        "missing": "",
        "currency": data.settings.currency,
        "definition": _definition(data),
        "only_repeat": data.settings.population == "repeat",
        "customers": wording.count(facts.customers),
        "horizon": wording.months(data.horizon),
        "totals": _totals(data, facts),
        "shares": _shares(facts.concentration),
        "segments": _segments(data, facts),
    }
    return Section("value", name, headline, content, _pictures(facts.concentration))


def _definition(data: ReportData) -> str:
    settings = data.settings
    margin, rate = wording.share(settings.gross_margin), wording.share(settings.annual_discount_rate)
    return f"expected spend times the gross margin of {margin}, discounted at {rate} a year"


def _totals(data: ReportData, facts: ValueFacts) -> list[dict[str, str]]:
    tested = {case.horizon: case.model.bias for case in data.holdout if case.target == "revenue"}
    return [
        {
            "horizon": wording.months(total.months),
            "until": wording.day(data.month.shift(total.months)),
            "purchases": wording.count(total.purchases),
            "value": wording.amount(total.value),
            "each": wording.amount(total.value / facts.customers),
            "tested": wording.too_many(tested[total.months]) if total.months in tested else "not tested yet",
        }
        for total in facts.totals
    ]


def _shares(curve: Concentration | None) -> list[dict[str, str]]:
    if curve is None:
        return []
    return [{"top": f"{share:.0%}", "held": wording.percent(curve.held_by(share))} for share in _READ_AT]


def _segments(data: ReportData, facts: ValueFacts) -> list[dict[str, object]]:
    tiers = data.settings.segments
    meaning = {
        "top": f"the top {wording.share(tiers.top)} of customers",
        "high": f"from there to {wording.share(tiers.high)}",
        "middle": f"from there to {wording.share(tiers.middle)}",
        "low": "the rest",
    }
    whole = facts.total.value
    return [
        {
            "name": segment.name,
            "meaning": meaning[segment.name],
            "customers": wording.count(segment.customers),
            "customer_share": wording.percent(segment.customers / facts.customers),
            "value": wording.amount(segment.value),
            "value_share": wording.percent(segment.value / whole if whole else None),
            "bar": f"{100 * segment.value / whole if whole else 0.0:.1f}",
            "each": wording.amount(segment.value / segment.customers),
            "p_alive": wording.probability(segment.p_alive),
        }
        for segment in facts.segments
    ]


def _pictures(curve: Concentration | None) -> tuple[Picture, ...]:
    if curve is None:
        return ()
    read = ", ".join(f"the top {share:.0%} hold {wording.percent(curve.held_by(share), 0)}" for share in _READ_AT)
    held = wording.percent(curve.held_by(READ_AT), 0)
    drawing = svg(concentration_figure(curve), "concentration", f"Concentration curve of predicted value: {read}.")
    return (
        Picture(
            f"The top {READ_AT:.0%} of customers hold {held} of predicted value",
            drawing,
            "Customers in order of predicted value, the most valuable first. The dashed line is where the curve would "
            "lie if all were worth the same: the further above it, the more depends on few.",
        ),
    )
