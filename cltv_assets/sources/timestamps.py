"""Turns delivered text into instants and local calendar days, the same on every engine.

Engines disagree on what text they accept as a time. So the text is matched by a
regular expression, its numbers are range-checked, and only a canonical spelling is
cast. Time-zone rules come from Python's zone data as a few literal bounds, so both
engines apply the same rules.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
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
    "%b": "month_name",
    "%d": "day",
    "%H": "hour",
    "%I": "half_day_hour",
    "%p": "half_day",
    "%M": "minute",
    "%S": "second",
    "%f": "fraction",
    "%z": "offset",
}

#: An ISO day, or one with a time in whole seconds, as in most deliveries: a cast reads it as
#: the rules here do. Only a day that its month does not have passes, and no engine casts it.
PLAIN_TIME = r"^[1-9]\d{3}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])([T ]([01]\d|2[0-3]):[0-5]\d:[0-5]\d)?\z"

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")

#: Names of the columns that ``with_event_times`` adds.
LOCAL, UTC = "event_local", "event_utc"


@dataclass(frozen=True)
class Clock:
    """What delivered times mean.

    Parameters
    ----------
    formats : tuple of str
        Tried in this order, see `settings.timestamp_format`.
    written : ZoneInfo
        Zone of text without an offset.
    zone : ZoneInfo
        Zone of the calendar days.
    first_year, last_year : int
        Years whose zone changes are applied exactly; outside them the nearest known
        offset is used.
    """

    formats: tuple[str, ...]
    written: ZoneInfo
    zone: ZoneInfo
    first_year: int
    last_year: int

    def to_utc(self, wall: ir.TimestampValue) -> ir.TimestampValue:
        """Return the naive UTC time of wall-clock time as it is written."""
        changes, last = self._offsets(self.written)
        return _shift(wall, [(u + max(o, n), o) for u, o, n in changes], last, sign=-1)

    def to_local(self, utc: ir.TimestampValue) -> ir.TimestampValue:
        """Return the wall-clock time in the zone of the calendar days."""
        changes, last = self._offsets(self.zone)
        return _shift(utc, [(u, o) for u, o, _ in changes], last, sign=1)

    def _offsets(
        self, zone: ZoneInfo
    ) -> tuple[tuple[tuple[dt.datetime, dt.timedelta, dt.timedelta], ...], dt.timedelta]:
        """Return a zone's changes, and its offset after the last of them."""
        last = dt.datetime(self.last_year, 12, 31, tzinfo=zone).utcoffset() or dt.timedelta()
        return zone_changes(zone, self.first_year, self.last_year), last


def with_event_times(table: ir.Table, column: str, clock: Clock) -> ir.Table:
    """Parse a column of delivered times.

    Text without an offset is wall-clock time in ``clock.written``. In the hour that occurs
    twice when clocks go back, it means the first occurrence; in an hour that clocks
    skip, it has the offset before the skip (as with Python's ``fold=0``).

    Parameters
    ----------
    table : ibis table
        Any table with the column.
    column : str
        Name of the text column.
    clock : Clock
        Formats and zones.

    Returns
    -------
    ibis table
        The table with ``event_local`` (naive wall-clock time in ``clock.zone``) and
        ``event_utc`` (the instant), both null where the text is no valid time.
    """
    given = table.columns
    found = []
    for at, fmt in enumerate(clock.formats):
        names = f"_local_{at}", f"_utc_{at}"
        table = _with_times(table, column, compile_format(fmt), clock, *names)
        found.append(names)
    local, utc = (ibis.coalesce(*(table[name] for name in names)) for names in zip(*found, strict=True))
    return table.select(*given, **{LOCAL: local, UTC: _instant(utc)})


def _with_times(
    table: ir.Table, column: str, pattern: TimestampPattern, clock: Clock, local: str, utc: str
) -> ir.Table:
    """Add wall-clock time and naive UTC time as one format reads them."""
    given = table.columns
    if pattern.origin is not None:
        walled = _with_number(table, column, pattern)
    else:
        walled = _with_wall_clock(table, column, pattern)
    wall = walled["_wall"]
    if pattern.instant:
        return walled.select(*given, **{local: clock.to_local(wall), utc: wall})
    walled = walled.mutate(_written_utc=clock.to_utc(wall))
    shown = wall if clock.written == clock.zone else clock.to_local(walled["_written_utc"])
    if "%z" not in pattern.groups:
        return walled.select(*given, **{local: shown, utc: walled["_written_utc"]})
    offset = walled["_p_offset"].re_replace("Z|UTC|GMT", "+0000").replace(":", "")
    offset = ibis.ifelse(offset.length() == 3, offset.concat("00"), offset)
    zoned = walled.mutate(_shown=shown, _offset=offset, _has_offset=(offset.length() == 5).fill_null(False))
    digits = ibis.ifelse(zoned["_has_offset"], zoned["_offset"], ibis.literal("+0000"))
    zoned = zoned.mutate(_digits=digits)
    seconds = zoned["_digits"].substr(1, 2).cast("int64") * 3600 + zoned["_digits"].substr(3, 2).cast("int64") * 60
    signed = ibis.ifelse(zoned["_digits"].startswith("-"), -seconds, seconds)
    zoned = zoned.mutate(_from_offset=zoned["_wall"] - signed.as_interval("s"))
    return zoned.select(
        *given,
        **{
            local: ibis.ifelse(zoned["_has_offset"], clock.to_local(zoned["_from_offset"]), zoned["_shown"]),
            utc: ibis.ifelse(zoned["_has_offset"], zoned["_from_offset"], zoned["_written_utc"]),
        },
    )


def with_plain_times(table: ir.Table, column: str, clock: Clock) -> ir.Table:
    """Do as `with_event_times` does with ``'iso'``, for a column whose texts match ``PLAIN_TIME``."""
    walled = table.mutate(_wall=table[column].try_cast("timestamp(6)"))
    walled = walled.mutate(_utc=clock.to_utc(walled["_wall"]))
    local = walled["_wall"] if clock.written == clock.zone else clock.to_local(walled["_utc"])
    return walled.select(*table.columns, **{LOCAL: local, UTC: _instant(walled["_utc"])})


def _with_number(table: ir.Table, column: str, pattern: TimestampPattern) -> ir.Table:
    """Add ``_wall``, the time that a number since an origin means, to the second; null where there is none."""
    assert pattern.origin is not None
    text = table[column]
    table = table.mutate(
        _matches=text.re_search(pattern.regex).fill_null(False),
        _whole=text.re_extract(pattern.regex, pattern.groups["whole"]),
        _decimals=text.re_extract(pattern.regex, pattern.groups["decimals"]),
    )
    whole = ibis.ifelse(table["_matches"], table["_whole"], ibis.literal("0")).cast("int64")
    decimals = ibis.ifelse(table["_matches"], table["_decimals"], ibis.literal("")).substr(0, 9).rpad(9, "0")
    of, to = pattern.seconds
    # Spreadsheets keep a second as a fraction of a day, so it is rounded.
    rest = (decimals.cast("int64").cast("float64") * of / 1e9 + 0.5).floor().cast("int64")
    seconds = (whole.cast("float64") / to).floor().cast("int64") if to > 1 else whole * of + rest
    table = table.mutate(_seconds=seconds)
    # Years 1 to 9999 are what engines have.
    first = int((dt.datetime(1, 1, 2) - pattern.origin).total_seconds())
    last = int((dt.datetime(9999, 12, 30) - pattern.origin).total_seconds())
    valid = table["_matches"] & table["_seconds"].between(first, last)
    safe = ibis.ifelse(valid, table["_seconds"], ibis.literal(0, "int64"))
    wall = ibis.literal(pattern.origin, "timestamp(6)") + safe.as_interval("s")
    return table.mutate(_wall=ibis.ifelse(valid, wall, ibis.null("timestamp(6)")))


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

    if "%b" in pattern.groups:
        # A name that is none becomes month 0, which is not valid.
        name = part("%b", "jan").lower().substr(0, 3)
        months = [(name == text, ibis.literal(f"{number:02}")) for number, text in enumerate(_MONTHS, 1)]
        table = table.mutate(_month=ibis.cases(*months, else_=ibis.literal("00")))
    else:
        table = table.mutate(_month=part("%m", "01").lpad(2, "0"))
    if "%I" in pattern.groups:
        hour = part("%I", "12").cast("int64")
        noon = ibis.ifelse(
            part("%p", "am").lower().startswith("p"), ibis.literal(12, "int64"), ibis.literal(0, "int64")
        )
        # No such hour becomes 99, which is not valid.
        clock = ibis.ifelse(hour.between(1, 12), hour % 12 + noon, ibis.literal(99, "int64"))
        table = table.mutate(_hour=clock.cast("string").lpad(2, "0"))
    else:
        table = table.mutate(_hour=part("%H", "00").lpad(2, "0"))
    year = part("%Y", "0001") if "%Y" in pattern.groups else ibis.literal("20").concat(part("%y", "01"))
    table = table.mutate(
        _year=year,
        _day=part("%d", "01").lpad(2, "0"),
        **{f"_{_NAMES[name]}": part(name, "00").lpad(2, "0") for name in ("%M", "%S")},
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
