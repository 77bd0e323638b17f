"""The month on one screen: what there is, what changed, what to beware of."""

from __future__ import annotations

from dataclasses import dataclass

from cltv_assets.figures import wording
from cltv_assets.report.data import ReportData
from cltv_assets.report.facts.population import Population
from cltv_assets.report.sections.cautions import cautions
from cltv_assets.report.sections.changes import changes
from cltv_assets.report.sections.section import Section


@dataclass(frozen=True)
class Tile:
    """One figure with its change on last month."""

    label: str
    value: str
    note: str


def section(data: ReportData) -> Section:
    """Return the head of the report."""
    currency = data.settings.currency
    now, before = data.now, data.before or Population(None, None, None, None, None)
    tiles = [
        Tile("Customers so far", wording.count(now.customers), _change(now.customers, before.customers)),
        Tile(
            "Of them repeat customers",
            wording.count(now.repeat_customers),
            _change(now.repeat_customers, before.repeat_customers),
        ),
        Tile(
            f"Expected value, next {wording.months(data.horizon)}",
            _breakable(wording.money(now.expected_value, currency)),
            "no predictions this month"
            if now.expected_value is None
            else _interval(data) + _change(now.expected_value, before.expected_value),
        ),
        Tile("Lines delivered", wording.count(now.lines_in), _change(now.lines_in, before.lines_in)),
        Tile("Lines rejected", wording.count(now.rejected), _change(now.rejected, before.rejected)),
    ]
    return Section(
        "summary",
        "Summary",
        f"{wording.month_name(data.month)} against {wording.month_name(data.month.shift(-1))}"
        if data.before
        else f"{wording.month_name(data.month)} in figures",
        {"tiles": tiles, "cautions": cautions(data), "changes": changes(data)},
    )


def _interval(data: ReportData) -> str:
    base = data.segments.base.get(data.horizon)
    if base is None or base.value.low is None or base.value.high is None:
        return ""
    return f"80% interval {wording.amount(base.value.low)} to {wording.amount(base.value.high)}; "


def _breakable(money: str) -> str:
    """Let a large amount stand below its currency on a narrow tile."""
    return money.replace("\N{NO-BREAK SPACE}", " ")


def _change(now: float | None, then: float | None) -> str:
    if then is None or now is None:
        return "no figure for last month"
    if now == then:
        return "as last month"
    if then == 0:
        return "none last month"
    return f"{wording.change(now / then - 1)} on last month"
