"""Sorts delivered lines into purchases, refunds and rejected lines.

``classify`` gives every line exactly one verdict: a null ``reason`` means that it
is kept; any other value names the first rule that it broke. Kept and rejected lines
are two filters on the same verdict, so together they hold every line of the month once.
"""

from __future__ import annotations

from decimal import Decimal

import ibis
import ibis.expr.types as ir

from cltv_assets.columns import MONEY
from cltv_assets.months import Month, Span
from cltv_assets.settings import Settings, Source
from cltv_assets.sources.delivered import ATTRIBUTES, DELIVERED, LINE, NOT_COUNTED, SOURCE_TEXT
from cltv_assets.sources.meaning import REFUND
from cltv_assets.tables.cleaned_and_rejected.parsing import is_one_of

#: Every reason a line can be rejected for, in the order in which rules are tried.
REASONS: dict[str, str] = {
    "malformed_line": "The line could not be split into the header's columns.",
    "not_counted": "The line does not count (source.where, source.count_status); see its column `not_counted`.",
    "missing_date": "No transaction time.",
    "invalid_date": "The transaction time is not a valid time in the configured format.",
    "date_in_future": "The transaction time lies after the day that follows the delivery.",
    "repeated_total": "The order's total, or refund, counted with another line (source.amount_level: order).",
    "differing_total": "Another total than the one that counted for the same order (source.amount_level: order).",
    "missing_customer": "No customer id, so the purchase belongs to nobody.",
    "invalid_customer": "The customer id has more than 200 characters: it is another text, or many lines in one field.",
    "invalid_quantity": "The quantity is missing or not a number.",
    "invalid_unit_price": "The unit price is missing or not a number.",
    "invalid_amount": "The amount is missing, not a number, or absurd (a million million and more).",
    "wrong_currency": "The line is in another currency than the configured one.",
    "negative_unit_price": "The unit price is negative: a bookkeeping entry, not a purchase.",
    "duplicate": "Every delivered field equals that of an earlier line (source.duplicates).",
    "zero_amount": "The line is worth nothing (source.zero_amounts: reject).",
    "refund": "A cancelled or negative line (refunds: drop).",
    "outlier": "Above the outlier bound (outliers.action: drop).",
}

#: Reasons that the settings give on purpose.
DELIBERATE = ("not_counted", "repeated_total", "duplicate", "refund", "outlier")

_DELIVERED_NAMES = tuple(column.name for column in DELIVERED)
#: What `cleaned_transactions` does not need; it takes the id as delivered.
_ONLY_REJECTED = tuple(f"raw_{name}" for name in _DELIVERED_NAMES if name != "transaction_id")
#: What the two tables are made of beside it. The lines are held meanwhile, so each column costs.
_JUDGED = (
    "raw_transaction_id",
    *(column.name for column in (*LINE, SOURCE_TEXT, NOT_COUNTED, ATTRIBUTES)),
    *("customer_id", "transacted_at", "purchase_day", "kind", "quantity", "delivered", "margin", "reason"),
)

#: Characters of the longest id; e-mail addresses have fewer, and a database's keys.
LONGEST_ID = 200
#: An amount this large or larger is a typing error, and too wide for the stored type.
ABSURD = 10**12


def classify(lines: ir.Table, month: Month | Span, settings: Settings) -> ir.Table:
    """Name the first rule that each line breaks.

    Parameters
    ----------
    lines : ibis table
        The parsed lines of one month, see `parsing`.
    month : Month or Span
        The days of the lines.
    settings : Settings
        Say what to do with refunds, copies and worthless lines.

    Returns
    -------
    ibis table
        What becomes columns of the two tables: the delivered columns under ``raw_*``, the parsed ones, ``kind``,
        ``delivered`` (the line's value), ``margin``, and ``reason`` (null for a line that is kept).
    """
    source = settings.source
    priced = "unit_price" in source.columns
    given = lines.amount
    if priced:
        # Only a refund beside the sale has an amount there.
        given = ibis.ifelse(lines.raw_amount.notnull(), given, _line_value(lines.quantity, lines.unit_price))
    lines = lines.mutate(given=_scaled(given, source), booked_refund=(lines.booked_as == REFUND).fill_null(False)).drop(
        "amount"
    )
    cancelled = ibis.literal(False)
    if source.cancellation_prefix is not None:
        cancelled = lines.raw_transaction_id.strip().startswith(source.cancellation_prefix).fill_null(False)
    is_refund = cancelled | lines.booked_refund | (lines.given < 0).fill_null(False)
    # A cancellation may be booked with either sign, but it always returns money.
    amount = ibis.ifelse(is_refund, -lines.given.abs(), lines.given)
    lines = lines.mutate(
        kind=ibis.ifelse(is_refund, ibis.literal("refund"), ibis.literal("purchase")),
        delivered=amount.cast(MONEY),
        purchase_day=lines.local.date(),
    )
    lines = lines.mutate(margin=_margin(lines, source))
    lines = _with_copies(lines, source.duplicates)
    lines = _with_repeats(lines, settings)
    lines = lines.mutate(reason=_first_broken_rule(lines, month, settings, priced))
    if settings.outliers.action == "drop":
        return lines.select(*_JUDGED, *_ONLY_REJECTED)
    # Nobody asks for the text of a line that stays kept.
    text = {name: ibis.ifelse(lines.reason.notnull(), lines[name], ibis.null("string")) for name in _ONLY_REJECTED}
    return lines.select(*_JUDGED, **text)


def _scaled(money: ir.DecimalValue, source: Source) -> ir.DecimalValue:
    if source.scale == 1:
        return money
    # (18, 4) times (19, 6), as in `_large_line_value`; the scale is at most 1.
    return (money * ibis.literal(source.scale, "decimal(19, 6)")).cast(MONEY)


def _margin(lines: ir.Table, source: Source) -> ir.DecimalValue:
    """Return the margin of each purchase; null where the source does not say it."""
    name = source.margin_column
    if name is None:
        return ibis.null(MONEY)
    given = _scaled(_line_value(lines.quantity, lines.unit_cost) if name == "unit_cost" else lines[name], source)
    margin = given if name == "margin" else lines.delivered - given
    known = (lines.kind == "purchase") & (given.abs() < ibis.literal(Decimal(ABSURD), MONEY))
    return ibis.ifelse(known.fill_null(False), margin, ibis.null(MONEY)).cast(MONEY)


def _with_copies(lines: ir.Table, duplicates: str) -> ir.Table:
    """Add which lines equal an earlier one that counts for them."""
    fields = [*(f"raw_{name}" for name in _DELIVERED_NAMES), "booked_as"]
    place = ["source_file", "source_line"]
    if duplicates == "keep":
        return lines.mutate(copy=ibis.literal(False))
    if duplicates == "drop_across_files":
        # The n-th of a file's equal lines is a copy if an earlier file has an n-th one too.
        own = ibis.window(group_by=[*fields, "source_file"], order_by="source_line")
        lines = lines.mutate(nth=ibis.row_number().over(own))
        fields.append("nth")
    copies = lines.mutate(copy=ibis.row_number().over(ibis.window(group_by=fields, order_by=place)) > 0)
    return copies.drop("nth") if "nth" in fields else copies


def _with_repeats(lines: ir.Table, settings: Settings) -> ir.Table:
    """Add which lines repeat the total or the refund of their order, and which have another one."""
    source = settings.source
    if source.amount_level == "line" and not source.order_refunds:
        return lines.mutate(repeated=ibis.literal(False), differing=ibis.literal(False))
    order = lines.raw_transaction_id.strip().nullif("")
    # Lines that do not count, and lines without an amount, count for their order last.
    lines = lines.mutate(order=order, last=lines.not_counted.notnull(), empty=lines.given.isnull())
    same = ibis.window(group_by=["order", "booked_refund"], order_by=["last", "empty", "source_file", "source_line"])
    lines = lines.mutate(place=ibis.row_number().over(same), counted=lines.given.first().over(same))
    levels = ibis.ifelse(lines.booked_refund, source.order_refunds, source.amount_level == "order")
    repeated = levels & lines.order.notnull() & (lines.place > 0)
    lines = lines.mutate(repeated=repeated, differing=repeated & (lines.given != lines.counted).fill_null(False))
    return lines.drop("order", "last", "empty", "place", "counted")


def _first_broken_rule(lines: ir.Table, month: Month | Span, settings: Settings, priced: bool) -> ir.StringValue:
    source = settings.source
    first, last = ibis.literal(month.first_day), ibis.literal(month.last_day)
    # A result, not a rule: engines are slow at trimming text, and only look at it where no time is valid.
    no_date = is_one_of(lines.raw_transacted_at.fill_null("").strip(), ("", *source.missing_words))
    broken: list[tuple[str | ir.StringValue, ir.BooleanValue]] = [
        ("malformed_line", lines.source_text.notnull()),
        ("not_counted", lines.not_counted.notnull()),
        (ibis.ifelse(no_date, ibis.literal("missing_date"), ibis.literal("invalid_date")), lines.local.isnull()),
        # The reader puts a line into the month of its date unless that month is still
        # to come, so a date outside this month is in the future.
        ("date_in_future", (lines.purchase_day < first) | (lines.purchase_day > last)),
        ("differing_total", lines.differing),
        ("repeated_total", lines.repeated),
        ("missing_customer", lines.customer_id.isnull()),
        ("invalid_customer", lines.customer_id.length() > LONGEST_ID),
    ]
    if priced:
        broken += [
            ("invalid_quantity", lines.quantity.isnull() & lines.raw_amount.isnull()),
            ("invalid_unit_price", lines.unit_price.isnull() & lines.raw_amount.isnull()),
        ]
    absurd = lines.delivered.abs() >= ibis.literal(Decimal(ABSURD), MONEY)
    if not source.counted:
        broken.append(("invalid_amount", lines.delivered.isnull() | absurd))
    if "currency" in source.columns:
        code = lines.raw_currency.fill_null("").strip().upper()
        broken.append(("wrong_currency", code != settings.currency))
    if priced:
        broken.append(("negative_unit_price", lines.unit_price < 0))
    broken.append(("duplicate", lines.copy))
    if source.zero_amounts == "reject":
        broken.append(("zero_amount", lines.delivered == 0))
    if settings.refunds == "drop":
        broken.append(("refund", lines.kind == "refund"))
    # A null breaks no rule here, because the rule about missing values came first.
    branches = [(rule.fill_null(False), reason) for reason, rule in broken]
    return ibis.cases(*branches, else_=ibis.null("string"))


def _line_value(quantity: ir.DecimalValue, unit_price: ir.DecimalValue) -> ir.DecimalValue:
    """Multiply exactly; return null where the product is absurd."""
    # Numbers below 10,000 are multiplied in 64 bits, in a tenth of the time. Larger ones become null here.
    product = quantity.try_cast("decimal(8, 4)") * unit_price.try_cast("decimal(10, 6)")
    return ibis.coalesce(product.cast(MONEY), _large_line_value(quantity, unit_price))


def _large_line_value(quantity: ir.DecimalValue, unit_price: ir.DecimalValue) -> ir.DecimalValue:
    """Estimate the product in doubles first: the exact one of two absurd numbers would stop the query."""
    rough = quantity.cast("float64") * unit_price.cast("float64")
    fits = rough.abs() < ABSURD * 10
    one = ibis.literal(Decimal(0), unit_price.type())
    # (18, 4) times (19, 6): with two factors of eighteen digits DuckDB multiplies in 64 bits
    # and overflows. Spark's product of these two types has 38 digits and loses none.
    product = quantity * ibis.ifelse(fits, unit_price, one).cast("decimal(19, 6)")
    return ibis.ifelse(fits, product.cast(MONEY), ibis.null(MONEY))
