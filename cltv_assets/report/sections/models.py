"""The models' parameters, in numbers and in words."""

from __future__ import annotations

from typing import Any

from cltv_assets.report import wording
from cltv_assets.report.data import ReportData
from cltv_assets.report.facts.fitted import FittedModel, Parameter
from cltv_assets.report.sections.naming import model_title
from cltv_assets.report.sections.section import Section
from cltv_assets.transforms.customers import DAYS_PER_UNIT

_DAYS_PER_YEAR = 365.25
_STATUS = {
    "fitted": "fitted",
    "boundary": "fitted at the edge of what its parameters can be",
    "not_fitted": "not fitted",
}


def section(data: ReportData) -> Section:
    """Return one table a model."""
    models = data.models
    shown = [
        _sheet(data, "How often customers buy, and when they stop", models.purchase),
        _sheet(data, "What a purchase is worth", models.spend),
        *(_sheet(data, "For comparison", model) for model in models.comparisons),
    ]
    customers = wording.count(models.purchase.row["customers"])
    fitted = [model_title(model.name) for model in (models.purchase, models.spend) if model.usable]
    headline = f"{wording.listing(fitted)} fitted on {customers} customers" if fitted else "No model fitted this month"
    return Section("models", "Models", headline, {"models": shown})


def _sheet(data: ReportData, purpose: str, model: FittedModel) -> dict[str, Any]:
    likelihood, aic = model.row["log_likelihood"], model.row["aic"]
    evidence = ""
    if likelihood is not None and aic is not None:
        evidence = f"Log-likelihood {wording.decimal(likelihood, 1)}, AIC {wording.decimal(aic, 1)} (lower is better)."
    return {
        "purpose": purpose,
        "name": model_title(model.name),
        "status": _STATUS.get(model.status, model.status),
        "reason": wording.sentence(model.reason),
        "customers": wording.count(model.row["customers"]),
        "evidence": evidence,
        "in_words": _in_words(data, model),
        "parameters": [_parameter(data, one) for one in model.parameters],
    }


def _parameter(data: ReportData, one: Parameter) -> dict[str, str]:
    unit = {"time unit": f"{data.settings.time_unit}s", "currency": data.settings.currency}.get(one.unit, one.unit)
    return {
        "name": one.name,
        "meaning": one.meaning,
        "unit": unit or wording.NOTHING,
        "value": wording.significant(one.value),
        "error": wording.significant(one.error, 2) if one.error is not None else "not identified",
    }


def _in_words(data: ReportData, model: FittedModel) -> str:
    """Say what the parameters mean for the average customer."""
    value = {one.name: one.value for one in model.parameters}
    said = []
    if {"r", "alpha"} <= value.keys():
        year = _DAYS_PER_YEAR / DAYS_PER_UNIT[data.settings.time_unit]
        until = "until it leaves" if "a" in value else "and never leaves"
        rate = wording.decimal(value["r"] / value["alpha"] * year)
        said.append(f"An average customer makes {rate} repeat purchases a year {until}.")
    if {"a", "b"} <= value.keys():
        leaves = value["a"] / (value["a"] + value["b"])
        shown = "less than 0.1%" if leaves < 0.001 else wording.percent(leaves)
        said.append(f"After a repeat purchase the chance of never coming back is {shown} on average.")
    expected = model.row.get("expected_order_value")
    if expected is not None:
        money = wording.money(expected, data.settings.currency)
        said.append(f"A purchase of a customer not seen before is expected to be worth {money}.")
    left_out = model.row.get("excluded_customers")
    if left_out:
        said.append(f"Left out: {wording.quantity(left_out, 'repeat customer')} of no positive value.")
    return " ".join(said)
