"""Customers who bought on two or more days of the trailing window."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir

from cltv_assets.columns import MONEY, Column, TableSchema
from cltv_assets.months import Month
from cltv_assets.tables.cleaned_and_rejected.columns import CUSTOMER
from cltv_assets.tables.common_checks import money_given, no_rows
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.purchase_days import PURCHASE_DAYS
from cltv_assets.tables.table import DATA_PLATFORM, ENGINE, PREPARATION, Input, Table

REPEAT_CUSTOMERS = TableSchema(
    "repeat_customers",
    "Customers who bought on two or more days. Within the trailing window: the cleaned repeat-customer data, "
    "reusable by other models.",
    ("customer_id",),
    (
        CUSTOMER,
        Column("purchase_day_count", "int64", "Purchase days in the window, two or more.", "days"),
        Column("order_count", "int64", "Orders in the window.", "orders"),
        Column(
            "spend",
            MONEY,
            "Spend in the window before refunds; null where the source has no amounts.",
            "currency",
            nullable=True,
        ),
        Column(
            "refunds",
            MONEY,
            "Refunds in the window, as a positive number; null likewise.",
            "currency",
            nullable=True,
        ),
        Column("first_purchase", "date", "First purchase day in the window."),
        Column("last_purchase", "date", "Last purchase day in the window."),
        Column("window_start", "date", "First day of the trailing window."),
        Column("window_end", "date", "Last day of the trailing window: the month's last day."),
    ),
)


def make(run: MonthRun) -> ir.Table:
    """Keep customers with two or more purchase days in the trailing window."""
    days = run.inputs[PURCHASE_DAYS.name]
    return repeaters_in_window(days, run.month, run.settings.repeat_window_months)


def repeaters_in_window(days: ir.Table, month: Month, window_months: int) -> ir.Table:
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
        purchase_day_count=window.count(where=bought),
        order_count=window.order_count.sum(),
        # Null where it does not fit; the check `money_given` says so.
        spend=window.spend.sum().try_cast(MONEY),
        refunds=window.refunds.sum().try_cast(MONEY),
        first_purchase=window.purchase_day.min(where=bought),
        last_purchase=window.purchase_day.max(where=bought),
    )
    return (
        found.filter(found.purchase_day_count >= 2)
        .mutate(window_start=ibis.literal(start), window_end=ibis.literal(end))
        .select(*REPEAT_CUSTOMERS.column_names)
    )


@no_rows("Two or more purchase days, all inside the trailing window.")
def repeat_bounds(table: ir.Table, _run: MonthRun) -> ir.BooleanValue:
    """Promise that each customer has repeat purchases, and that they lie inside the window."""
    return (
        (table.purchase_day_count < 2)
        | (table.first_purchase < table.window_start)
        | (table.last_purchase > table.window_end)
        | (table.first_purchase >= table.last_purchase)
    )


TABLE = Table(
    schema=REPEAT_CUSTOMERS,
    inputs=lambda settings: (Input(PURCHASE_DAYS.name, settings.repeat_window_months - 1),),
    make=make,
    checks=(repeat_bounds, money_given("spend", "refunds")),
    group=PREPARATION,
    owner=DATA_PLATFORM,
    kinds=(ENGINE, "deltalake"),
    half="preprocess",
)
