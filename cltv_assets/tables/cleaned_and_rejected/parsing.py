"""Reads the delivered text of a line: customer, time and numbers.

Nearly every line is spelled plainly: an ISO time, numbers without grouping, an id without
blanks. One cheap test recognises such a line, and casts read it. All other lines go through
the rules for odd spellings, which cost ten times as much. Both ways give the same values
for a plain line, so the test decides the price of a line and never its meaning.
"""

from __future__ import annotations

import functools
import operator
import re
from collections.abc import Callable, Sequence

import ibis
import ibis.expr.types as ir

from cltv_assets.columns import MONEY
from cltv_assets.months import Month, Span
from cltv_assets.settings import Settings
from cltv_assets.sources.delivered import ATTRIBUTES, DELIVERED, LINE, NOT_COUNTED, SOURCE_TEXT
from cltv_assets.sources.timestamps import LOCAL, PLAIN_TIME, UTC, Clock, with_event_times, with_plain_times

#: Currencies whose sign is the dollar's, alone or after the letters of the country.
_DOLLARS = ("USD", "AUD", "CAD", "NZD", "SGD", "HKD", "TWD", "MXN", "ARS", "CLP", "COP")

#: Type of each number.
_PRICE = "decimal(18, 6)"
_NUMBERS = {"quantity": MONEY, "unit_price": _PRICE, "amount": MONEY}
#: Those of which a source has one or none.
_MARGINS = {"cost": MONEY, "unit_cost": _PRICE, "margin": MONEY}

#: What stands for a currency beside its ISO code, in front of an amount or behind it.
_SIGNS = {
    "EUR": ("€",), "GBP": ("£",), "JPY": ("¥", "￥", "円"), "CNY": ("¥", "￥"), "KRW": ("₩",),
    "INR": ("₹", "Rs.", "Rs"),
    "BRL": ("R$",), "PLN": ("zł",), "CZK": ("Kč",), "TRY": ("₺",), "RUB": ("₽",), "UAH": ("₴",), "ILS": ("₪",),
    "VND": ("₫",), "NGN": ("₦",), "PHP": ("₱",), "THB": ("฿",), "CHF": ("Fr.",), "ZAR": ("R",), "CRC": ("₡",),
    **dict.fromkeys(("SEK", "NOK", "DKK", "ISK"), ("kr.", "kr")),
    **{code: ("$", f"{code[:2]}$", f"{code[0]}$") for code in _DOLLARS},
}  # fmt: skip
_MINUS = "\u2212"
#: Digits and signs as wide as a Chinese character, and what they are.
_WIDE = "".join(chr(ord(narrow) + 0xFEE0) for narrow in "0123456789,.-")
#: Blanks between digits and around: ordinary, no-break, figure, thin and narrow.
_BLANK = "[\\s\u00a0\u2007\u2009\u202f]"

#: An id that is its own key: no blanks, and not a number that a data frame wrote as ``17850.0``.
_PLAIN_ID = r"[0-9A-Za-z_-]+|[A-Za-z][0-9A-Za-z_.@+-]*"

_Reader = Callable[[ir.StringValue, Settings, str], ir.DecimalValue]


def is_plain(raw: ir.Table, settings: Settings) -> ir.BooleanValue:
    """Return whether casts read a line as the rules for odd spellings would; a missing text is plain."""
    mark = r"\." if settings.source.decimal_separator == "." else ","
    tests = [
        ("customer_id", rf"^({_PLAIN_ID})\z"),
        *((name, rf"^-?\d{{1,9}}({mark}\d+)?\z") for name in _numbers(settings)),
    ]
    if settings.source.timestamp_format[0] == "iso":
        tests.append(("transacted_at", PLAIN_TIME))
    words = [word for word in settings.source.missing_words if re.fullmatch(_PLAIN_ID, word)]
    missing = is_one_of(raw.customer_id, words)
    plain = [raw[name].isnull() | raw[name].re_search(pattern) for name, pattern in tests]
    return functools.reduce(operator.and_, plain) & ~missing.fill_null(False)


def plain_lines(raw: ir.Table, month: Month | Span, settings: Settings) -> ir.Table:
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


def odd_lines(raw: ir.Table, month: Month | Span, settings: Settings) -> ir.Table:
    """Parse lines of any spelling, into the columns of `plain_lines`."""
    timed = _with_times(raw, month, settings)
    return _selected(timed, customer_key(timed.customer_id, settings.source.missing_words), decimal_number, settings)


def _with_times(raw: ir.Table, month: Month | Span, settings: Settings) -> ir.Table:
    return with_event_times(raw, "transacted_at", _clock(month, settings))


def _clock(month: Month | Span, settings: Settings) -> Clock:
    years = settings.first_month.first_day.year - 1, month.last_day.year + 1
    return Clock(settings.source.timestamp_format, settings.source_zone, settings.zone, *years)


def _selected(timed: ir.Table, customer: ir.StringValue, number: _Reader, settings: Settings) -> ir.Table:
    return timed.select(
        **{f"raw_{column.name}": timed[column.name] for column in DELIVERED},
        **{column.name: timed[column.name] for column in (*LINE, SOURCE_TEXT, NOT_COUNTED, ATTRIBUTES)},
        customer_id=customer,
        local=timed[LOCAL],
        transacted_at=timed[UTC],
        **{name: number(timed[name], settings, to) for name, to in _numbers(settings).items()},
    )


def _numbers(settings: Settings) -> dict[str, str]:
    own = settings.source.margin_column
    return _NUMBERS if own is None else {**_NUMBERS, own: _MARGINS[own]}


def customer_key(text: ir.StringValue, missing_words: Sequence[str]) -> ir.StringValue:
    """Return the customer id: trimmed, null where missing, ``17850.0`` as ``17850``.

    Data frames turn a column of integers with missing values into floats. Without
    this, one customer would become two.
    """
    trimmed = text.strip()
    whole = trimmed.re_extract(r"^(\d+)\.0+$", 1)
    key = ibis.ifelse(trimmed.re_search(r"^\d+\.0+$"), whole, trimmed)
    missing = is_one_of(trimmed, ("", *missing_words)) | is_one_of(key, missing_words)
    return ibis.ifelse(missing, ibis.null("string"), key)


def is_one_of(text: ir.StringValue, words: Sequence[str]) -> ir.BooleanValue:
    """Return whether a text is, in lower case, one of many words; false for a null text.

    A pattern, because DuckDB turns a long list into a join with every line, even where a condition before it
    leaves hardly any. Most texts are longer than any of the words, and no text gets shorter in lower case.
    """
    pattern = rf"^(?:{'|'.join(map(re.escape, words))})\z"
    return ibis.ifelse(text.length() <= max(map(len, words)), text.lower().re_search(pattern), False)


def stripped(text: ir.StringValue) -> ir.StringValue:
    """Return a text without the blanks around it: engines are slow at that, so only where there may be one."""
    # What is stripped comes before "!", the first sign that is none.
    return ibis.ifelse((text < "!") | (text.right(1) < "!"), text.strip(), text)


def decimal_number(text: ir.StringValue, settings: Settings, to: str) -> ir.DecimalValue:
    """Parse a decimal number as people and shop systems write it; return null where the text is none.

    Thousands may be grouped: ``1,234.50``, or ``1.234,50`` with a decimal comma, ``1 234.50`` with a blank of
    any kind, ``1'234.50``, and ``12,34,567.00`` as in India. The shop's own currency may stand before or after:
    ``$12.50``, ``12,50 €``, ``EUR 12.50``; another one makes it no number. A negative number has a minus
    before or after it, or parentheses around it. Exponents are not accepted, nor are more digits before the
    separator than an amount can have.
    """
    text = text.translate(_WIDE, "0123456789,.-")
    group, mark = (",", r"\.") if settings.source.decimal_separator == "." else (r"\.", ",")
    signs = "|".join(re.escape(sign) for sign in (settings.currency, *_SIGNS.get(settings.currency, ())))
    blank, currency = f"{_BLANK}*", f"(?:(?:{signs}){_BLANK}*)?"
    between = f"(?:{group}|{_BLANK}|['\u2019])"
    whole = rf"\d{{1,14}}|\d{{1,3}}(?:{between}\d{{3}}){{1,4}}|\d{{1,2}}(?:{group}\d{{2}}){{1,4}}{group}\d{{3}}"
    body = rf"((?:{whole})(?:{mark}\d*)?|{mark}\d+)"
    number = (
        f"^{blank}{currency}([(]?){blank}([+{_MINUS}-]?){blank}{currency}{body}{blank}{currency}([+{_MINUS}-]?){blank}([)]?)"
        f"{blank}{currency}$"
    )
    opened, before, digits, after, closed = (text.re_extract(number, at) for at in range(1, 6))
    signed = opened.length() + before.length() + after.length()
    is_number = text.re_search(number) & (opened.length() == closed.length()) & (signed <= 1)
    ungrouped = digits.re_replace(f"[^0-9{mark}]", "").replace(",", ".")
    safe = ibis.ifelse(is_number.fill_null(False), ungrouped, ibis.literal("0"))
    # One digit fewer than the type holds, because rounding may carry into the next.
    most = 13 if to == MONEY else 11
    fits = safe.re_extract(r"^0*(\d*)", 1).length() <= most
    value = ibis.ifelse(fits, safe, ibis.literal("0")).cast(to)
    negative = (opened == "(") | before.isin(("-", _MINUS)) | after.isin(("-", _MINUS))
    return ibis.ifelse(is_number & fits, ibis.ifelse(negative, -value, value).cast(to), ibis.null(to))


def _plain_number(text: ir.StringValue, settings: Settings, to: str) -> ir.DecimalValue:
    # Not a plain cast: an engine may compute it for lines that the test leaves out.
    return (text if settings.source.decimal_separator == "." else text.replace(",", ".")).try_cast(to)
