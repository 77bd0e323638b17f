"""Numbers and months in words: one spelling for the report and the UI.

A number that is not finite is written as Python writes it, so that the report's audit finds
it. It must not turn into something that looks right.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable

from cltv_assets.months import Month

_NBSP = "\N{NO-BREAK SPACE}"
_MINUS = "\N{MINUS SIGN}"
NOTHING = "\N{EN DASH}"

#: Amounts above this are written without cents.
WHOLE = 10_000.0


def count(number: float | None) -> str:
    """Return a whole number with thousands separated."""
    return NOTHING if number is None else _signed(f"{number:,.0f}")


def signed(number: float) -> str:
    """Return a whole number with its sign; 0 without one."""
    return _signed(f"{number:+,.0f}") if round(number) else "0"


def decimal(number: float | None, digits: int = 2) -> str:
    """Return a number with so many decimals."""
    return NOTHING if number is None else _signed(f"{number:,.{digits}f}")


def amount(number: float | None) -> str:
    """Return an amount of money without its currency: cents below ten thousand."""
    if number is None:
        return NOTHING
    return decimal(number, 0 if abs(number) >= WHOLE else 2)


def amounts(largest: float | None) -> Callable[[float | None], str]:
    """Return a function that writes a column's amounts, with cents in all or, by the largest, in none."""
    digits = 0 if largest is not None and abs(largest) >= WHOLE else 2
    return lambda number: decimal(number, digits)


def money(number: float | None, currency: str) -> str:
    """Return an amount with its currency, never broken over two lines."""
    return NOTHING if number is None else f"{currency}{_NBSP}{amount(number)}"


def percent(share: float | None, digits: int = 1) -> str:
    """Return a share as a percentage."""
    return NOTHING if share is None else _signed(f"{share:.{digits}%}")


def share(setting: float) -> str:
    """Return a configured share as a percentage, with the digits it was given."""
    return f"{100 * setting:.6g}%"


def change(share: float | None, digits: int = 1) -> str:
    """Return a relative change with its sign."""
    return NOTHING if share is None else _signed(f"{share:+.{digits}%}")


def significant(number: float | None, digits: int = 4) -> str:
    """Return an estimate: so many significant digits, thousands separated."""
    if number is None:
        return NOTHING
    if number != number or abs(number) >= 1e7 or (number and abs(number) < 1e-4):
        return _signed(f"{number:.{digits - 1}e}")
    return _signed(f"{number:,.{digits}g}") if abs(number) < 10**digits else _signed(f"{number:,.0f}")


def probability(value: float) -> str:
    """Return a probability that never rounds to certainty."""
    if 0 < value < 0.001:
        return "<\N{NO-BREAK SPACE}0.001"
    if 0.999 < value < 1:
        return ">\N{NO-BREAK SPACE}0.999"
    return f"{value:.3f}"


def month_name(month: Month) -> str:
    """Return ``June 1998``; English whatever the locale."""
    return f"{MONTHS[month.first_day.month - 1]}{_NBSP}{month.first_day.year}"


def moment(at: dt.datetime) -> str:
    """Return ``3 November 2026, 14:05``, in the zone that ``at`` is given in."""
    return f"{at.day} {MONTHS[at.month - 1]} {at.year}, {at:%H:%M}"


def short_month(month: Month) -> str:
    """Return ``Jun 1998``."""
    return f"{MONTHS[month.first_day.month - 1][:3]} {month.first_day.year}"


def day(month: Month) -> str:
    """Return the month's last day as ``30 June 1998``."""
    return f"{month.last_day.day}{_NBSP}{month_name(month)}"


def date(one: dt.date) -> str:
    """Return a day as ``7 June 1998``."""
    return f"{one.day}{_NBSP}{month_name(Month.of(one))}"


def months(number: int) -> str:
    """Return ``1 month``, ``12 months``."""
    return quantity(number, "month")


def quantity(number: float, noun: str, digits: int = 0) -> str:
    """Return a number and its noun, in the plural where it is not one."""
    shown = decimal(number, digits)
    return f"{shown}{_NBSP}{noun}{'' if shown == '1' else 's'}"


def too_many(bias: float | None, digits: int = 1) -> str:
    """Put a relative bias in words: predicted too much, too little, or right."""
    if bias is None:
        return "nothing happened to compare with"
    shown = percent(abs(bias), digits)
    if not float(shown.rstrip("%").replace(",", "") or 0):
        return "right to the first decimal"
    return f"{shown} too {'high' if bias > 0 else 'low'}"


def listing(words: Iterable[str]) -> str:
    """Return ``a, b and c``."""
    *first, last = words
    return f"{', '.join(first)} and {last}" if first else last


def sentence(text: str) -> str:
    """Return a reason as a sentence: capital first, one full stop last."""
    text = text.strip()
    return f"{text[:1].upper()}{text[1:].rstrip('.')}." if text else ""


def _signed(text: str) -> str:
    return text.replace("-", _MINUS)


MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)
