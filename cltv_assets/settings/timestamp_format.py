"""Turns a time format of a source into one regular expression.

Engines differ in how they parse dates, but not in how they read a regular expression
with fixed groups. No engine is imported here, so that settings can be validated without one.
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass, field

#: The text that each directive matches. Widths follow strptime: a leading zero
#: may be missing except in the year. Names are English, in full or with three letters.
_DIRECTIVES = {
    "%Y": r"(\d{4})",
    "%y": r"(\d{2})",
    "%m": r"(\d{1,2})",
    "%b": r"([A-Za-z]{3,9})\.?",
    "%d": r"(\d{1,2})",
    "%H": r"(\d{1,2})",
    "%I": r"(\d{1,2})",
    "%M": r"(\d{1,2})",
    "%S": r"(\d{1,2})",
    "%f": r"(\d{1,6})",
    "%p": r"([AaPp]\.?[Mm]\.?)",
    "%z": r"(Z|UTC|GMT|[+-]\d{2}(?::?\d{2})?)",
}
#: Weekdays say nothing that the date does not.
_IGNORED = {"%a": r"[A-Za-z]{2,9}\.?", "%A": r"[A-Za-z]{2,9}\.?"}
_SAME = {"%B": "%b"}

#: ISO 8601 as shop systems write it: dashes, time and offset are
#: optional. Groups: year, month, day, hour, minute, second, fraction, offset.
_ISO = (
    r"(\d{4})-?(\d{2})-?(\d{2})"
    r"(?:[T ](\d{2}):?(\d{2})(?::?(\d{2})(?:[.,](\d{1,9}))?)?)?"
    r" ?(Z|UTC|[+-]\d{2}(?::?\d{2})?)?"
)

#: Units of a time that is a number since an origin: how many are a second, as a fraction.
_UNITS = {"epoch_s": (1, 1), "epoch_ms": (1, 1000), "epoch_us": (1, 1_000_000), "excel_serial": (86_400, 1)}
_EPOCH, _EXCEL = dt.datetime(1970, 1, 1), dt.datetime(1899, 12, 30)
#: More digits are no time of any of these units.
_NUMBER = r"^\s*(-?\d{1,14})(?:\.(\d+))?\s*$"
_MICROSECONDS = _NUMBER.replace("14", "17")

#: The words for a format, to suggest.
NUMBERS = ("epoch_s", "epoch_ms", "epoch_us", "excel_serial", "days_since YYYY-MM-DD")


@dataclass(frozen=True)
class TimestampPattern:
    """A time format as a regular expression.

    Parameters
    ----------
    regex : str
        Anchored expression in the dialect common to RE2 and Java.
    groups : dict of str to int
        The group number of each directive (``%Y``, ``%y``, …, ``%z``); of a number its whole and
        its decimal part, as ``whole`` and ``decimals``.
    origin : datetime, optional
        For numbers: what zero stands for.
    seconds : tuple of int
        For numbers: how many seconds a unit has, as a fraction.
    instant : bool
        For numbers: whether they count in UTC; else they are wall-clock time.
    """

    regex: str
    groups: dict[str, int] = field(default_factory=dict)
    origin: dt.datetime | None = None
    seconds: tuple[int, int] = (1, 1)
    instant: bool = False


def compile_format(fmt: str) -> TimestampPattern:
    """Turn ``'iso'``, the name of a number or a strptime pattern into a regular expression.

    Raises
    ------
    ValueError
        If a directive is unknown, or year, month or day is missing.
    """
    if fmt == "iso":
        names = ("%Y", "%m", "%d", "%H", "%M", "%S", "%f", "%z")
        return TimestampPattern(rf"^\s*{_ISO}\s*$", {name: i for i, name in enumerate(names, 1)})
    if (number := _number(fmt)) is not None:
        return number
    groups: dict[str, int] = {}
    parts: list[str] = []
    for token in re.findall(r"%-?.|[^%]+", fmt):
        directive = token.replace("-", "") if token.startswith("%") else ""
        directive = _SAME.get(directive, directive)
        if directive in _IGNORED:
            parts.append(_IGNORED[directive])
        elif directive:
            if directive not in _DIRECTIVES:
                known = " ".join([*_DIRECTIVES, *_SAME, *_IGNORED])
                raise ValueError(f"'{token}' is not supported; use {known}, or one of {', '.join(NUMBERS)}")
            if directive in groups:
                raise ValueError(f"'{token}' is in '{fmt}' twice")
            groups[directive] = len(groups) + 1
            parts.append(_DIRECTIVES[directive])
        else:
            parts.append(re.escape(token))
    if not ({"%Y", "%y"} & set(groups) and {"%m", "%b"} & set(groups) and "%d" in groups):
        raise ValueError(
            f"'{fmt}' needs a year, a month and a day, for example '%d/%m/%Y %H:%M', or is one of iso, "
            f"{', '.join(NUMBERS)}; a part that stands elsewhere, such as the year, can be added in source.query"
        )
    if ("%I" in groups) != ("%p" in groups):
        raise ValueError(f"'{fmt}' needs %I and %p together: the hour of a 12-hour clock, and AM or PM")
    return TimestampPattern(rf"^\s*{''.join(parts)}\s*$", groups)


def _number(fmt: str) -> TimestampPattern | None:
    groups = {"whole": 1, "decimals": 2}
    if fmt in _UNITS:
        epoch = fmt.startswith("epoch")
        regex = _MICROSECONDS if fmt == "epoch_us" else _NUMBER
        return TimestampPattern(regex, groups, _EPOCH if epoch else _EXCEL, _UNITS[fmt], instant=epoch)
    word, _, origin = fmt.partition(" ")
    if word != "days_since":
        return None
    try:
        day = dt.date.fromisoformat(origin)
    except ValueError:
        raise ValueError(f"'{fmt}' needs the day that is zero, for example 'days_since 1980-01-01'") from None
    return TimestampPattern(_NUMBER, groups, dt.datetime.combine(day, dt.time()), (86_400, 1))
