"""Checks of repeat customers and of the RFM summary."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from cltv_assets.checks.check import Check, Values, Verdict
from cltv_assets.checks.structure import rows_where
from cltv_assets.schemas import PURCHASE_DAYS, RFM_SUMMARY
from cltv_assets.steps.month_run import MonthRun


def rfm_bounds() -> Check:
    """Promise what the definitions of frequency, recency and T imply."""

    def wrong(table: ir.Table, _run: MonthRun) -> ir.BooleanValue:
        never_again = table.frequency == 0
        return (
            (table.frequency < 0)
            | (table.recency < 0)
            | (table.recency > table["T"])
            | (never_again & ((table.recency != 0) | (table.monetary_value != 0)))
            | (~never_again & (table.recency <= 0))
            | (table.is_repeat == never_again)
        )

    return rows_where("rfm_bounds", "0 <= recency <= T, and nothing repeats where frequency is 0.", wrong)


def scores_in_range() -> Check:
    """Promise that RFM scores are quintiles."""

    def wrong(table: ir.Table, _run: MonthRun) -> ir.BooleanValue:
        return ~(table.r_score.between(1, 5) & table.f_score.between(1, 5) & table.m_score.between(1, 5))

    return rows_where("scores_in_range", "R, F and M scores lie in 1 to 5.", wrong)


def everyone_summarised() -> Check:
    """Promise that whoever bought by the month's end has a row."""

    def measures(table: ir.Table, run: MonthRun) -> dict[str, ir.Scalar]:
        days = run.inputs[PURCHASE_DAYS.name]
        buyers = days.filter((days.order_count > 0) & (days.purchase_day <= ibis.literal(run.month.last_day)))
        return {"customers": table.count(), "buyers": buyers.customer_id.nunique().as_scalar()}

    def judge(values: Values, run: MonthRun) -> Verdict:
        customers, buyers = values["customers"], values["buyers"]
        facts = {"customers": customers, "buyers": buyers}
        if customers == buyers:
            return Verdict(True, f"{customers:,} customers bought by the end of {run.month}; each has a row.", facts)
        return Verdict(False, f"{buyers:,} customers bought by {run.month}, {customers:,} have a row.", facts)

    return Check("everyone_summarised", "Every customer who ever bought has one row.", judge, measures)


def customers_never_vanish() -> Check:
    """Warn when there are fewer customers than a month ago: history was lost."""

    def judge(values: Values, run: MonthRun) -> Verdict:
        before = run.earlier_row_counts(RFM_SUMMARY, 1)
        customers = values["customers"]
        if not before:
            return Verdict(True, f"{customers:,} customers; no earlier month to compare with.")
        earlier = next(iter(before.values()))
        text = f"{customers:,} customers, {earlier:,} a month ago"
        if customers >= earlier:
            return Verdict(True, f"{text}.", {"customers": customers, "a_month_ago": earlier})
        return Verdict(False, f"{text}: earlier months were re-run with less data; run the later ones again.")

    return Check(
        "customers_never_vanish",
        "The customer base never shrinks from one month to the next.",
        judge,
        lambda table, _run: {"customers": table.count()},
        blocking=False,
    )


def repeat_bounds() -> Check:
    """Promise that a repeat customer is one, inside the window."""

    def wrong(table: ir.Table, _run: MonthRun) -> ir.BooleanValue:
        return (
            (table.purchase_day_count < 2)
            | (table.first_purchase < table.window_start)
            | (table.last_purchase > table.window_end)
            | (table.first_purchase >= table.last_purchase)
        )

    return rows_where("repeat_bounds", "Two or more purchase days, all inside the trailing window.", wrong)
