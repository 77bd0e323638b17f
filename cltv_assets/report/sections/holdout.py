"""How wrong earlier predictions were."""

from __future__ import annotations

from collections.abc import Callable

from cltv_assets.figures import wording
from cltv_assets.figures.svg import svg
from cltv_assets.report.data import ReportData
from cltv_assets.report.figures.holdout import bias_figure, errors_figure
from cltv_assets.report.sections.naming import contender_title
from cltv_assets.report.sections.section import Picture, Section
from cltv_assets.tables.holdout_evaluation.cases import Contender, HoldoutCase


def section(data: ReportData) -> Section:
    """Return the month's holdout figures and their trend."""
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
    return Section("holdout", name, headline, content, (*_bias(data), *_errors(data)))


def _story(case: HoldoutCase) -> str:
    model = case.model
    text = (
        f"{wording.months(case.horizon).capitalize()} ahead, made on {wording.day(case.origin)}: "
        f"{wording.count(model.predicted)} purchases predicted for {wording.count(case.customers)} customers, "
        f"{wording.count(case.actual)} made: {wording.too_many(model.bias)}."
    )
    if case.interval is not None:
        low, high = case.interval
        text += (
            f" The 80% interval of the total, {wording.count(low)} to {wording.count(high)}, "
            f"{'held' if case.held else 'did not hold'}."
        )
    if case.coverage is not None:
        text += f" Each customer's own 80% interval held for {wording.percent(case.coverage)} of customers."
    return text


def _table(case: HoldoutCase, currency: str) -> dict[str, object]:
    revenue = case.target == "revenue"
    total = wording.amount if revenue else wording.count
    digits = 2 if revenue else 3
    best = {
        "mae": _best(case, lambda one: one.mae, min),
        "rmse": _best(case, lambda one: one.rmse, min),
        "gini": _best(case, lambda one: one.metrics.get("normalised_gini"), max),
        "capture": _best(case, lambda one: one.metrics.get("top_decile_capture"), max),
    }

    def cell(name: str, value: float | None, shown: str) -> dict[str, object]:
        return {"text": shown, "best": value is not None and value == best[name]}

    def row(one: Contender) -> dict[str, object]:
        gini, capture = one.metrics.get("normalised_gini"), one.metrics.get("top_decile_capture")
        return {
            "name": contender_title(one.name),
            "is_model": one.is_model,
            "predicted": total(one.predicted),
            "bias": wording.change(one.bias),
            "cells": [
                cell("mae", one.mae, wording.decimal(one.mae, digits)),
                cell("rmse", one.rmse, wording.decimal(one.rmse, digits)),
                cell("gini", gini, wording.decimal(gini, 3)),
                cell("capture", capture, wording.percent(capture, 0)),
            ],
            "coverage": wording.percent(one.metrics.get("interval_coverage"), 0),
        }

    return {
        "title": f"{wording.months(case.horizon).capitalize()} ahead: "
        f"{f'revenue in {currency}' if revenue else 'purchases'}; actual {total(case.actual)}",
        "rows": [row(one) for one in case.contenders],
    }


def _best(
    case: HoldoutCase, figure: Callable[[Contender], float | None], choose: Callable[[list[float]], float]
) -> float | None:
    found = [value for one in case.contenders if (value := figure(one)) is not None]
    return choose(found) if found else None


def _bias(data: ReportData) -> tuple[Picture, ...]:
    trends = [data.trend(horizon, "purchases") for horizon in data.settings.horizons_months]
    shown = [cases for cases in trends if any(case.model.bias is not None for case in cases)]
    if max((len(cases) for cases in shown), default=0) < 2:
        return ()
    newest = ", ".join(
        f"{wording.months(cases[-1].horizon)} ahead {wording.change(cases[-1].model.bias)} in "
        f"{wording.month_name(cases[-1].ended)}"
        for cases in shown
    )
    drawing = svg(bias_figure(shown), "bias", f"Bias of predicted purchases over the months: {newest}.")
    return (
        Picture(
            "Bias of the predicted total, by month",
            drawing,
            "By how much the predicted total of purchases was above (+) or below (\N{MINUS SIGN}) the actual one. A "
            "line that stays on one side says that the model errs in one direction; one that swings with the calendar "
            "speaks of seasons.",
        ),
    )


def _errors(data: ReportData) -> tuple[Picture, ...]:
    horizon = data.tested_horizon()
    cases = [] if horizon is None else data.trend(horizon, "purchases")
    # The shortest horizon has the longest record where the longest one has none yet.
    if len(cases) < 2:
        cases = data.trend(data.settings.horizons_months[0], "purchases")
    if len(cases) < 2:
        return ()
    newest = cases[-1]
    shown = ", ".join(f"{contender_title(one.name)} {wording.decimal(one.mae, 3)}" for one in newest.contenders)
    ahead = wording.months(newest.horizon)
    drawing = svg(
        errors_figure(cases), "errors", f"Mean absolute error {ahead} ahead over the months; newest: {shown}."
    )
    return (
        Picture(
            f"Mean miss a customer, {ahead} ahead, by month",
            drawing,
            "Lower is better. The model should lie below the rules that need none: everyone's own rate so far, the "
            "last 12 months once more, and the NBD, in which nobody ever leaves.",
        ),
    )
