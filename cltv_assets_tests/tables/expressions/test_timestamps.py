"""Delivered text to times, against Python's own datetime and zone rules."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pyarrow as pa
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from cltv_assets.engines import Engine
from cltv_assets.sources.timestamps import LOCAL, UTC, Clock, with_event_times, zone_changes

ZONES = ["UTC", "Europe/London", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Pacific/Apia"]


def parse(
    engine: Engine,
    texts: list[str | None],
    fmt: str | tuple[str, ...] = "iso",
    zone: str = "UTC",
    years: tuple[int, int] = (2009, 2013),
    written: str | None = None,
) -> list[tuple[dt.datetime | None, dt.datetime | None]]:
    table = engine.from_arrow(pa.table({"n": range(len(texts)), "text": pa.array(texts, pa.string())}))
    formats = (fmt,) if isinstance(fmt, str) else fmt
    times = with_event_times(table, "text", Clock(formats, ZoneInfo(written or zone), ZoneInfo(zone), *years))
    rows = engine.collect(times.order_by("n")).to_pylist()
    engine.release()
    return [(row[LOCAL], row[UTC]) for row in rows]


@pytest.mark.parametrize("zone", ZONES)
def test_wall_clock_times_become_the_instants_that_python_gives(shared_engine, zone):
    rules = ZoneInfo(zone)
    start = dt.datetime(2010, 12, 20)
    walls = [start + dt.timedelta(minutes=30 * n) for n in range(48 * 400)]
    found = parse(shared_engine, [f"{wall:%Y-%m-%d %H:%M:%S}" for wall in walls], zone=zone)
    for wall, (local, utc) in zip(walls, found, strict=True):
        assert local == wall
        assert utc == wall.replace(tzinfo=rules, fold=0).astimezone(dt.UTC), wall


@pytest.mark.parametrize("zone", ZONES)
def test_times_with_an_offset_become_local_times_that_python_gives(shared_engine, zone):
    start = dt.datetime(2010, 12, 20, tzinfo=dt.UTC)
    instants = [start + dt.timedelta(minutes=30 * n) for n in range(48 * 400)]
    found = parse(shared_engine, [instant.isoformat() for instant in instants], zone=zone)
    for instant, (local, utc) in zip(instants, found, strict=True):
        assert utc == instant
        assert local == instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None), instant


#: A time of the calendar, and an offset in quarters of an hour.
MOMENT = st.tuples(st.datetimes(dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31)), st.integers(-14 * 4, 14 * 4))


# Few and long examples: each costs a query, however long it is.
@settings(max_examples=5, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(moments=st.lists(MOMENT, min_size=30, max_size=80))
def test_any_instant_of_the_calendar_is_read_back(shared_engine, moments):
    texts = [
        when.replace(tzinfo=dt.timezone(dt.timedelta(minutes=15 * offset))).isoformat() for when, offset in moments
    ]
    walls = [when.isoformat(sep=" ") for when, _ in moments]
    found = parse(shared_engine, texts + walls)
    for (when, _), text, (_, utc), (local, _) in zip(
        moments, texts, found[: len(texts)], found[len(texts) :], strict=True
    ):
        assert local == when
        try:
            expected = dt.datetime.fromisoformat(text).astimezone(dt.UTC)
        except OverflowError:
            continue
        assert utc == expected


def test_what_is_no_time_is_null(shared_engine):
    texts = [
        "", "x", "2011", "2011-02-29", "2011-13-01", "2011-00-10", "2011-04-31", "2011-01-00", "0000-01-01",
        "2011-01-01 24:00", "2011-01-01 10:60", "2011-01-01 10:00:60", "2011-01-01 10", "2011-1-1", "11-01-2011",
        "2011-01-01 10:00 PM", "2011-01-01T10:00:00+0", "1.7", "2011-02-2९", None,
    ]  # fmt: skip
    read = dict(zip(texts, parse(shared_engine, texts), strict=True))
    assert {text: times for text, times in read.items() if times != (None, None)} == {}


@pytest.mark.parametrize(
    ("fmt", "text"),
    [
        ("%d/%m/%Y %H:%M", "31/12/2011 23:59"),
        ("%d/%m/%Y %H:%M", "1/2/2011 3:04"),
        ("%m/%d/%Y", "12/31/2011"),
        ("%d.%m.%y", "29.02.12"),
        ("%Y%m%d%H%M%S", "20110203040506"),
        ("[%Y-%m-%d] %H.%M.%S,%f", "[2011-02-03] 04.05.06,789"),
    ],
)
def test_configured_formats_read_like_strptime(shared_engine, fmt, text):
    assert parse(shared_engine, [text], fmt)[0][0] == dt.datetime.strptime(text, fmt)


def test_a_configured_format_takes_nothing_else(shared_engine):
    texts = ["31/12/2011", "2011-12-31 23:59", "31-12-2011 23:59", "31/13/2011 23:59"]
    assert parse(shared_engine, texts, "%d/%m/%Y %H:%M") == [(None, None)] * len(texts)


def test_zone_changes_are_those_of_the_tz_database():
    changes = zone_changes(ZoneInfo("Europe/London"), 2010, 2011)
    assert [(at, after - before) for at, before, after in changes] == [
        (dt.datetime(2010, 3, 28, 1), dt.timedelta(hours=1)),
        (dt.datetime(2010, 10, 31, 1), dt.timedelta(hours=-1)),
        (dt.datetime(2011, 3, 27, 1), dt.timedelta(hours=1)),
        (dt.datetime(2011, 10, 30, 1), dt.timedelta(hours=-1)),
    ]


#: A format, a text, and the wall-clock time that it means; None where it is none.
OTHER_FORMATS = [
    ("%m/%d/%Y %I:%M:%S %p", "01/02/2011 1:05:09 PM", dt.datetime(2011, 1, 2, 13, 5, 9)),
    ("%m/%d/%Y %I:%M:%S %p", "01/02/2011 12:05:09 a.m.", dt.datetime(2011, 1, 2, 0, 5, 9)),
    ("%m/%d/%Y %I:%M:%S %p", "01/02/2011 13:05:09 PM", None),
    ("%d-%b-%y", "04-May-11", dt.datetime(2011, 5, 4)),
    ("%A, %d. %B %Y", "Tuesday, 4. december 2011", dt.datetime(2011, 12, 4)),
    ("%d-%b-%y", "04-Mai-11", None),
    ("%-d.%-m.%Y", "4.5.2011", dt.datetime(2011, 5, 4)),
    ("%d.%m.%Y %H:%M:%S %z", "01.01.2011 10:21:38 +0100", dt.datetime(2011, 1, 1, 9, 21, 38)),
    ("iso", "2011-01-01 10:21:38+01", dt.datetime(2011, 1, 1, 9, 21, 38)),
    ("iso", "2011-01-01 10:21:38 UTC", dt.datetime(2011, 1, 1, 10, 21, 38)),
    ("epoch_s", "1293877298", dt.datetime(2011, 1, 1, 10, 21, 38)),
    ("epoch_s", "1293877298.0", dt.datetime(2011, 1, 1, 10, 21, 38)),
    ("epoch_s", "-1", dt.datetime(1969, 12, 31, 23, 59, 59)),
    ("epoch_ms", "1293877298999", dt.datetime(2011, 1, 1, 10, 21, 38)),
    ("epoch_ms", "12938772989991234567", None),
    ("epoch_us", "1293877298999999", dt.datetime(2011, 1, 1, 10, 21, 38)),
    ("epoch_us", "12938772989991234567", None),
    ("excel_serial", "40544.431690", dt.datetime(2011, 1, 1, 10, 21, 38)),
    ("excel_serial", "40544", dt.datetime(2011, 1, 1)),
    ("excel_serial", "1e5", None),
    ("days_since 2010-12-25", "7", dt.datetime(2011, 1, 1)),
    ("days_since 2010-12-25", "99999999", None),
]


@pytest.mark.parametrize("fmt", sorted({fmt for fmt, *_ in OTHER_FORMATS}))
def test_clocks_with_twelve_hours_names_offsets_and_numbers(shared_engine, fmt):
    wanted = [(text, time) for of, text, time in OTHER_FORMATS if of == fmt]
    found = parse(shared_engine, [text for text, _ in wanted], fmt)
    for (text, time), (local, utc) in zip(wanted, found, strict=True):
        assert local == time, text
        assert utc == (None if time is None else time.replace(tzinfo=dt.UTC)), text


def test_the_first_format_that_reads_a_time_counts(shared_engine):
    formats = ("iso", "%d/%m/%Y", "%m/%d/%Y", "epoch_s")
    found = parse(shared_engine, ["2011-02-01", "01/02/2011", "02/28/2011", "1293877298", "28.02.2011", None], formats)
    days = [None if local is None else local.date() for local, _ in found]
    assert days == [dt.date(2011, 2, 1), dt.date(2011, 2, 1), dt.date(2011, 2, 28), dt.date(2011, 1, 1), None, None]


@pytest.mark.parametrize("fmt", ["iso", "%Y-%m-%d %H:%M:%S"])
@pytest.mark.parametrize(("written", "zone"), [("UTC", "America/New_York"), ("Asia/Kolkata", "Europe/London")])
def test_the_zone_of_the_source_is_not_that_of_the_days(shared_engine, fmt, written, zone):
    start = dt.datetime(2010, 12, 20)
    walls = [start + dt.timedelta(minutes=30 * n) for n in range(48 * 400)]
    found = parse(shared_engine, [f"{wall:%Y-%m-%d %H:%M:%S}" for wall in walls], fmt, zone, written=written)
    for wall, (local, utc) in zip(walls, found, strict=True):
        instant = wall.replace(tzinfo=ZoneInfo(written), fold=0).astimezone(dt.UTC)
        assert utc == instant, wall
        assert local == instant.astimezone(ZoneInfo(zone)).replace(tzinfo=None), wall
