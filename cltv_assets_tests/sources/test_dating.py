"""A batch of plain times is dated by a cast, any other by the rules for all spellings: both must agree."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from contextlib import closing

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cltv_assets.settings import Settings
from cltv_assets.sources.dating import Dater, plain_times

_DAY = dt.date(2011, 6, 15)
#: Nothing that a cast reads, so its company goes by the rules.
_ODD = "15 June 2011"

_DIGITS = st.from_regex(r"\A[0-3]\d{3}-[01]\d-[0-3]\d([T ][0-2]\d:[0-6]\d:[0-6]\d)?\Z")
_NEAR = st.sampled_from(
    [
        "2011-02-29",
        "2012-02-29",
        "2011-06-31",
        "0000-01-01",
        "0999-12-31",
        "2011-06-16",
        "2011-06-17 00:00:00",
        "2011-06-01 24:00:00",
        "2011-06-01t10:00:00",
        "2011-06-01T10:00:0Z",
        "+011-06-01",
        " 2011-06-01 10:00:0",
        "2011-06-01T10:00+01",
        "20110601T1",
        "2011-06-01 10:00.00",
    ]
)


@pytest.fixture(scope="module")
def dater() -> Iterator[Dater]:
    settings = Settings.model_validate({"start_month": "2011-01", "time_zone": "Europe/London"})
    with closing(Dater(settings, _DAY)) as found:
        # Building the rules takes a while.
        found.date(pa.array([_ODD]))
        yield found


@settings(deadline=None)  # Of the examples' time, which a busy machine makes long.
@given(texts=st.lists(_DIGITS | _NEAR | st.none(), min_size=1, max_size=40))
def test_both_ways_agree(dater: Dater, texts: list[str | None]) -> None:
    plain = [text for text in texts if plain_times(pa.array([text], pa.string())) is not None]
    by_cast = dater.date(pa.array(plain, pa.string()))
    by_rules = dater.date(pa.array([*plain, _ODD], pa.string()))
    assert [found.to_pylist() for found in by_cast] == [found.to_pylist()[:-1] for found in by_rules]


def test_plain_times_take_the_short_way() -> None:
    assert plain_times(pa.array(["2011-06-01", None, "2011-06-01T10:00:00", "2011-06-01 23:59:59"])) is not None
    assert plain_times(pa.array(["2011-06-01", _ODD])) is None
