"""Merges each customer's orders of a day, because the models count customer-days."""

from __future__ import annotations

import ibis
import ibis.expr.types as ir
from scipy.special import beta

from cltv_assets.columns import MONEY, Column, TableSchema
from cltv_assets.tables.check import Values, Verdict, check
from cltv_assets.tables.cleaned_and_rejected.columns import CLEANED_TRANSACTIONS, CUSTOMER
from cltv_assets.tables.common_checks import money_given, no_rows, spend_reconciles, within_month
from cltv_assets.tables.highlights import Highlights, money
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.table import DATA_PLATFORM, ENGINE, PREPARATION, Input, Table

PURCHASE_DAYS = TableSchema(
    "purchase_days",
    "Orders and spend of each customer and day. Orders of a day merge, because the models' unit is the "
    "customer-day. A day with refunds only, and one whose orders were all cancelled, has order_count 0.",
    ("customer_id", "purchase_day"),
    (
        CUSTOMER,
        Column("purchase_day", "date", "Calendar day in the configured time zone."),
        Column(
            "order_count",
            "int64",
            "Distinct transactions with a purchase line that day, less those cancelled the same day.",
            "orders",
        ),
        Column("line_count", "int64", "Purchase lines that day.", "lines"),
        Column(
            "spend",
            MONEY,
            "Sum of the purchase lines; null where the source has no amounts.",
            "currency",
            nullable=True,
        ),
        Column(
            "refunds", MONEY, "Sum of the refund lines, as a positive number; null likewise.", "currency", nullable=True
        ),
        Column(
            "margin",
            MONEY,
            "Margin of the purchase lines that the source gives one for; null where it gives none.",
            "currency",
            nullable=True,
            since=3,
        ),
        Column("margin_spend", MONEY, "Spend of those lines.", "currency", nullable=True, since=3),
        Column(
            "attributes",
            "string",
            "Attributes of the day's first purchase line that has any, as a JSON object.",
            nullable=True,
            since=3,
        ),
    ),
)


#: Added to seconds since 1970, so that all have as many digits.
_LATER = 2 * 10**12


def make(run: MonthRun) -> ir.Table:
    """Merge the month's purchases into customer-days."""
    source = run.settings.source
    return merge_by_day(
        run.inputs[CLEANED_TRANSACTIONS.name],
        attributes=bool(source.attributes),
        margins=source.margin_column is not None,
    )


def merge_by_day(cleaned: ir.Table, *, attributes: bool = False, margins: bool = True) -> ir.Table:
    """Merge a customer's orders of a day into one row.

    An order was cancelled, and does not count, if exactly as much went back under its number on its own day as it
    had brought. Nor does any order of a day on which exactly as much went back as was spent. The money stays in the
    sums. If more went back, something older was returned, and what was bought instead is a purchase.
    """
    bought = cleaned.kind == "purchase"
    zero = ibis.literal(0).cast(MONEY)
    # As text, so that lines of one instant come in the same order on every engine.
    seconds = cleaned.transacted_at.epoch_seconds().cast("int64") + _LATER
    more = {"first": (seconds.cast("string") + cleaned.attributes).min(where=bought)} if attributes else {}
    if margins:
        more |= {
            "margin": cleaned.margin.sum(),
            "margin_spend": cleaned.amount.sum(where=cleaned.margin.notnull()),
        }
    # By transaction first: counting distinct ones takes half as long again.
    orders = cleaned.group_by("customer_id", "purchase_day", "transaction_id").aggregate(
        line_count=cleaned.count(where=bought),
        spend=ibis.ifelse(bought, cleaned.amount, zero).sum(),
        # Of a line without an amount nobody knows what went back either.
        refunds=ibis.ifelse(bought & cleaned.amount.notnull(), zero, -cleaned.amount).sum(),
        # As delivered: a capped order is still cancelled by a refund of all of it.
        kept=cleaned.amount_delivered.sum(),
        **more,
    )
    cancelled = ((orders.refunds > 0) & (orders.kept == 0)).fill_null(False)
    days = orders.group_by("customer_id", "purchase_day").aggregate(
        order_count=orders.count(where=(orders.line_count > 0) & ~cancelled),
        line_count=orders.line_count.sum(),
        # Null where it does not fit; the check `money_given` says so.
        spend=orders.spend.sum().try_cast(MONEY),
        refunds=orders.refunds.sum().try_cast(MONEY),
        kept=orders.kept.sum(),
        **{name: orders[name].sum().try_cast(MONEY) for name in ("margin", "margin_spend") if margins},
        **({"attributes": orders["first"].min().substr(len(str(_LATER)))} if attributes else {}),
    )
    undone = ((days.refunds > 0) & (days.kept == 0)).fill_null(False)
    given = {column.name: ibis.null(column.type) for column in PURCHASE_DAYS.columns if column.name not in days.columns}
    return days.mutate(order_count=ibis.ifelse(undone, 0, days.order_count), **given).select(
        *PURCHASE_DAYS.column_names
    )


def net_spend(days: ir.Table) -> ir.Scalar:
    """Return spend less refunds, as an aggregate."""
    return days.spend.sum() - days.refunds.sum()


#: A run of days without a purchase is unusual if chance produces it less often than this.
_ACCIDENT = 1e-3


def _unusual(silent: int, days: int, busy: int, limit: int) -> bool:
    """Whether ``silent`` days in a row without a purchase are not chance, if ``busy`` of ``days`` days have one.

    The probability is beta-binomial with a uniform prior, so a month with few purchases proves little.
    """
    quiet = days - busy
    return silent > limit and beta(busy + 1, quiet + silent + 1) / beta(busy + 1, quiet + 1) < _ACCIDENT


def _measures_of_month_covered(table: ir.Table, _run: MonthRun) -> dict[str, ir.Scalar]:
    day = table.purchase_day.day()
    return {"first_day": day.min(), "last_day": day.max(), "days": day.nunique()}


@check("Purchases run from the month's beginning to its end.", measures=_measures_of_month_covered, blocking=False)
def month_covered(values: Values, run: MonthRun) -> Verdict:
    """Warn when purchases stop well before the month ends or begin late, because a delivery is probably missing.

    A month's end is the end of observation. If the last three weeks were not delivered, everybody seems silent for
    three weeks, and P(alive) and every rate are too low.
    """
    if values["last_day"] is None:
        return Verdict(True, "No purchases, so no days to look at.")
    # Days of the month as numbers; the check within_month finds dates outside the month.
    first, last = values["first_day"], values["last_day"]
    before, after = first - 1, run.month.last_day.day - last
    facts = {"first_day": first, "last_day": last, "days_with_purchases": values["days"]}
    # The days in between show how common a day without a purchase is.
    usual = (last - first + 1, values["days"], run.settings.checks.silent_days)
    silent = []
    # A shop's first month may begin on any day.
    if run.month != run.settings.first_month and _unusual(before, *usual):
        silent.append(f"no purchase before {run.month}-{first:02d}, for {before} days")
    if _unusual(after, *usual):
        silent.append(f"no purchase after {run.month}-{last:02d}, for {after} days")
    if not silent:
        return Verdict(True, f"Purchases from day {first} to day {last}, on {values['days']} days.", facts)
    limit = run.settings.checks.silent_days
    message = (
        f"{', and '.join(silent).capitalize()} (more than checks.silent_days, {limit}): is the delivery complete? "
        f"Customers count as silent up to {run.month.last_day}, so what is missing makes them look lost."
    )
    return Verdict(False, message, facts)


@no_rows("Every row has an order or a refund, a day without an order keeps no money, and no money is negative.")
def counts_positive(table: ir.Table, _run: MonthRun) -> ir.BooleanValue:
    """Promise that every row counts at least one purchase or refund, and that no money is kept without one."""
    return (
        ((table.order_count == 0) & (table.refunds.fill_null(0) == 0) & (table.line_count > 0))
        | ((table.order_count == 0) & (table.spend > table.refunds))
        | (table.spend < 0)
        | (table.refunds < 0)
        | (table.line_count < table.order_count)
    )


def month_highlights(run: MonthRun) -> Highlights:
    """Return customers, orders and spend of the month."""
    days = run.inputs[PURCHASE_DAYS.name]
    found = run.engine.measure(
        days, {"customers": days.customer_id.nunique(), "orders": days.order_count.sum(), "spend": days.spend.sum()}
    )
    numbers: dict[str, object] = {"customers": found["customers"], "orders": int(found["orders"] or 0)}
    if not run.settings.source.counted:
        numbers[f"spend_{run.settings.currency}"] = money(found["spend"])
    return Highlights(numbers)


TABLE = Table(
    schema=PURCHASE_DAYS,
    inputs=lambda _settings: (Input(CLEANED_TRANSACTIONS.name),),
    make=make,
    checks=(
        within_month("purchase_day"),
        month_covered,
        money_given("spend", "refunds"),
        spend_reconciles(CLEANED_TRANSACTIONS.name, lambda cleaned: cleaned.amount.sum(), net_spend),
        counts_positive,
    ),
    highlights=month_highlights,
    group=PREPARATION,
    owner=DATA_PLATFORM,
    kinds=(ENGINE, "deltalake"),
    half="preprocess",
)
