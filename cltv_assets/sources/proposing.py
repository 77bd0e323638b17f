"""Proposes time formats for texts whose format nobody named."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence

from cltv_assets.settings.timestamp_format import compile_format

_DAYS = ("%d/%m/%Y", "%m/%d/%Y", "%d.%m.%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%d %b %Y", "%b %d, %Y", "%d-%b-%Y")
_SHORT = ("%d/%m/%y", "%m/%d/%y", "%d.%m.%y", "%d-%b-%y")
_TIMES = ("", " %H:%M", " %H:%M:%S", ", %H:%M", ", %H:%M:%S", " %I:%M %p", " %I:%M:%S %p", ", %I:%M:%S %p")
_ZONES = ("", " %z")
#: Between 2000 and 2050 in each unit.
_NUMBERS = {
    "epoch_s": (946_684_800, 2_524_608_000),
    "epoch_ms": (946_684_800_000, 2_524_608_000_000),
    "excel_serial": (36_526, 54_788),
}
_PATTERNS = {
    fmt: compile_format(fmt)
    for fmt in ("iso", *("".join(parts) for parts in itertools.product(_DAYS + _SHORT, _TIMES, _ZONES)))
}
_LIMITS = {"%m": 12, "%d": 31, "%H": 24, "%I": 12}


def reads(fmt: str, text: str) -> bool:
    """Return whether a format reads a text as a possible time."""
    if fmt in _NUMBERS:
        low, high = _NUMBERS[fmt]
        return re.fullmatch(r"\d{5,14}(\.\d+)?", text.strip()) is not None and low <= float(text) <= high
    pattern = _PATTERNS[fmt]
    found = re.match(pattern.regex, text)
    return found is not None and all(
        int(found[pattern.groups[name]] or 1) <= most for name, most in _LIMITS.items() if name in pattern.groups
    )


def proposed_formats(texts: Sequence[str]) -> list[str]:
    """Return formats that together read all texts, the one that reads most first; none if a text stays unread."""
    left, formats = list(dict.fromkeys(texts)), list[str]()
    while left:
        unread = {fmt: [text for text in left if not reads(fmt, text)] for fmt in (*_PATTERNS, *_NUMBERS)}
        best = min(unread, key=lambda fmt: len(unread[fmt]))
        if len(unread[best]) == len(left):
            return []
        formats.append(best)
        left = unread[best]
    return formats
