"""Checks of ``customer_scores``."""

from __future__ import annotations

import datetime as dt
import itertools
from decimal import Decimal

import ibis
import ibis.expr.types as ir

from cltv_assets.tables.check import Values, Verdict, check
from cltv_assets.tables.common_checks import NO_AMOUNTS, any_of, no_rows
from cltv_assets.tables.customer_scores.columns import CHURN_STATES, NEXT_ORDER_DAYS, ORDER_DAYS
from cltv_assets.tables.customer_scores.score import LAST_MONTHS
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.purchase_days import PURCHASE_DAYS
from cltv_assets.tables.segmentation import month_rows

#: Relative difference that sums of floats may have.
_ROUNDING = 1e-9


def _predictions(run: MonthRun) -> ir.Table:
    return month_rows(run.inputs[LAST_MONTHS.table], run.month.first_day)


def _measures_of_everyone_scored(table: ir.Table, run: MonthRun) -> dict[str, ir.Scalar]:
    predictions = _predictions(run)
    return {
        "scores": table.count(),
        "predictions": predictions.count().as_scalar(),
        "missing": predictions.anti_join(table, "customer_id").count().as_scalar(),
    }


@check("One row for each prediction.", measures=_measures_of_everyone_scored)
def everyone_scored(values: Values, _run: MonthRun) -> Verdict:
    """Promise that the customers are those of the month's predictions."""
    scores, predictions, missing = values["scores"], values["predictions"], values["missing"]
    facts = {"scores": scores, "predictions": predictions}
    if scores == predictions and not missing:
        return Verdict(True, f"{scores:,} customers, each with a prediction.", facts)
    message = (
        f"{predictions:,} predictions and {scores:,} scores; {missing:,} customers with a prediction have none. Run "
        "rfm_summary and what is made from it again for this month."
    )
    return Verdict(False, message, facts)


def _measures_of_spend_whole(table: ir.Table, run: MonthRun) -> dict[str, ir.Scalar]:
    days = run.inputs[PURCHASE_DAYS.name].semi_join(table, "customer_id")
    return {"spent": (days.spend.sum() - days.refunds.sum()).as_scalar(), "scored": table.historic_value.sum()}


@check(
    "historic_value adds up to these customers' spend less refunds in purchase_days.", measures=_measures_of_spend_whole
)
def spend_whole(values: Values, run: MonthRun) -> Verdict:
    """Promise that no spend of a scored customer is lost or counted twice, to the smallest unit."""
    if run.settings.source.counted:
        return Verdict(values["scored"] is None, NO_AMOUNTS)
    spent, scored = (Decimal(values[side] or 0) for side in ("spent", "scored"))
    facts = {"spend_in": float(spent), "spend_out": float(scored)}
    unit = run.settings.currency
    if spent == scored:
        return Verdict(True, f"{scored:,.2f} {unit} net in {PURCHASE_DAYS.name} and here.", facts)
    message = (
        f"{spent:,.4f} {unit} in {PURCHASE_DAYS.name}, {scored:,.4f} here: {scored - spent:+,.4f}. Run rfm_summary and "
        "what is made from it again for this month."
    )
    return Verdict(False, message, facts)


@no_rows("historic_margin plus the longest horizon's predicted value is total_value.")
def values_add_up(table: ir.Table, run: MonthRun) -> ir.BooleanValue:
    """Promise that the total is the sum of its parts, and is known where both are."""
    past, ahead = table.historic_margin, table[f"predicted_value_{run.settings.horizons_months[-1]}m"]
    total = past + ahead
    off = (table.total_value - total).abs() > _ROUNDING * ibis.greatest(past.abs() + ahead.abs(), 1.0)
    return (table.total_value.isnull() != total.isnull()) | off.fill_null(False)


@no_rows("0 <= P(order in 30 days) <= P(order in 90 days) <= P(alive) <= 1.")
def probabilities_ordered(table: ir.Table, _run: MonthRun) -> ir.BooleanValue:
    """Promise probabilities, and that nobody orders who is not alive."""
    rising = [table[f"p_order_{days}d"] for days in ORDER_DAYS] + [table.p_alive]
    falls = [a > b + _ROUNDING for a, b in itertools.pairwise(rising)]
    return any_of([*(~p.between(0.0, 1.0) for p in rising), *falls])


@no_rows("The next order lies within three years after the month's end, and nothing is earlier than the last one.")
def days_possible(table: ir.Table, run: MonthRun) -> ir.BooleanValue:
    """Promise days that can be."""
    end = run.month.last_day
    ahead = table.expected_next_order.between(
        ibis.literal(end + dt.timedelta(days=1)), ibis.literal(end + dt.timedelta(days=NEXT_ORDER_DAYS))
    )
    return (
        (~ahead).fill_null(False)
        | (table.days_since_last_order < 0)
        | (table.median_days_between_orders < 1).fill_null(False)
    )


@no_rows("Churn states and deciles are those that there are.")
def states_known(table: ir.Table, _run: MonthRun) -> ir.BooleanValue:
    """Promise one of the states, and a decile from 1 to 10."""
    return ~table.churn_state.isin(CHURN_STATES) | ~table.value_decile.between(1, 10)
