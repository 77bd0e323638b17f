"""Whether customers who were expected to buy more did buy more: tenths by prediction."""

from __future__ import annotations

from collections.abc import Callable

from cltv_assets.figures import wording
from cltv_assets.figures.holdout import deciles_figure
from cltv_assets.figures.svg import svg
from cltv_assets.report.data import ReportData
from cltv_assets.report.sections.section import Picture, Section
from cltv_assets.tables.holdout_evaluation.cases import HoldoutCase


def section(data: ReportData) -> Section:
    """Return the calibration of the longest horizon that came due."""
    name = "Calibration"
    cases = [
        case
        for target in ("purchases", "revenue")
        for case in data.holdout
        if case.target == target and case.horizon == data.tested_horizon(target) and case.deciles
    ]
    if not cases:
        missing = "No earlier prediction has come due, so there is nothing to hold predictions against yet."
        return Section("calibration", name, "Not tested yet", {"missing": missing})
    first = cases[0]
    top = first.deciles[-1]
    what = "purchases" if first.target == "purchases" else f"{data.settings.currency} of revenue"
    digits = 2
    headline = (
        f"The tenth of customers predicted highest {wording.months(first.horizon)} ago was expected to make "
        f"{wording.decimal(top.predicted, digits)} {what} each and made {wording.decimal(top.actual, digits)}"
    )
    content = {
        "missing": "",
        "origin": wording.day(first.origin),
        "horizon": wording.months(first.horizon),
        "heads": [
            f"{'Purchases' if case.target == 'purchases' else f'Revenue, {data.settings.currency}'}" for case in cases
        ],
        "rows": [
            {
                "tenth": str(place + 1),
                "cells": [
                    {
                        "predicted": spelled(case.deciles[place].predicted),
                        "actual": spelled(case.deciles[place].actual),
                    }
                    for case, spelled in zip(cases, map(_spelled, cases), strict=True)
                ],
            }
            for place in range(len(first.deciles))
        ],
    }
    return Section("calibration", name, headline, content, tuple(_picture(data, case) for case in cases))


def _spelled(case: HoldoutCase) -> Callable[[float | None], str]:
    """Return how the case's means are spelled: three decimals of purchases, an amount's of revenue."""
    if case.target == "purchases":
        return lambda number: wording.decimal(number, 3)
    return wording.amounts(max(max(one.predicted, one.actual) for one in case.deciles))


def _picture(data: ReportData, case: HoldoutCase) -> Picture:
    purchases = case.target == "purchases"
    axis = f"{'Purchases' if purchases else f'Revenue in {data.settings.currency}'} a customer"
    digits = 2
    pairs = "; ".join(
        f"tenth {i}: {wording.decimal(one.predicted, digits)} predicted, {wording.decimal(one.actual, digits)} actual"
        for i, one in enumerate(case.deciles, 1)
    )
    return Picture(
        f"{'Purchases' if purchases else 'Revenue'}, {wording.months(case.horizon)} ahead",
        svg(
            deciles_figure([one.predicted for one in case.deciles], [one.actual for one in case.deciles], axis),
            f"deciles-{case.target}",
            f"Mean {axis} by tenth of prediction. {pairs}.",
        ),
        "Bars of a pair should be alike, and rise together: a model that ranks customers well has steep bars, one "
        "that is right about amounts has equal ones.",
    )
