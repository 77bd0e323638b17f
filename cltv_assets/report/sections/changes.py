"""What changed since last month, in plain sentences."""

from __future__ import annotations

from cltv_assets.figures import wording
from cltv_assets.report.data import ReportData
from cltv_assets.tables.fitted_rows import model_title


def changes(data: ReportData) -> list[str]:
    """Return sentences on customers, value, model, segments and data; the newest facts first in each."""
    if data.before is None:
        return ["There is no month before this one to compare with."]
    found = [_customers(data), _value(data), _model(data), _tiers(data), _lines(data)]
    return [text for text in found if text]


def _customers(data: ReportData) -> str:
    now, before = data.now, data.before
    assert before is not None
    if now.customers is None or before.customers is None:
        return ""
    came = now.customers - before.customers
    text = (
        f"{wording.quantity(came, 'new customer')} came" if came > 0 else "No new customer came"
    ) + f": {wording.quantity(now.customers, 'customer')} so far"
    if now.repeat_customers is not None and before.repeat_customers is not None:
        again = now.repeat_customers - before.repeat_customers
        text += f"; {wording.quantity(again, 'customer')} came back for the first time" if again > 0 else ""
    return f"{text}."


def _value(data: ReportData) -> str:
    now, before = data.now.expected_value, data.before.expected_value if data.before else None
    if now is None or before is None:
        return ""
    currency, ahead = data.settings.currency, wording.months(data.horizon)
    if not before:
        return f"Expected value of the next {ahead} is now {wording.money(now, currency)}."
    change = now / before - 1
    if abs(change) < 0.0005:
        return f"Expected value of the next {ahead} is unchanged at {wording.money(now, currency)}."
    return (
        f"Expected value of the next {ahead} {'rose' if change > 0 else 'fell'} by {wording.percent(abs(change))}, "
        f"from {wording.money(before, currency)} to {wording.money(now, currency)}."
    )


def _model(data: ReportData) -> str:
    model, before = data.models.purchase, data.before.model if data.before else None
    if before is None:
        return ""
    title = model.title
    if before == (model.name, model.seasonal):
        return f"The {title} model predicts, as last month."
    old = model_title(before[0]) + (" with seasons" if before[1] else "")
    return f"The model changed from {old} to {title}: part of other changes may come from that."


def _tiers(data: ReportData) -> str:
    moved = data.segments.moves.tiers
    if moved is None:
        return ""
    text = (
        f"{wording.quantity(moved.rose, 'customer')} rose to a higher value tier and {wording.count(moved.fell)} fell "
        f"to a lower one; {wording.count(moved.stayed)} stayed"
    )
    if moved.new:
        text += f", {wording.count(moved.new)} {'is' if moved.new == 1 else 'are'} new"
    if moved.gone:
        text += f", {wording.count(moved.gone)} no longer {'has' if moved.gone == 1 else 'have'} a prediction"
    return f"{text}."


def _lines(data: ReportData) -> str:
    before, now = data.before, data.quality
    assert before is not None
    if not now.lines_in:
        return "Nothing was delivered."
    text = f"{wording.quantity(now.lines_in, 'line')} delivered"
    if before.lines_in is not None:
        text += f" (last month {wording.count(before.lines_in)})"
    text += (
        f", {wording.percent(now.rejected_lines / now.lines_in)} of them rejected"
        if now.rejected_lines
        else ", none rejected"
    )
    if before.lines_in and before.rejected is not None:
        then = before.rejected / before.lines_in
        text += f" (last month {wording.percent(then)})" if then or now.rejected_lines else ""
    return f"{text}."
