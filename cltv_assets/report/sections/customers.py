"""Customers by name: the most valuable ones, and those with most to lose."""

from __future__ import annotations

from collections.abc import Sequence

from cltv_assets.figures import wording
from cltv_assets.report.data import ReportData
from cltv_assets.report.facts.value import NamedCustomer
from cltv_assets.report.sections.naming import why_no_predictions
from cltv_assets.report.sections.section import Section

#: Who has nothing at risk because a model cannot doubt them.
_ALIVE_BY_DEFINITION = {
    "bg_nbd": "The BG/NBD model takes whoever never came back to be still a customer: they are not listed.",
    "nbd": "The NBD model takes everyone to be still a customer.",
}


def section(data: ReportData) -> Section:
    """Return the two lists of customers."""
    facts = data.value
    name = "Customers to know"
    if facts is None:
        return Section("customers", name, "Nobody to name this month", {"missing": why_no_predictions(data)})
    best = sum(one.value for one in facts.most_valuable)
    n = len(facts.most_valuable)
    headline = (
        f"The {n} most valuable customers are expected to bring {wording.money(best, data.settings.currency)} "
        f"in the next {wording.months(data.horizon)}"
        if n > 1
        else "The most valuable customer"
    )
    share = facts.at_risk / facts.past if facts.past else None
    content = {
        "missing": "",
        "currency": data.settings.currency,
        "horizon": wording.months(data.horizon),
        "unit": data.settings.time_unit,
        "valuable": _rows(data, facts.most_valuable),
        "at_risk": _rows(data, facts.most_at_risk),
        "risk_total": wording.money(facts.at_risk, data.settings.currency),
        "risk_share": "" if share is None else wording.percent(share),
        "alive_by_definition": _ALIVE_BY_DEFINITION.get(data.models.purchase.name, ""),
        "net": ", less refunds" if data.settings.refunds == "net" else "",
    }
    return Section("customers", name, headline, content)


def _rows(data: ReportData, listed: Sequence[NamedCustomer]) -> list[dict[str, str]]:
    digits = 0 if data.settings.time_unit == "day" else 1
    return [
        {
            "id": one.customer_id,
            "frequency": wording.count(one.frequency),
            "silent": wording.decimal(one.silent, digits),
            "p_alive": wording.probability(one.p_alive),
            "purchases": wording.decimal(one.purchases, 1),
            "order_value": wording.amount(one.order_value),
            "value": wording.amount(one.value),
            "past": wording.amount(one.past),
            "interval": f"{wording.amount(one.low)} to {wording.amount(one.high)}",
            "at_risk": wording.amount(one.at_risk),
        }
        for one in listed
    ]
