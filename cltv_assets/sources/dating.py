"""Finds the month in which a line happened, as the cleaning step computes it."""

from __future__ import annotations

import datetime as dt
from functools import cache, partial

import duckdb
import ibis
import pyarrow as pa
import pyarrow.compute as pc

from cltv_assets.settings import Settings
from cltv_assets.sources.timestamps import LOCAL, PLAIN_TIME, Clock, with_event_times, with_plain_times


class Dater:
    """Finds the event months of delivered times.

    ``day`` is the current day in the configured zone. Times later than the next day are in the
    future; one day is allowed for clocks that run ahead.
    """

    def __init__(self, settings: Settings, day: dt.date) -> None:
        # Outside these years is only the future, or the time before the first month.
        years = settings.first_month.first_day.year - 1, settings.last_month(day).first_day.year + 1
        clock = Clock(settings.source.timestamp_format, settings.source_zone, settings.zone, *years)
        self._iso = clock.formats[0] == "iso" and clock.written == clock.zone
        self._last_day = day + dt.timedelta(days=1)
        self._query = partial(_dating_sql, clock, day)
        self._connection = duckdb.connect()

    def date(self, texts: pa.Array) -> tuple[pa.Array, pa.Array]:
        """Return each text's month, and whether it is in the future; null where it is not a valid time.

        A month is the number of months since year 0 (int32).
        """
        if isinstance(texts, pa.ChunkedArray):
            texts = texts.combine_chunks()
        plain = plain_times(texts) if self._iso else None
        if plain is not None:
            months = pc.subtract(pc.add(pc.multiply(pc.year(plain), 12), pc.month(plain)), 1)
            return months.cast(pa.int32()), pc.greater(plain.cast(pa.date32()), pa.scalar(self._last_day))
        # Times repeat, by the day or the minute, so parse each spelling once.
        encoded = texts.dictionary_encode()
        distinct = pa.table({"place": pa.array(range(len(encoded.dictionary)), pa.int64()), "text": encoded.dictionary})
        self._connection.register("texts", distinct)
        found = self._connection.sql(self._query()).to_arrow_table()
        self._connection.unregister("texts")
        months, in_future = (found[name].combine_chunks() for name in ("event_month", "in_future"))
        return months.take(encoded.indices), in_future.take(encoded.indices)

    def close(self) -> None:
        """Release the engine."""
        self._connection.close()


def plain_times(texts: pa.Array) -> pa.Array | None:
    """Read times in which every text is a plain ISO day or second; None if not all are."""
    lengths = pc.is_in(pc.binary_length(texts), pa.array([10, 19, None], pa.int32()))
    if not pc.all(lengths).as_py():
        return None
    try:
        times = texts.cast(pa.timestamp("s"))
    except pa.ArrowInvalid:
        return None
    # Arrow reads the year 0000, which no engine has.
    return times if pc.all(pc.greater_equal(pc.year(times), 1000)).as_py() is not False else None


@cache
def _dating_sql(clock: Clock, day: dt.date) -> str:
    """Return the query that dates the table ``texts``; building it takes a while."""
    texts = ibis.table({"place": "int64", "text": "string"}, name="texts")
    dated = with_event_times(texts, "text", clock)
    if clock.formats[0] == "iso":
        plain = texts.text.re_search(PLAIN_TIME).fill_null(False)
        odd = with_event_times(texts.filter(~plain), "text", clock)
        dated = with_plain_times(texts.filter(plain), "text", clock).union(odd)
    month = dated[LOCAL].year().cast("int32") * 12 + dated[LOCAL].month().cast("int32") - 1
    expression = dated.select(
        "place",
        event_month=month.cast("int32"),
        in_future=dated[LOCAL].date() > ibis.literal(day + dt.timedelta(days=1)),
    ).order_by("place")
    return str(ibis.to_sql(expression, dialect="duckdb"))
