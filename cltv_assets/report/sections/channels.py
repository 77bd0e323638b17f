"""What a new customer is worth, of all and by attribute such as channel, and how wrong that was before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from cltv_assets.figures import wording
from cltv_assets.report.data import ReportData
from cltv_assets.report.facts.acquisition import NewCustomers
from cltv_assets.report.sections.section import Section, margin_in_words

#: Values of an attribute that are shown.
_SHOWN = 12
#: The ratio of the highest to the lowest value from which the headline tells it.
_TOLD = 1.1


def section(data: ReportData) -> Section | None:
    """Return what a new customer is worth; None where that is not told."""
    new = data.new_customers
    if new is None:
        return None
    attributes = {name: list(rows) for name, rows in groupby(new.by_value, key=lambda row: str(row["attribute"]))}
    figures = [float(row[new.what] or 0.0) for row in (*new.everyone, *new.by_value)]
    content = {
        "money": new.money,
        "currency": data.settings.currency,
        "horizon": wording.months(data.horizon),
        "everyone": new.everyone,
        "attributes": {name: rows[:_SHOWN] for name, rows in attributes.items()},
        "left_out": {name: max(len(rows) - _SHOWN, 0) for name, rows in attributes.items()},
        "held": {name: _held(rows) for name, rows in attributes.items()},
        "everyone_held": _held(new.everyone),
        "written": wording.amounts(max(figures, default=0.0)) if new.money else wording.decimal,
        "margin": margin_in_words(data.settings),
        "acquired": new.longest["customers"],
        "cohort": new.longest["cohort_customers"],
        "too_many": _too_many,
    }
    return Section("channels", "Channels" if attributes else "New customers", _headline(data, new, attributes), content)


def _held(rows: Sequence[Mapping[str, Any]]) -> bool:
    return any(row["holdout_actual_orders"] is not None for row in rows)


def _too_many(predicted: float | None, actual: float | None) -> str:
    """Say how far a prediction was off."""
    if predicted is None or actual is None:
        return wording.NOTHING
    return wording.too_many(predicted / actual - 1 if actual else None)


def _headline(data: ReportData, new: NewCustomers, attributes: Mapping[str, Sequence[Mapping[str, Any]]]) -> str:
    row, ahead = new.longest, wording.months(data.horizon)
    if new.money:
        text = f"A new customer is expected to bring {wording.money(row['expected_value'], data.settings.currency)}"
    else:
        text = f"A new customer is expected to order on {wording.decimal(row['expected_orders'])} days"
    text += f" in {ahead}"
    spans: dict[str, float] = {}
    for name, rows in attributes.items():
        worths = [row[new.what] for row in rows if row[new.what] is not None]
        if worths and min(worths) > 0:
            spans[name] = max(worths) / min(worths)
    widest = max(spans, key=lambda name: spans[name], default="")
    if not widest or spans[widest] < _TOLD:
        return text
    return f"{text}; by {widest} the most is {wording.decimal(spans[widest], 1)} times the least"
