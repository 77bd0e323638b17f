"""The report's most important facts, for places where the page cannot be opened."""

from __future__ import annotations

from typing import Any, cast

from cltv_assets.figures import wording
from cltv_assets.figures.svg import png
from cltv_assets.report.data import ReportData
from cltv_assets.report.page import key_plot
from cltv_assets.report.sections import todo
from cltv_assets.report.sections.tracking import cumulative_figure
from cltv_assets.tables.highlights import Highlights
from cltv_assets.tables.holdout_evaluation.cases import HoldoutCase


def essentials(data: ReportData) -> Highlights:
    """Return the head of the report, how earlier predictions did, and two pictures."""
    head = todo.section(data).content
    tiles = cast("list[todo.Tile]", head["tiles"])
    found = Highlights()
    found.tables["summary"] = (
        [{"figure": tile.label, "value": tile.value, "against last month": tile.note} for tile in tiles],
        "The report's main figures, as of the month's end.",
    )
    found.tables["what_changed"] = (
        [{"since last month": text} for text in cast("list[str]", head["changes"])],
        "What is other than a month before.",
    )
    if data.holdout:
        found.tables["how_wrong_earlier_predictions_were"] = (
            [_case(case) for case in data.holdout],
            "Predictions of earlier months whose time is over, for all customers together, beside what then happened. "
            f"Revenue in {data.settings.currency}. A bias of +10% is a prediction that was a tenth too high.",
        )
    found.pictures["picture"] = key_plot(data)
    if (tracking := data.tracking) is not None:
        found.pictures["tracking"] = (
            lambda: png(cumulative_figure(tracking)),
            "Repeat purchases of all customers since the first month, added up by week: what happened, and what the "
            "models expect. Lines that stay together mean that the models describe it well.",
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
