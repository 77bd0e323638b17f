"""The report's most important facts, for places where the page cannot be opened."""

from __future__ import annotations

from typing import Any, cast

from cltv_assets.figures import wording
from cltv_assets.figures.svg import png
from cltv_assets.report.data import ReportData
from cltv_assets.report.page import key_plot_png
from cltv_assets.report.sections import todo
from cltv_assets.report.sections.tracking import cumulative_figure
from cltv_assets.tables.highlights import Highlights
from cltv_assets.tables.holdout_evaluation.cases import HoldoutCase


def essentials(data: ReportData) -> Highlights:
    """Return the head of the report, how earlier predictions did, and two pictures."""
    head = todo.section(data).content
    tiles = cast("list[todo.Tile]", head["tiles"])
    found = Highlights()
    found.tables["summary"] = [
        {"figure": tile.label, "value": tile.value, "against last month": tile.note} for tile in tiles
    ]
    found.tables["what_changed"] = [{"since last month": text} for text in cast("list[str]", head["changes"])]
    if data.holdout:
        found.tables["how_wrong_earlier_predictions_were"] = [_case(case) for case in data.holdout]
    found.pictures["picture"] = (lambda: key_plot_png(data), "The month's key picture.")
    if (tracking := data.tracking) is not None:
        found.pictures["tracking"] = (
            lambda: png(cumulative_figure(tracking)),
            "Cumulative repeat purchases of all customers by week: what happened, and what the models expect.",
        )
    numbers = {
        "customers": data.now.customers,
        "repeat_customers": data.now.repeat_customers,
        f"expected_value_{data.horizon}m_{data.settings.currency}": data.now.expected_value
        and round(data.now.expected_value, 2),
    }
    found.numbers.update({name: value for name, value in numbers.items() if value is not None})
    return found


def _case(case: HoldoutCase) -> dict[str, Any]:
    digits = 0 if case.target == "purchases" else 2
    return {
        "predicted at the end of": wording.month_name(case.origin),
        "months ahead": case.horizon,
        "what": case.target,
        "predicted": f"{case.model.predicted:,.{digits}f}",
        "happened": f"{case.actual:,.{digits}f}",
        "bias": "" if case.model.bias is None else f"{case.model.bias:+.1%}",
    }
