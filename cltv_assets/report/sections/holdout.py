"""How wrong earlier predictions were."""

from __future__ import annotations

from cltv_assets.report import wording
from cltv_assets.report.data import ReportData
from cltv_assets.report.facts.holdout import HoldoutCase
from cltv_assets.report.sections.naming import contender_title
from cltv_assets.report.sections.section import Section
from cltv_assets.transforms.holdout import NAIVE_RATE, SAME_AGAIN


def section(data: ReportData) -> Section:
    """Return the month's holdout figures."""
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
        "cases": [_table(case, data.settings.currency) for case in data.holdout],
    }
    return Section("holdout", name, headline, content)


def _story(case: HoldoutCase) -> str:
    model = case.model
    text = (
        f"{wording.months(case.horizon).capitalize()} ahead, made on {wording.day(case.origin)}: "
        f"{wording.count(model.predicted)} purchases predicted for {wording.count(case.customers)} customers, "
        f"{wording.count(case.actual)} made: {wording.too_many(model.bias)}."
    )
    rules = {NAIVE_RATE: "continuing each one's rate so far", SAME_AGAIN: "expecting the same as in as long before"}
    missed = [f"the model missed by {wording.decimal(model.mae, 3)} purchases on average"]
    missed += [f"{rules[one.name]} by {wording.decimal(one.mae, 3)}" for one in case.contenders if not one.is_model]
    text += f" Customer by customer {wording.listing(missed)}."
    if case.coverage is not None:
        text += f" The 80% interval held for {wording.percent(case.coverage)} of customers."
    return text


def _table(case: HoldoutCase, currency: str) -> dict[str, object]:
    revenue = case.target == "revenue"
    least = min(one.mae for one in case.contenders)
    total = wording.amount if revenue else wording.count
    return {
        "title": f"{wording.months(case.horizon).capitalize()} ahead: "
        f"{f'revenue in {currency}' if revenue else 'purchases'}",
        "actual": total(case.actual),
        "rows": [
            {
                "name": contender_title(one.name, case.horizon),
                "is_model": one.is_model,
                "predicted": total(one.predicted),
                "bias": wording.change(one.bias),
                "mae": wording.decimal(one.mae, 2 if revenue else 3),
                "best": one.mae == least,
            }
            for one in case.contenders
        ],
    }
