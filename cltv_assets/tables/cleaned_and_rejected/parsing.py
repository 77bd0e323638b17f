"""Reads the delivered text of a line: customer, time and numbers.

Nearly every line is spelled plainly: an ISO time, numbers without grouping, an id without
blanks. One cheap test recognises such a line, and casts read it. All other lines go through
the rules for odd spellings, which cost ten times as much. Both ways give the same values
for a plain line, so the test decides the price of a line and never its meaning.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable

import ibis
import ibis.expr.types as ir

from cltv_assets.columns import MONEY
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.sources.delivered import DELIVERED
from cltv_assets.sources.timestamps import LOCAL, PLAIN_TIME, UTC, Clock, with_event_times, with_plain_times

#: Type of each number.
_NUMBERS = {"quantity": MONEY, "unit_price": "decimal(18, 6)", "amount": MONEY}

#: Text that data frames write for a missing value.
_MISSING_WORDS = ("nan", "null", "none")

#: An id that is its own key: no blanks, and not a number that a data frame wrote as ``17850.0``.
_PLAIN_ID = r"^([0-9A-Za-z_-]+|[A-Za-z][0-9A-Za-z_.@+-]*)\z"

_Reader = Callable[[ir.StringValue, str, str], ir.DecimalValue]


def is_plain(raw: ir.Table, settings: Settings) -> ir.BooleanValue:
    """Return whether casts read a line as the rules for odd spellings would; a missing text is plain."""
    mark = r"\." if settings.source.decimal_separator == "." else ","
    tests = [("customer_id", _PLAIN_ID), *((name, rf"^-?\d{{1,9}}({mark}\d+)?\z") for name in _NUMBERS)]
    if settings.source.timestamp_format[0] == "iso":
        tests.append(("transacted_at", PLAIN_TIME))
    missing = raw.customer_id.lower().isin(_MISSING_WORDS)
    plain = [raw[name].isnull() | raw[name].re_search(pattern) for name, pattern in tests]
    return functools.reduce(operator.and_, plain) & ~missing.fill_null(False)


def plain_lines(raw: ir.Table, month: Month, settings: Settings) -> ir.Table:
    """Parse lines that `is_plain` recognises.

    Returns
    -------
    ibis table
        The delivered columns under ``raw_*`` and the line's place; ``customer_id``, ``local`` and
        ``transacted_at``, and the numbers, each null where the text is none.
    """
    if settings.source.timestamp_format[0] == "iso":
        timed = with_plain_times(raw, "transacted_at", _clock(month, settings))
    else:
        timed = _with_times(raw, month, settings)
    return _selected(timed, timed.customer_id, _plain_number, settings)


def odd_lines(raw: ir.Table, month: Month, settings: Settings) -> ir.Table:
    """Parse lines of any spelling, into the columns of `plain_lines`."""
    timed = _with_times(raw, month, settings)
    return _selected(timed, customer_key(timed.customer_id), decimal_number, settings)


def _with_times(raw: ir.Table, month: Month, settings: Settings) -> ir.Table:
    return with_event_times(raw, "transacted_at", _clock(month, settings))


def _clock(month: Month, settings: Settings) -> Clock:
    years = settings.first_month.first_day.year - 1, month.first_day.year + 1
    return Clock(settings.source.timestamp_format, settings.source_zone, settings.zone, *years)


def _selected(timed: ir.Table, customer: ir.StringValue, number: _Reader, settings: Settings) -> ir.Table:
    separator = settings.source.decimal_separator
    return timed.select(
        **{f"raw_{column.name}": timed[column.name] for column in DELIVERED},
        source_file=timed.source_file,
        source_line=timed.source_line,
        source_text=timed.source_text,
        customer_id=customer,
        local=timed[LOCAL],
        transacted_at=timed[UTC],
        **{name: number(timed[name], separator, to) for name, to in _NUMBERS.items()},
    )


def customer_key(text: ir.StringValue) -> ir.StringValue:
    """Return the customer id: trimmed, null where missing, ``17850.0`` as ``17850``.

    Data frames turn a column of integers with missing values into floats. Without
    this, one customer would become two.
    """
    trimmed = text.strip()
    whole = trimmed.re_extract(r"^(\d+)\.0+$", 1)
    key = ibis.ifelse(trimmed.re_search(r"^\d+\.0+$"), whole, trimmed)
    missing = (trimmed == "") | trimmed.lower().isin(_MISSING_WORDS)
    return ibis.ifelse(missing, ibis.null("string"), key)


def decimal_number(text: ir.StringValue, separator: str, to: str) -> ir.DecimalValue:
    """Parse a plain decimal number; return null where the text is not one.

    Grouped thousands are accepted (``1,234.50``, or ``1.234,50`` with a decimal
    comma). Exponents are not, nor are more digits before the separator than an
    amount can have.
    """
    plain = text.strip()
    group, mark = (",", r"\.") if separator == "." else (r"\.", ",")
    number = rf"^[+-]?((\d{{1,14}}|\d{{1,3}}({group}\d{{3}}){{1,3}})({mark}\d*)?|{mark}\d+)$"
    is_number = plain.re_search(number)
    ungrouped = plain.replace("," if separator == "." else ".", "").replace(",", ".")
    safe = ibis.ifelse(is_number.fill_null(False), ungrouped, ibis.literal("0"))
    # One digit fewer than the type holds, because rounding may carry into the next.
    digits = 13 if to == MONEY else 11
    fits = safe.re_extract(r"^[+-]?0*(\d*)", 1).length() <= digits
    value = ibis.ifelse(fits, safe, ibis.literal("0")).cast(to)
    return ibis.ifelse(is_number & fits, value, ibis.null(to))


def _plain_number(text: ir.StringValue, separator: str, to: str) -> ir.DecimalValue:
    # Not a plain cast: an engine may compute it for lines that the test leaves out.
    return (text if separator == "." else text.replace(",", ".")).try_cast(to)
