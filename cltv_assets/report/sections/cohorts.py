"""Cohorts: who came back after the month of the first purchase, and what a customer brings by age."""

from __future__ import annotations

from cltv_assets.figures import wording
from cltv_assets.figures.cohorts import curves_figure, retention_figure
from cltv_assets.report.data import ReportData
from cltv_assets.report.sections.section import Drawing, Picture, Section, margin_in_words
from cltv_assets.tables.cohort_value.facts import SHOWN, CohortGroup, Cohorts

#: Ages, in months, at which the table shows who came back.
_READ_AT = (1, 3, 6, 12)


def section(data: ReportData) -> Section:
    """Return the cohorts with their retention and value so far and to come."""
    name, facts = "Cohorts", data.cohorts
    if not facts.groups:
        return Section("cohorts", name, "No cohorts yet", {"missing": "No customer has bought anything so far."})
    content = {
        "missing": "" if facts.oldest else "All customers came this month: nobody could come back in a later one yet.",
        "groups": facts.groups,
        "ages": [age for age in _READ_AT if age <= facts.oldest],
        "shown": _shown(data),
        "what": _what(data),
        "unit": f", {data.settings.currency}" if facts.money else "",
        "predicted": any(one.expected is not None for one in facts.groups),
        "horizon": wording.months(data.horizon),
        "definition": _definition(data),
        "years": len(facts.groups) > SHOWN,
        "newest": SHOWN,
        "refunded": wording.money(facts.refunded, data.settings.currency) if facts.refunded else "",
    }
    return Section("cohorts", name, _headline(data, facts), content, _pictures(data))


def _what(data: ReportData) -> str:
    return "margin" if data.cohorts.money else "purchases"


def _shown(data: ReportData) -> dict[str, dict[str, str]]:
    """Return the texts of each cohort's figures, by its name."""
    found = {}
    most = max(one.expected or one.so_far or 0.0 for one in data.cohorts.groups)
    written = wording.amounts(most)
    for one in data.cohorts.groups:
        ends = f"{written(one.low)} to {written(one.high)}" if one.low is not None else ""
        found[one.name] = {"so_far": written(one.so_far), "expected": written(one.expected), "ends": ends}
    return found


def _definition(data: ReportData) -> str:
    if not data.cohorts.money:
        return "Purchases are days with an order."
    return (
        f"Margin is spend less refunds, times {margin_in_words(data.settings)}. Nothing in this section is discounted."
    )


def _headline(data: ReportData, facts: Cohorts) -> str:
    """Say what a customer of the oldest cohort that has a line brought, and what is expected of one."""
    drawn = {curve.name for curve in facts.curves}
    one = next((group for group in facts.groups if group.name in drawn), facts.groups[-1])
    so_far = _amount(data, one.so_far)
    if one.expected is None:
        return f"A customer of {one.name} has brought {so_far} so far"
    return (
        f"A customer of {one.name} has brought {so_far} so far; {_amount(data, one.expected)} are expected after "
        f"another {wording.months(data.horizon)}"
    )


def _amount(data: ReportData, number: float | None) -> str:
    if data.cohorts.money:
        return wording.money(number, data.settings.currency)
    return f"{wording.decimal(number)} purchases"


def _pictures(data: ReportData) -> tuple[Picture, ...]:
    facts = data.cohorts
    if not facts.oldest:
        return ()
    rows = [(one.name, one.retention) for one in facts.groups]
    back = [_back(one) for one in facts.groups if len(one.retention) > 1]
    curves = [(one.name, one.realised, one.ahead) for one in facts.curves]
    what = _what(data)
    axis = f"Margin of a customer, {data.settings.currency}" if facts.money else "Purchases of a customer"
    reached = ", ".join(f"{one.name}: {_amount(data, one.realised[-1])}" for one in facts.curves)
    tails = any(one.ahead for one in facts.curves)
    dashed = (
        " Dashed is what is expected of the customers as they are now; the band holds the cohort's mean with a "
        "chance of 80%."
        if tails
        else ""
    )
    return (
        Picture(
            "Who came back",
            Drawing(
                lambda: retention_figure(rows),
                "retention",
                f"Share of each cohort's customers who ordered, by months since the first purchase. In the month after "
                f"it: {', '.join(back)}.",
            ),
            "A row is a cohort: the customers whose first purchase was in that month. A field says which share of them "
            "ordered so many months later; bright is most, dark is least. A row that is darker than those above it at "
            "the same age came back less; a dark diagonal is a calendar month in which everybody bought less.",
        ),
        Picture(
            f"{what.capitalize()} of a customer by age",
            Drawing(
                lambda: curves_figure(curves, axis),
                "cohort-value",
                f"Cumulative {what} of a customer so far, by month of the first purchase. {reached}.",
            ),
            f"All {what} of a cohort up to an age, divided by all its customers, those who never came back included. A "
            f"line that lies lower at the same age belongs to customers who bring less.{dashed}",
        ),
    )


def _back(one: CohortGroup) -> str:
    return f"{one.name} {wording.percent(one.retention[1])}"
