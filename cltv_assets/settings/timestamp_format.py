"""Turns the time format of a source into one regular expression.

Engines differ in how they parse dates, but not in how they read a regular expression
with fixed groups. No engine is imported here, so that settings can be validated without one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

#: The digits that each directive matches. Widths follow strptime: a leading zero
#: may be missing except in the year.
_DIRECTIVES = {
    "%Y": r"(\d{4})",
    "%y": r"(\d{2})",
    "%m": r"(\d{1,2})",
    "%d": r"(\d{1,2})",
    "%H": r"(\d{1,2})",
    "%M": r"(\d{1,2})",
    "%S": r"(\d{1,2})",
    "%f": r"(\d{1,6})",
}

#: ISO 8601 as shop systems write it: dashes, time and offset are
#: optional. Groups: year, month, day, hour, minute, second, fraction, offset.
_ISO = (
    r"(\d{4})-?(\d{2})-?(\d{2})"
    r"(?:[T ](\d{2}):?(\d{2})(?::?(\d{2})(?:[.,](\d{1,9}))?)?)?"
    r" ?(Z|[+-]\d{2}:?\d{2})?"
)


@dataclass(frozen=True)
class TimestampPattern:
    """A time format as a regular expression.

    Parameters
    ----------
    regex : str
        Anchored expression in the dialect common to RE2 and Java.
    groups : dict of str to int
        The group number of each directive (``%Y``, ``%y``, …, ``%z``).
    """

    regex: str
    groups: dict[str, int]


def compile_format(fmt: str) -> TimestampPattern:
    """Turn ``'iso'`` or a strptime pattern into a regular expression.

    Raises
    ------
    ValueError
        If a directive is unknown or year, month or day is missing.
    """
    if fmt == "iso":
        names = ("%Y", "%m", "%d", "%H", "%M", "%S", "%f", "%z")
        return TimestampPattern(rf"^\s*{_ISO}\s*$", {name: i for i, name in enumerate(names, 1)})
    groups: dict[str, int] = {}
    parts: list[str] = []
    for token in re.findall(r"%.|[^%]+", fmt):
        if token.startswith("%"):
            if token not in _DIRECTIVES:
                raise ValueError(f"'{token}' is not supported; use {' '.join(_DIRECTIVES)}")
            if token in groups:
                raise ValueError(f"'{token}' is in '{fmt}' twice")
            groups[token] = len(groups) + 1
            parts.append(_DIRECTIVES[token])
        else:
            parts.append(re.escape(token))
    if not ({"%Y", "%y"} & set(groups) and {"%m", "%d"} <= set(groups)):
        raise ValueError(f"'{fmt}' needs a year, a month and a day, for example '%d/%m/%Y %H:%M'")
    return TimestampPattern(rf"^\s*{''.join(parts)}\s*$", groups)
