"""Proposes a format for times that the configured one cannot read."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import product
from typing import Any

from cltv_assets.errors import SourceError
from cltv_assets.settings import Settings
from cltv_assets.settings.timestamp_format import TimestampPattern, compile_format

#: Fewer lines say little about their file.
FEW_LINES = 20
#: Values that a message quotes, and those that a format is tried on.
QUOTED, TRIED = 3, 1_000
_DAYS = [sep.join(order) for sep in "/-." for order in (("%d", "%m", "%Y"), ("%m", "%d", "%Y"))]
_DAYS += [day.replace("%Y", "%y") for day in _DAYS]
_DAYS += [
    "%Y/%m/%d",
    "%Y.%m.%d",
    "%d %b %Y",
    "%d-%b-%Y",
    "%d-%b-%y",
    "%b %d, %Y",
    "%b %d %Y",
    "%b-%d-%y",
    "%b-%d-%Y",
    "%d. %b %Y",
]
_DAYS += ["%a, %d %b %Y", "%d %b, %Y"]
_CLOCKS = ["%H:%M", "%H:%M:%S", "%H:%M:%S.%f", "%H:%M:%S %z", "%H.%M", "%I:%M %p", "%I:%M:%S %p", "%I:%M%p"]
_TIMES = ["", *(f"{space}{clock}" for space, clock in product((" ", ", ", "T"), _CLOCKS))]
_USUAL = ["iso", "epoch_s", "epoch_ms", "epoch_us", "excel_serial"]
_USUAL += ["".join(parts) for parts in product(_DAYS, _TIMES)]
#: Texts that show which of many formats reads most.
_FEW_TEXTS = 100
#: A number is taken for a time only if it means one that a shop may have.
_FIRST_YEAR, _LAST_YEAR = 1990, 2100
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")


def proposed_formats(texts: Sequence[str]) -> list[str]:
    """Return the usual values of ``source.timestamp_format`` that read all texts.

    More than one means that the texts do not tell, as where day and month could be swapped.
    """
    wanted = set(texts)
    return [fmt for fmt, pattern in _patterns() if wanted and all(_reads(pattern, text) for text in wanted)]


def time_read(fmt: str, text: str) -> dt.datetime | None:
    """Return the wall-clock time that a format reads in a text, None if it is no possible time."""
    return _reads(compile_format(fmt), text)


def formats_together(texts: Sequence[str]) -> list[str]:
    """Return usual formats that together read all texts, the one that reads most first; none if a text stays unread."""
    left, formats = list(dict.fromkeys(texts)), list[str]()
    while left:
        some = left[:_FEW_TEXTS]
        fmt, pattern = max(_patterns(), key=lambda one: sum(_reads(one[1], text) is not None for text in some))
        unread = [text for text in left if _reads(pattern, text) is None]
        if len(unread) == len(left):
            return []
        formats.append(fmt)
        left = unread
    return formats


def too_many(settings: Settings, lines: int, unreadable: int) -> bool:
    """Return whether so many of a file's lines have no readable time that its format must be another."""
    return lines >= FEW_LINES and unreadable > settings.checks.reject_share * lines


def unreadable_times(
    settings: Settings, path: str, lines: int, found: Unreadable, sampled: bool = False
) -> SourceError:
    """Return the error of a file whose times cannot be read.

    Parameters
    ----------
    settings : Settings
        Their format did not fit.
    path : str
        The file.
    lines : int
        Its lines that count and could be split into fields.
    found : Unreadable
        What was read of it.
    sampled : bool
        Whether these are its first lines only.
    """
    column = " ".join(settings.source.mapping["transacted_at"])
    given = settings.source.timestamp_format
    share = f"{found.lines / lines:.0%}" if found.lines < lines else "100%"
    counted = f"none of its {'first ' if sampled else ''}{lines:,} lines has"
    if found.lines < lines:
        counted = f"{found.lines:,} of its {'first ' if sampled else ''}{lines:,} lines ({share}) have no"
    values = ", ".join(f"line {line} holds {quoted(text)}" for line, text in found.examples)
    first = found.examples[0][0] if found.examples else 1
    return SourceError(
        f"{path}, column '{column}': {counted} {'a ' if found.lines == lines else ''}time that "
        f"source.timestamp_format '{' or '.join(given)}' can read; see line {first}.",
        _remedy(given, found),
        quoted=f"{values[:1].upper()}{values[1:]}.",
    )


class Unreadable:
    """Collects lines of a file without a readable time: how many, some of them, and what others hold."""

    def __init__(self) -> None:
        #: How many there are.
        self.lines = 0
        #: Number and text of the first.
        self.examples: list[tuple[int, str | None]] = []
        self.texts: dict[str, None] = {}
        #: Texts that can be read.
        self.readable: dict[str, None] = {}

    def add(self, lines: Any, months: Any) -> None:
        """Take lines that were split, as an Arrow table of ``raw_transactions``, with the month of each."""
        bad, good = lines.filter(months.is_null()), lines.filter(months.is_valid())
        self.lines += bad.num_rows
        missing = QUOTED - len(self.examples)
        first = bad.slice(0, missing)
        pairs = zip(first["source_line"].to_pylist(), first["transacted_at"].to_pylist(), strict=True)
        self.examples += list(pairs)
        for texts, part in ((self.texts, bad), (self.readable, good)):
            if len(texts) < TRIED:
                found = part["transacted_at"].slice(0, TRIED).to_pylist()
                texts.update(dict.fromkeys(text for text in found if text and text.strip()))


def _remedy(given: Sequence[str], found: Unreadable) -> str:
    texts, readable = list(found.texts), list(found.readable)
    if not texts:
        return "Set source.columns.transacted_at to the column that holds the time, or have it delivered."
    formats, kept = proposed_formats([*texts, *readable]), ""
    if not formats:
        # Lines that can be read already keep their format.
        formats, kept = proposed_formats(texts), ", ".join(f"'{fmt}'" for fmt in given) if readable else ""
    if not formats:
        return "Set source.timestamp_format to its pattern, for example '%d/%m/%Y %H:%M'."
    values = [f"[{kept}, '{fmt}']" if kept else f"'{fmt}'" for fmt in formats]
    if len(values) == 1:
        return f"Set source.timestamp_format: {values[0]}, which reads all of them."
    swapped = (
        ", with another day for some: day and month could be swapped, so ask who delivers the file"
        if _differ(formats, texts)
        else ""
    )
    return f"Set source.timestamp_format: {' or '.join(values)}. Each reads all of them{swapped}."


def _differ(formats: Sequence[str], texts: Sequence[str]) -> bool:
    patterns = [compile_format(fmt) for fmt in formats]
    return any(len({_reads(pattern, text) for pattern in patterns}) > 1 for text in texts)


@cache
def _patterns() -> list[tuple[str, TimestampPattern]]:
    return [(fmt, compile_format(fmt)) for fmt in _USUAL]


def _reads(pattern: TimestampPattern, text: str) -> dt.datetime | None:
    """Return the wall-clock time that a format reads in a text, None if it reads none."""
    matched = re.fullmatch(pattern.regex, text)
    if matched is None:
        return None
    parts = dict(_parts(pattern, matched))
    try:
        if pattern.origin is not None:
            of, to = pattern.seconds
            found = pattern.origin + dt.timedelta(seconds=float(f"{parts['whole']}.{parts['decimals'] or 0}") * of / to)
            return found if _FIRST_YEAR <= found.year <= _LAST_YEAR else None
        year = int(parts["%Y"] or 0) if "%Y" in parts else 2000 + int(parts["%y"] or 0)
        month = _MONTHS.index((parts["%b"] or "")[:3].lower()) + 1 if "%b" in parts else int(parts["%m"] or 0)
        hour = int(parts.get("%H") or 0)
        if "%I" in parts:
            hour = int(parts["%I"] or 0)
            if not 1 <= hour <= 12:
                return None
            hour = hour % 12 + (12 if (parts["%p"] or "").lower().startswith("p") else 0)
        minute, second = (int(parts.get(name) or 0) for name in ("%M", "%S"))
        return dt.datetime(year, month, int(parts["%d"] or 0), hour, minute, second)
    except (ValueError, OverflowError):
        return None


def _parts(pattern: TimestampPattern, matched: re.Match[str]) -> Iterator[tuple[str, str | None]]:
    for name, group in pattern.groups.items():
        yield name, matched.group(group)


def quoted(text: str | None) -> str:
    """Return a delivered text for a message."""
    if text is None:
        return "nothing"
    return repr(text if len(text) <= 80 else text[:80] + "…")
