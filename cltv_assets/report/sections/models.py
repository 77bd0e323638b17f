"""The models: which predicts and why, what the others would have done, and their parameters."""

from __future__ import annotations

import math
from typing import Any

from cltv_assets.figures import wording
from cltv_assets.figures.models import candidates_figure, seasonality_figure
from cltv_assets.months import DAYS_PER_UNIT
from cltv_assets.report.data import ReportData
from cltv_assets.report.sections.section import Drawing, Picture, Section
from cltv_assets.tables.fitted_rows import FittedModel, in_words, model_title
from cltv_assets.tables.purchase_model.highlights import MILLI, comparison

_DAYS_PER_YEAR = 365.25
_STATUS = {
    "fitted": "fitted",
    "boundary": "fitted at the edge of what its parameters can be",
    "not_fitted": "not fitted",
}


def section(data: ReportData) -> Section:
    """Return the comparison of candidates and one sheet for each model that predicts."""
    models = data.models
    customers = wording.count(models.purchase.row["customers"])
    fitted = [one.title for one in models.predicting if one.usable]
    fitted += [model_title(models.spend.name)] * models.spend.usable
    headline = (
        f"{wording.listing(fitted)} {'predict' if len(fitted) > 1 else 'predicts'}; {customers} customers so far"
        if fitted
        else "No model fitted this month"
    )
    content = {
        "choice": in_words(models.purchase.choice_reason),
        "why": "Why these purchase models" if len(models.predicting) > 1 else "Why this purchase model",
        "share": _share,
        "candidates": models.candidates,
        "behind": _behind,
        "status": _STATUS,
        "units": {"time unit": f"{data.settings.time_unit}s", "currency": data.settings.currency},
        "folds": wording.quantity(max(_folds(one) for one in models.candidates), "rolling holdout"),
        "has_folds": any(_folds(one) for one in models.candidates),
        "models": [
            *(_sheet(data, "How often customers buy, and when they stop", one) for one in models.predicting),
            _sheet(data, "What a purchase is worth", models.spend),
        ],
        "others": [_sheet(data, "", one) for one in models.candidates if one.parameters and not one.weight],
    }
    return Section("models", "Models", headline, content, (*_comparison(data), *_seasonality(models.purchase)))


def _folds(one: FittedModel) -> int:
    return int(one.figure("holdout_folds") or 0)


def _share(one: FittedModel) -> str:
    """Return that a model predicts, and how much it counts beside others."""
    return f"predicts, {wording.percent(one.weight, 0)}; " if one.weight < 1.0 else "predicts; "


def _behind(one: FittedModel) -> str:
    """Return in words how far a candidate is behind the best, with a standard error."""
    deficit, error = one.figure("holdout_deficit"), one.figure("holdout_deficit_se")
    if deficit is None:
        return wording.NOTHING
    return wording.decimal(deficit * MILLI, 2) + (f" ± {wording.decimal(error * MILLI, 2)}" if error else "")


def _comparison(data: ReportData) -> tuple[Picture, ...]:
    drawn = comparison(data.models.candidates)
    if drawn is None:
        return ()
    rows, what, how_to_read = drawn
    listed = ", ".join(f"{name} {wording.decimal(distance, 2)}" for name, distance, _, _ in rows)
    return (
        Picture(
            "Candidates: how far behind the best",
            Drawing(lambda: candidates_figure(rows, what), "candidates", f"{what}: {listed}."),
            how_to_read,
        ),
    )


def _seasonality(model: FittedModel) -> tuple[Picture, ...]:
    index = model.seasonal_index
    if index is None:
        return ()
    named = list(zip(wording.MONTHS, index, strict=True))
    (most, high), (least, low) = max(named, key=lambda one: one[1]), min(named, key=lambda one: one[1])
    return (
        Picture(
            "Seasonality",
            Drawing(
                lambda: seasonality_figure(index),
                "seasonality",
                "Purchase intensity by calendar month: "
                + ", ".join(f"{month} {wording.decimal(value)}" for month, value in named)
                + ".",
            ),
            f"How fast customers buy in each calendar month, all else equal; 1 is an average month. {most} is the "
            f"busiest with {wording.decimal(high)}, {least} the quietest with {wording.decimal(low)}.",
        ),
    )


def _sheet(data: ReportData, purpose: str, model: FittedModel) -> dict[str, Any]:
    likelihood, aic = model.figure("log_likelihood"), model.figure("aic")
    evidence = ""
    if likelihood is not None and aic is not None:
        evidence = f"Log-likelihood {wording.decimal(likelihood, 1)}, AIC {wording.decimal(aic, 1)} (lower is better)."
    least = model.least_frequency
    condition = "a repeat purchase" if least == 1 else f"{least} repeat purchases or more"
    truncated = f" on the condition of {condition}" if model.truncated else ""
    return {
        "purpose": purpose,
        "name": model.title,
        "status": _STATUS[model.status] + truncated,
        "reason": in_words(model.reason),
        "customers": wording.count(model.row["customers"]),
        "evidence": evidence,
        "in_words": _meaning(data, model),
        "parameters": model.parameters,
    }


def _meaning(data: ReportData, model: FittedModel) -> str:
    """Say what the parameters mean for the average customer."""
    value = {one.name: one.value for one in model.parameters}
    year = _DAYS_PER_YEAR / DAYS_PER_UNIT[data.settings.time_unit]
    said = []
    if {"r", "alpha"} <= value.keys():
        leaves = {"a", "b"} <= value.keys() or {"s", "beta"} <= value.keys()
        until = "until it leaves" if leaves else "and never leaves"
        # A row of an earlier version has no k.
        k = model.row.get("k") or 1
        rate = wording.decimal(value["r"] / value["alpha"] / k * year)
        said.append(f"An average customer makes {rate} repeat purchases a year {until}.")
        if k > 1:
            said.append(
                f"Purchases come more regularly than by chance: a customer's intervals deviate from their mean by "
                f"{wording.percent(1.0 / math.sqrt(k), 0)}, where chance would make it 100%."
            )
        elif model.row.get("regularity") is not None:
            measured = wording.decimal(model.row["regularity"])
            said.append(
                f"The regularity of purchases is {measured}; by chance it is 1, and more where they are regular."
            )
    if {"a", "b"} <= value.keys():
        leaves_after = value["a"] / (value["a"] + value["b"])
        shown = "less than 0.1%" if leaves_after < 0.001 else wording.percent(leaves_after)
        every = "any purchase, the first one included," if model.name.startswith("mbg_") else "a repeat purchase"
        said.append(f"After {every} the chance of never coming back is {shown} on average.")
    if {"s", "beta"} <= value.keys():
        said.append(_half_left(value["s"], value["beta"] / year))
    expected = model.row.get("expected_order_value")
    if expected is not None:
        money = wording.money(expected, data.settings.currency)
        said.append(f"A purchase of a customer not seen before is expected to be worth {money}.")
    left_out = model.row.get("excluded_customers")
    if left_out:
        said.append(f"Left out: {wording.quantity(left_out, 'repeat customer')} of no positive value.")
    return " ".join(said)


def _half_left(s: float, beta: float) -> str:
    """Put Pareto dropout in words by the median: P(still there after t) = (beta / (beta + t)) ** s is one half."""
    doublings = math.log(2.0) / s
    years = beta * math.expm1(doublings) if doublings < 50 else math.inf
    if years > 100:
        return "Half of all customers would take more than a century to leave."
    if years < 1:
        return f"Half of all customers have left {wording.decimal(12 * years, 1)} months after they first came."
    return f"Half of all customers have left {wording.decimal(years, 1)} years after they first came."
