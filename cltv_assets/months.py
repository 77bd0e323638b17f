"""Calendar months, without Dagster.

Partitions, windows, snapshots and horizons are all counted in months. The bounds are
local calendar dates; ``sources.timestamps`` turns them into instants in the configured
time zone.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import total_ordering

#: Days in each time unit. A week is any seven days, whatever day it starts on.
DAYS_PER_UNIT = {"day": 1, "week": 7}

_KEY = re.compile(r"(\d{4})-(0[1-9]|1[0-2])")


@dataclass(frozen=True)
class Span:
    """Days that follow each other, where no month is meant: those of a sample."""

    first_day: dt.date
    last_day: dt.date


@total_ordering
@dataclass(frozen=True)
class Month:
    """One calendar month.

    Parameters
    ----------
    first_day : datetime.date
        The first of the month: the value of every table's ``month`` column.
    """

    first_day: dt.date

    def __post_init__(self) -> None:
        if self.first_day.day != 1:
            raise ValueError(f"a month is named by its first day, not by {self.first_day}")

    @classmethod
    def parse(cls, key: str) -> Month:
        """Read ``YYYY-MM``, as partition keys and command options write it.

        Raises
        ------
        ValueError
            If ``key`` has another form.
        """
        match = _KEY.fullmatch(key)
        if match is None:
            raise ValueError(f"'{key}' is not a month; write it as YYYY-MM, for example 1997-06")
        return cls(dt.date(int(match[1]), int(match[2]), 1))

    @classmethod
    def of(cls, day: dt.date) -> Month:
        """Return the month that contains ``day``."""
        return cls(dt.date(day.year, day.month, 1))

    @property
    def key(self) -> str:
        """``YYYY-MM``."""
        return f"{self.first_day:%Y-%m}"

    @property
    def last_day(self) -> dt.date:
        """The last calendar day: the observation end of this month's snapshot."""
        return self.shift(1).first_day - dt.timedelta(days=1)

    def shift(self, months: int) -> Month:
        """Return the month ``months`` later (earlier if negative)."""
        index = self.first_day.year * 12 + self.first_day.month - 1 + months
        return Month(dt.date(index // 12, index % 12 + 1, 1))

    def until(self, last: Month) -> Iterator[Month]:
        """Yield this month and those after it, up to and including ``last``."""
        month = self
        while month <= last:
            yield month
            month = month.shift(1)

    def days_to_end_of(self, months_ahead: int) -> int:
        """Days from this month's end to the end of the month ``months_ahead`` later."""
        return (self.shift(months_ahead).last_day - self.last_day).days

    def __lt__(self, other: Month) -> bool:
        return self.first_day < other.first_day

    def __str__(self) -> str:
        return self.key
