"""What the UI shows of a month's cohorts."""

from __future__ import annotations

from collections.abc import Callable

from cltv_assets.figures import wording
from cltv_assets.figures.cohorts import curves_figure, retention_figure
from cltv_assets.figures.svg import png
from cltv_assets.tables.cohort_value.columns import COHORT_VALUE
from cltv_assets.tables.cohort_value.facts import Cohorts, cohorts_of
from cltv_assets.tables.highlights import Highlights
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.segmentation import ALL

#: Newest cohorts that the table lists.
_LISTED = 12


def month_highlights(run: MonthRun) -> Highlights:
    """Return the newest cohorts, who came back by age, and what a customer brought by age."""
    table = run.inputs[COHORT_VALUE.name]
    facts = cohorts_of(run.engine.collect(table.filter(table.attribute == ALL)).to_pylist())
    if not facts.groups:
        return Highlights({"cohorts": 0})
    currency, ahead = run.settings.currency, wording.months(run.settings.horizons_months[-1])
    what, written = (f"margin, {currency}", wording.amount) if facts.money else ("purchases", wording.decimal)
    shown = [
        {
            "first purchase": one.name,
            "customers": f"{one.customers:,}",
            "ordered in month 3": wording.percent(one.retention[3]) if len(one.retention) > 3 else wording.NOTHING,
            f"{what}, a customer so far": written(one.so_far),
            f"with the next {ahead}": written(one.expected),
        }
        for one in facts.groups[-_LISTED:]
    ]
    numbers: dict[str, object] = {"newest_cohort_customers": facts.groups[-1].customers}
    if facts.refunded:
        numbers[f"refunded_without_purchase_{currency}"] = round(facts.refunded, 2)
    axis = f"Margin of a customer, {currency}" if facts.money else "Purchases of a customer"
    says = (
        f"The newest {len(shown)} cohorts by the month of their first purchase: how many customers, which share of "
        f"them ordered in the third month after it, and {what}, of one customer up to the month's end and, as "
        f"expected, {ahead} later."
    )
    return Highlights(numbers, {"cohorts": (shown, says)}, _pictures(facts, axis, currency))


def _pictures(facts: Cohorts, axis: str, currency: str) -> dict[str, tuple[Callable[[], bytes], str]]:
    if not facts.oldest:
        return {}
    brought = f"margin in {currency}" if facts.money else "purchases"
    rows = [(one.name, one.retention) for one in facts.groups]
    curves = [(one.name, one.realised, one.ahead) for one in facts.curves]
    return {
        "retention": (
            lambda: png(retention_figure(rows)),
            "Each line is a cohort, the customers of one month of first purchase; each square a later month of theirs. "
            "Its colour is the share of them who ordered in it, by the scale on the right.",
        ),
        "value_by_age": (
            lambda: png(curves_figure(curves, axis)),
            f"What one customer brought since the first purchase, {brought}, for some cohorts by age in months. Dashed "
            "what is expected from here on; four of five outcomes lie within the shaded 80% interval.",
        ),
    }
