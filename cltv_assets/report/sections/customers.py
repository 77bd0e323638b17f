"""Customers to know: the most valuable ones, and those who are worth keeping."""

from __future__ import annotations

from functools import partial

from cltv_assets.figures import wording
from cltv_assets.report.data import ReportData
from cltv_assets.report.sections.section import Section, much, who_is_asked, why_no_predictions

#: Customers whom the model cannot doubt.
_ALIVE_BY_DEFINITION = {
    "bg_nbd": "The BG/NBD model takes whoever never came back to be still a customer: they are not listed.",
    "bg_cnbd": "The BG/CNBD-k model takes whoever never came back to be still a customer: they are not listed.",
    "nbd": "The NBD model takes everyone to be still a customer.",
}


def section(data: ReportData) -> Section:
    """Return the two lists of customers."""
    facts = data.value
    name = "Customers to know"
    if facts is None:
        return Section("customers", name, "Nobody to name this month", {"missing": why_no_predictions(data)})
    n, money, keep = len(facts.most_valuable), facts.predicted.money, facts.keep
    best = sum(one["brings"] for one in facts.most_valuable)
    if n > 1:
        whos = "most valuable customers" if money else "customers who buy most"
        headline = f"The {n} {whos} are expected to bring {much(data, best)} in the next {wording.months(data.horizon)}"
    else:
        headline = "The most valuable customer" if money else "The customer who buys most"
    content = {
        "missing": "",
        "currency": data.settings.currency,
        "horizon": wording.months(data.horizon),
        "money": money,
        "unit": data.settings.time_unit,
        "silent_digits": 0 if data.settings.time_unit == "day" else 1,
        "valuable": facts.most_valuable,
        "keep": keep,
        "stake": much(data, keep.at_stake),
        "written": wording.amount if money else partial(wording.decimal, digits=1),
        "who": who_is_asked(keep),
        "staying": wording.percent(data.models.staying, 0) if data.models.staying else "",
        "alive_by_definition": _ALIVE_BY_DEFINITION.get(data.models.names.rstrip("_0123456789"), ""),
    }
    return Section("customers", name, headline, content)
