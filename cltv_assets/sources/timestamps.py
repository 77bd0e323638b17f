"""Turns delivered text into instants and local calendar days, the same on every engine.

Engines disagree on what text they accept as a time. So the text is matched by a
regular expression, its numbers are range-checked, and only a canonical spelling is
cast. Time-zone rules come from Python's zone data as a few literal bounds, so both
engines apply the same rules.
"""

from __future__ import annotations

import datetime as dt
from functools import cache
from zoneinfo import ZoneInfo

import ibis
import ibis.expr.types as ir

from cltv_assets.settings.timestamp_format import TimestampPattern, compile_format

_UTC = dt.UTC

#: Helper column of each directive. The names differ in more than case, because engines
#: ignore case.
_NAMES = {
    "%Y": "year",
    "%y": "short_year",
    "%m": "month",
    "%d": "day",
    "%H": "hour",
    "%M": "minute",
    "%S": "second",
    "%f": "fraction",
    "%z": "offset",
}

#: An ISO day, or one with a time in whole seconds, as in most deliveries: a cast reads it as
#: the rules here do. Only a day that its month does not have passes, and no engine casts it.
PLAIN_TIME = r"^[1-9]\d{3}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])([T ]([01]\d|2[0-3]):[0-5]\d:[0-5]\d)?\z"

#: Names of the columns that ``with_event_times`` adds.
LOCAL, UTC = "event_local", "event_utc"


def with_event_times(
    table: ir.Table, column: str, fmt: str, zone: ZoneInfo, first_year: int, last_year: int
) -> ir.Table:
    """Parse a column of delivered times.

    Text without an offset is wall-clock time in ``zone``. In the hour that occurs
    twice when clocks go back, it means the first occurrence; in an hour that clocks
    skip, it has the offset before the skip (as with Python's ``fold=0``).

    Parameters
    ----------
    table : ibis table
        Any table with the column.
    column : str
        Name of the text column.
    fmt : str
        ``'iso'`` or a strptime pattern, see ``timestamp_format``.
    zone : ZoneInfo
        Local time of text without an offset, and of the calendar days.
    first_year, last_year : int
        Years whose zone changes are applied exactly; outside them the nearest known
        offset is used.

    Returns
    -------
    ibis table
        The table with ``event_local`` (naive wall-clock time in ``zone``) and
        ``event_utc`` (the instant), both null where the text is no valid time.
    """
    given = table.columns
    pattern = compile_format(fmt)
    walled = _with_wall_clock(table, column, pattern)
    changes, last = _offsets(zone, first_year, last_year)
    as_local = _as_local(walled["_wall"], zone, first_year, last_year)
    if "%z" not in pattern.groups:
        return walled.select(*given, **{LOCAL: walled["_wall"], UTC: _instant(as_local)})
    offset = walled["_p_offset"].replace("Z", "+0000").replace(":", "")
    zoned = walled.mutate(_as_local=as_local, _offset=offset, _has_offset=offset.length() == 5)
    digits = ibis.ifelse(zoned["_has_offset"].fill_null(False), zoned["_offset"], ibis.literal("+0000"))
    zoned = zoned.mutate(_digits=digits)
    seconds = zoned["_digits"].substr(1, 2).cast("int64") * 3600 + zoned["_digits"].substr(3, 2).cast("int64") * 60
    signed = ibis.ifelse(zoned["_digits"].startswith("-"), -seconds, seconds)
    zoned = zoned.mutate(_from_offset=zoned["_wall"] - signed.as_interval("s"))
    shown = _shift(zoned["_from_offset"], [(u, o) for u, o, _ in changes], last, sign=1)
    has_offset = zoned["_has_offset"].fill_null(False)
    return zoned.select(
        *given,
        **{
            LOCAL: ibis.ifelse(has_offset, shown, zoned["_wall"]),
            UTC: _instant(ibis.ifelse(has_offset, zoned["_from_offset"], zoned["_as_local"])),
        },
    )


def with_plain_times(table: ir.Table, column: str, zone: ZoneInfo, first_year: int, last_year: int) -> ir.Table:
    """Do as `with_event_times` does with ``'iso'``, for a column whose texts match ``PLAIN_TIME``."""
    walled = table.mutate(_wall=table[column].try_cast("timestamp(6)"))
    instant = _instant(_as_local(walled["_wall"], zone, first_year, last_year))
    return walled.select(*table.columns, **{LOCAL: walled["_wall"], UTC: instant})


def _offsets(
    zone: ZoneInfo, first_year: int, last_year: int
) -> tuple[tuple[tuple[dt.datetime, dt.timedelta, dt.timedelta], ...], dt.timedelta]:
    """Return the zone's changes, and its offset after the last of them."""
    last = dt.datetime(last_year, 12, 31, tzinfo=zone).utcoffset() or dt.timedelta()
    return zone_changes(zone, first_year, last_year), last


def _as_local(wall: ir.TimestampValue, zone: ZoneInfo, first_year: int, last_year: int) -> ir.TimestampValue:
    """Return the naive UTC time of wall-clock time in the zone."""
    changes, last = _offsets(zone, first_year, last_year)
    return _shift(wall, [(u + max(o, n), o) for u, o, n in changes], last, sign=-1)


def _with_wall_clock(table: ir.Table, column: str, pattern: TimestampPattern) -> ir.Table:
    """Add ``_wall``, the written time without zone, null where it is not valid."""
    text = table[column]
    parts = {directive: text.re_extract(pattern.regex, group) for directive, group in pattern.groups.items()}
    matches = text.re_search(pattern.regex)
    table = table.mutate(
        _matches=matches.fill_null(False), **{f"_p_{_NAMES[name]}": value for name, value in parts.items()}
    )

    def part(directive: str, default: str) -> ir.StringValue:
        if directive not in pattern.groups:
            return ibis.literal(default)
        found = table[f"_p_{_NAMES[directive]}"]
        # Text that does not match becomes some valid number, because casts must never fail.
        return ibis.ifelse(table["_matches"] & (found.length() > 0), found, ibis.literal(default))

    year = part("%Y", "0001") if "%Y" in pattern.groups else ibis.literal("20").concat(part("%y", "01"))
    table = table.mutate(
        _year=year,
        **{f"_{_NAMES[name]}": part(name, "01").lpad(2, "0") for name in ("%m", "%d")},
        **{f"_{_NAMES[name]}": part(name, "00").lpad(2, "0") for name in ("%H", "%M", "%S")},
        _fraction=part("%f", "0").substr(0, 6).rpad(6, "0"),
    )
    day = table["_year"].concat("-", table["_month"], "-", table["_day"])
    time = table["_hour"].concat(":", table["_minute"], ":", table["_second"], ".", table["_fraction"])
    numbers = ("year", "month", "day", "hour", "minute", "second")
    table = table.mutate(_spelled=day.concat(" ", time), **{f"_n_{n}": table[f"_{n}"].cast("int64") for n in numbers})
    y, m, d = table["_n_year"], table["_n_month"], table["_n_day"]
    leap = ((y % 4 == 0) & (y % 100 != 0)) | (y % 400 == 0)
    last_day = ibis.cases(
        ((m == 2) & leap, ibis.literal(29, "int64")),
        (m == 2, ibis.literal(28, "int64")),
        (m.isin([4, 6, 9, 11]), ibis.literal(30, "int64")),
        else_=ibis.literal(31, "int64"),
    )
    # No engine's timestamps have a year 0 or leap seconds.
    valid = table["_matches"] & (y >= 1) & m.between(1, 12) & (d >= 1) & (d <= last_day)
    valid &= (table["_n_hour"] <= 23) & (table["_n_minute"] <= 59) & (table["_n_second"] <= 59)
    table = table.mutate(_valid=valid)
    # The guard is inside the cast, because an engine may evaluate both branches.
    safe = ibis.ifelse(table["_valid"], table["_spelled"], ibis.literal("1970-01-01 00:00:00.000000"))
    return table.mutate(_wall=ibis.ifelse(table["_valid"], safe.cast("timestamp(6)"), ibis.null("timestamp(6)")))


def _shift(
    value: ir.TimestampValue, bounds: list[tuple[dt.datetime, dt.timedelta]], last: dt.timedelta, sign: int
) -> ir.TimestampValue:
    """Add ``sign`` times the current offset: that of the first bound not yet reached, else ``last``."""

    def moved(offset: dt.timedelta) -> ir.TimestampValue:
        if not offset:
            return value
        return value + ibis.interval(seconds=sign * int(offset.total_seconds()))

    if not bounds:
        return moved(last)
    branches = [(value < ibis.literal(at, "timestamp(6)"), moved(offset)) for at, offset in bounds]
    return ibis.cases(*branches, else_=moved(last))


def _instant(naive_utc: ir.TimestampValue) -> ir.TimestampValue:
    # Every engine's session runs in UTC, so the cast adds no offset.
    return naive_utc.cast("timestamp('UTC', 6)")


@cache
def zone_changes(
    zone: ZoneInfo, first_year: int, last_year: int
) -> tuple[tuple[dt.datetime, dt.timedelta, dt.timedelta], ...]:
    """List a zone's offset changes.

    Returns
    -------
    tuple of (datetime, timedelta, timedelta)
        Naive UTC time of each change, the offset before and the offset after.
    """
    found = []
    at = dt.datetime(first_year, 1, 1, tzinfo=_UTC)
    end = dt.datetime(last_year, 12, 31, 23, tzinfo=_UTC)
    before = _offset(at, zone)
    while at < end:
        later = min(at + dt.timedelta(days=7), end)
        after = _offset(later, zone)
        if after != before:
            low, high = at, later
            while high - low > dt.timedelta(seconds=1):
                middle = (low + (high - low) / 2).replace(microsecond=0)
                low, high = (middle, high) if _offset(middle, zone) == before else (low, middle)
            found.append((high.replace(tzinfo=None), before, after))
            before = after
        at = later
    return tuple(found)


def _offset(at: dt.datetime, zone: ZoneInfo) -> dt.timedelta:
    return at.astimezone(zone).utcoffset() or dt.timedelta()
