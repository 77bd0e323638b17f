"""Counting customers by bin, so that one month's distribution can stand beside another's.

Bins are cut at the deciles of the earlier month, on whole numbers: equal ones stay
together, so that a column with few distinct values has fewer bins.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cltv_assets.settings import Settings
from cltv_assets.transforms.customers import DAYS_PER_UNIT
from cltv_assets.transforms.quantiles import money_bin, money_bin_end

#: P(alive) is compared in steps of a twentieth. Where nobody seems to leave, its deciles lie
#: between 0.999 and 1, and the index jumped to 4 on Online Retail while nothing happened.
_P_ALIVE_STEPS = 20
_MINOR = 10_000


@dataclass(frozen=True)
class Watched:
    """A column whose distribution is compared from month to month.

    Parameters
    ----------
    name : str
    whole : callable
        From the table to the column as whole numbers.
    money : bool
        Whether these are minor units, of which four digits are enough for a decile.
    repeat_only : bool
        Whether customers without a repeat purchase are left out.
    """

    name: str
    whole: Callable[[ir.Table], ir.IntegerValue]
    money: bool = False
    repeat_only: bool = False

    def counted(self, table: ir.Table) -> ir.BooleanValue:
        """Return which customers count."""
        return table.frequency > 0 if self.repeat_only else ibis.literal(True)

    def decile_value(self, table: ir.Table) -> ir.IntegerValue:
        """Return what deciles are read off: few distinct values."""
        whole = self.whole(table)
        return money_bin(whole) if self.money else whole

    def edge(self, decile: int) -> int:
        """Return the largest whole number up to a decile."""
        return money_bin_end(decile) if self.money else decile


def _whole(values: ir.FloatingValue, steps: float) -> ir.IntegerValue:
    return (values * steps + 0.5).floor().cast("int64")


def watched_in_rfm(settings: Settings) -> tuple[Watched, ...]:
    """Return what is compared of ``rfm_summary``: every customer's."""
    days = float(DAYS_PER_UNIT[settings.time_unit])
    return (
        Watched("frequency", lambda table: table.frequency),
        Watched("recency", lambda table: _whole(table.recency, days)),
        Watched("monetary_value", lambda table: _whole(table.monetary_value, _MINOR), money=True),
    )


def watched_in_predictions(settings: Settings) -> tuple[Watched, ...]:
    """Return what is compared of ``cltv_predictions``: repeat customers'.

    Customers with one purchase differ in nothing but their age. Their values lie
    close together and move together: by 3 % in a month of CDNOW, and the index of
    all customers was 0.15 to 1.4 in each of its months.
    """
    value = f"cltv_{settings.horizons_months[-1]}m"
    return (
        Watched("p_alive", lambda table: _whole(table.p_alive, _P_ALIVE_STEPS), repeat_only=True),
        Watched(value, lambda table: _whole(table[value], _MINOR), money=True, repeat_only=True),
    )


def value_counts(table: ir.Table, watched: Sequence[Watched]) -> ir.Table:
    """Count customers by watched column and value, in one pass: ``column, value, n``."""
    rows = [
        ibis.struct(
            {
                "column": ibis.literal(number),
                "value": ibis.ifelse(one.counted(table), one.decile_value(table), ibis.null("int64")),
            }
        )
        for number, one in enumerate(watched)
    ]
    long = table.select(row=ibis.array(rows).unnest()).unpack("row")
    long = long.filter(long["value"].notnull())
    return long.group_by("column", "value").aggregate(n=long.count())


@dataclass(frozen=True)
class Bins:
    """A column's bins and how many customers of the earlier month lay in each.

    Parameters
    ----------
    watched : Watched
    edges : tuple of int
        Rising largest whole numbers of all bins but the last; none without customers.
    before : tuple of int
        Customers of the earlier month in each bin, one more than edges.
    """

    watched: Watched
    edges: tuple[int, ...]
    before: tuple[int, ...]

    def counts_up_to(self, table: ir.Table) -> list[ir.IntegerScalar]:
        """Return the customers of ``table`` up to each bin's end, running totals, as aggregates."""
        value, counted = self.watched.whole(table), self.watched.counted(table)
        return [*(table.count(where=counted & (value <= edge)) for edge in self.edges), table.count(where=counted)]


def bins_at_deciles(counts: pa.Table, watched: Sequence[Watched]) -> list[Bins]:
    """Cut each column at the deciles of the month that was counted by `value_counts`."""
    found = []
    for number, one in enumerate(watched):
        rows = counts.filter(pc.equal(counts["column"], number)).sort_by("value")
        values, n = rows["value"].to_numpy(), rows["n"].to_numpy()
        upto = np.cumsum(n)
        total = int(upto[-1]) if len(upto) else 0
        # The smallest value that at least a tenth, two tenths, ... of customers do not exceed;
        # in whole numbers, so that a tenth of ten is one. One that is the largest value of all
        # would leave an empty bin above it.
        at = np.searchsorted(upto * 10, total * np.arange(1, 10))
        deciles = np.unique(values[at[at < len(values) - 1]])
        last = np.searchsorted(values, deciles, side="right") - 1
        before = np.diff(np.concatenate(([0], upto[last], [total])))
        edges = tuple(one.edge(int(decile)) for decile in deciles)
        found.append(Bins(one, edges, tuple(int(customers) for customers in before)))
    return found
