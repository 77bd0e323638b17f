"""What changed since last month, in sentences."""

from __future__ import annotations

from collections.abc import Callable

from cltv_assets.figures import wording
from cltv_assets.report.data import ReportData
from cltv_assets.tables.customer_scores.columns import ACTIVE, AT_RISK, LAPSED
from cltv_assets.tables.fitted_rows import model_title, together


def on_last_month(now: float | None, then: float | None) -> str:
    """Return a figure's change since last month."""
    if then is None or now is None:
        return "no figure for last month"
    if now == then:
        return "as last month"
    if then == 0:
        return "none last month"
    return f"{wording.change((now - then) / abs(then))} on last month"


def changes(data: ReportData) -> list[str]:
    """Return sentences on value, customers, churn states, segments and model; the newest facts first in each."""
    if data.before is None:
        return ["There is no month before this one to compare with."]
    found = [_value(data), _customers(data), _churn(data), _tiers(data), _model(data)]
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
    now, before = data.now, data.before
    assert before is not None
    if now.expected_value is not None and before.expected_value is not None:
        currency = data.settings.currency
        return _rise(data, "value", now.expected_value, before.expected_value, lambda n: wording.money(n, currency))
    if now.expected_purchases is not None and before.expected_purchases is not None:
        # Of one of the two months no money is predicted.
        return _rise(data, "purchases", now.expected_purchases, before.expected_purchases, wording.count)
    return ""


def _rise(data: ReportData, what: str, now: float, before: float, shown: Callable[[float], str]) -> str:
    of = f"Expected {what} of the next {wording.months(data.horizon)}"
    verb = "are" if what == "purchases" else "is"
    if not before:
        return f"{of} {verb} now {shown(now)}."
    change = (now - before) / abs(before)
    if abs(change) < 0.0005:
        return f"{of} {verb} unchanged at {shown(now)}."
    direction = "rose" if change > 0 else "fell"
    return f"{of} {direction} by {wording.percent(abs(change))}, from {shown(before)} to {shown(now)}."


def _model(data: ReportData) -> str:
    models, before = data.models, data.before.model if data.before else None
    if before is None:
        return ""
    names, seasonal = before
    several = len(models.predicting) > 1
    if (set(names.split("+")), seasonal) == (set(models.names.split("+")), models.purchase.seasonal):
        return ""
    old = model_title(names) + (" with seasons" if seasonal else "")
    plural = several or "+" in names
    return (
        f"The model{'s' * plural} changed from {old} to {together(models.candidates)}: part of other changes may come "
        "from that."
    )


def _churn(data: ReportData) -> str:
    states = data.churn
    if states is None or states.moved is None:
        return ""
    lapsed, risk = (states.came_to(state, worse=True) for state in (LAPSED, AT_RISK))
    back = sum(states.came_to(state, worse=False) for state in (AT_RISK, ACTIVE))
    return (
        f"{wording.quantity(lapsed, 'customer')} lapsed, {wording.count(risk)} fell to at risk and "
        f"{wording.count(back)} came back to a better state; {wording.count(states.now[ACTIVE])} are active now, "
        f"{wording.count(states.now[AT_RISK])} at risk."
    )


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
