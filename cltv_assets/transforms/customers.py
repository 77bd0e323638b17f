"""Purchases to customer-days, repeat customers and the RFM summary."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import ibis
import ibis.expr.types as ir

from cltv_assets.months import Month
from cltv_assets.schemas import MONEY, PURCHASE_DAYS, REPEAT_CUSTOMERS, RFM_SUMMARY
from cltv_assets.settings import Settings
from cltv_assets.transforms.quantiles import tier

#: Days in each time unit: a week is seven days of the calendar, whatever its start.
DAYS_PER_UNIT = {"day": 1, "week": 7}


def purchase_days(cleaned: ir.Table) -> ir.Table:
    """Merge a customer's orders of a day into one row."""
    bought = cleaned.kind == "purchase"
    zero = ibis.literal(0).cast(MONEY)
    return (
        cleaned.group_by("customer_id", "purchase_day")
        .aggregate(
            order_count=cleaned.transaction_id.nunique(where=bought),
            line_count=bought.cast("int64").sum(),
            spend=ibis.ifelse(bought, cleaned.amount, zero).sum().cast(MONEY),
            refunds=ibis.ifelse(bought, zero, -cleaned.amount).sum().cast(MONEY),
        )
        .select(*PURCHASE_DAYS.column_names)
    )


def repeat_customers(days: ir.Table, month: Month, window_months: int) -> ir.Table:
    """Return customers with two or more purchase days in the trailing window.

    Parameters
    ----------
    days : ibis table
        ``purchase_days`` of at least the window's months.
    month : Month
        The window's last month.
    window_months : int
        Length of the window, this month included.
    """
    start, end = month.shift(1 - window_months).first_day, month.last_day
    window = days.filter(days.purchase_day.between(start, end))
    bought = window.order_count > 0
    found = window.group_by("customer_id").aggregate(
        purchase_day_count=bought.cast("int64").sum(),
        order_count=window.order_count.sum(),
        spend=window.spend.sum().cast(MONEY),
        refunds=window.refunds.sum().cast(MONEY),
        first_purchase=window.purchase_day.min(where=bought),
        last_purchase=window.purchase_day.max(where=bought),
    )
    return (
        found.filter(found.purchase_day_count >= 2)
        .mutate(window_start=ibis.literal(start), window_end=ibis.literal(end))
        .select(*REPEAT_CUSTOMERS.column_names)
    )


def observed_customers(days: ir.Table, month: Month, settings: Settings) -> ir.Table:
    """Summarise every customer's history up to the month's end.

    Semantics of ``lifetimes.utils.summary_data_from_transaction_data``: frequency
    is the number of purchase days after the first, recency the time from the
    first to the last, T the time from the first to the observation end, which is
    the month's last day. Monetary value is the mean over the repeat days.

    Refunds are rarely booked against a particular order, so with ``refunds: net``
    they lower the customer's monetary value in proportion: by the share of all
    spend that was kept.

    Returns
    -------
    ibis table
        The columns of ``rfm_summary`` without the scores.
    """
    end = month.last_day
    history = days.filter(days.purchase_day <= end)
    bought = history.order_count > 0
    # Arg-min instead of a window function: one pass, and no sort by customer.
    customers = history.group_by("customer_id").aggregate(
        days=bought.cast("int64").sum(),
        first_purchase=history.purchase_day.min(where=bought),
        last_purchase=history.purchase_day.max(where=bought),
        first_spend=history.spend.argmin(history.purchase_day, where=bought),
        order_count=history.order_count.sum(),
        total_spend=history.spend.sum().cast(MONEY),
        total_refunds=history.refunds.sum().cast(MONEY),
    )
    # Someone who only ever returned things has bought nothing.
    customers = customers.filter(customers.days > 0)
    customers = customers.mutate(
        frequency=customers.days - 1,
        repeat_spend=(customers.total_spend - customers.first_spend).cast(MONEY),
    )
    unit = DAYS_PER_UNIT[settings.time_unit]
    recency = customers.last_purchase.delta(customers.first_purchase, unit="day").cast("float64") / unit
    age = ibis.literal(end).delta(customers.first_purchase, unit="day").cast("float64") / unit
    kept_share = ibis.literal(1.0)
    if settings.refunds == "net":
        spend = customers.total_spend.cast("float64")
        kept = spend - customers.total_refunds.cast("float64")
        kept_share = ibis.cases((spend <= 0, 1.0), (kept <= 0, 0.0), else_=kept / ibis.ifelse(spend > 0, spend, 1.0))
    repeats = ibis.ifelse(customers.frequency > 0, customers.frequency, 1).cast("float64")
    mean = customers.repeat_spend.cast("float64") * kept_share / repeats
    return customers.mutate(
        recency=recency,
        T=age,
        monetary_value=ibis.ifelse(customers.frequency > 0, mean, 0.0),
        is_repeat=customers.frequency > 0,
    )


@dataclass(frozen=True)
class ScoreThresholds:
    """Quintile bounds of the RFM scores, four for each (none without customers)."""

    recency: Sequence[Any]
    frequency: Sequence[Any]
    monetary: Sequence[Any]


def rfm_summary(customers: ir.Table, thresholds: ScoreThresholds) -> ir.Table:
    """Add the RFM quintile scores to ``observed_customers``."""
    return customers.mutate(
        r_score=tier(customers.last_purchase, thresholds.recency),
        f_score=tier(customers.frequency, thresholds.frequency),
        m_score=tier(customers.total_spend, thresholds.monetary),
    ).select(*RFM_SUMMARY.column_names)
