"""Quantiles, tiers and whole numbers that are equal on every engine.

A global ``ntile`` puts all rows in one Spark partition, and Ibis turns an exact
percentile into an approximate one on Spark. So the engine counts values (a small
table), the quantiles are computed from the counts here and passed back as literals.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa

#: Significant digits that money keeps when it is binned: bins at most 0.1 % wide.
_DIGITS = 4


def money_bin(minor: ir.IntegerValue) -> ir.IntegerValue:
    """Cut a non-negative amount in minor units to four significant digits.

    Only integer arithmetic is used, because bin edges computed from logarithms would
    differ in the last bit between engines.
    """
    scale = ibis.cases(
        *[(minor < 10 ** (_DIGITS + n), ibis.literal(10**n, "int64")) for n in range(15)],
        else_=ibis.literal(10**15, "int64"),
    )
    return (minor - minor % scale).cast("int64")


def money_bin_end(floor: int) -> int:
    """Return the largest amount, in minor units, of the bin for which `money_bin` returns ``floor``."""
    width: int = 10 ** max(len(str(floor)) - _DIGITS, 0)
    return floor + width - 1


def value_counts(table: ir.Table, value: ir.Value) -> ir.Table:
    """Count distinct values: columns ``value`` and ``n``."""
    return table.select(value=value).group_by("value").aggregate(n=ibis._.count())


def binned_money_counts(table: ir.Table, amount: ir.Value) -> ir.Table:
    """Count money by bin: columns ``value`` (the bin's largest amount) and ``n``."""
    rows = table.select(amount=amount)
    # With eighteen digits DuckDB multiplies in 64 bits and overflows from ten thousand million on.
    minor = (rows.amount.cast("decimal(19, 4)") * 10_000).cast("int64")
    return rows.group_by(bin=money_bin(minor)).aggregate(value=rows.amount.max(), n=rows.count()).drop("bin")


def quantiles(counts: pa.Table, probabilities: Sequence[float]) -> list[Any]:
    """Compute quantiles from a table of ``value`` and ``n``.

    Parameters
    ----------
    counts : pyarrow.Table
        Columns ``value`` and ``n``, in any order of rows.
    probabilities : sequence of float
        Rising, within (0, 1).

    Returns
    -------
    list
        For each probability the smallest value that at least that share of the
        rows does not exceed; empty where there are no rows.
    """
    known = counts.filter(counts["value"].is_valid()).sort_by("value")
    if not len(known):
        return []
    upto = np.cumsum(known["n"].to_numpy())
    # The margin makes 0.2 of five rows one row, however the product is rounded.
    at = np.searchsorted(upto, np.asarray(probabilities) * upto[-1] - 1e-9)
    return [known["value"][int(place)].as_py() for place in at]


def tier(value: ir.Value, thresholds: Sequence[Any]) -> ir.IntegerValue:
    """Return 1 plus the number of ``thresholds`` that ``value`` exceeds."""
    above = [ibis.ifelse(value > threshold, 1, 0) for threshold in thresholds]
    score = ibis.literal(1)
    for one in above:
        score = score + one
    return score.cast("int32")


#: Fixed points of sums: money has four decimals everywhere, purchases have six.
MONEY_POINT, PURCHASES_POINT = 10_000, 1_000_000


#: The largest whole number of `fixed_point`: 64 bits hold no more. It is nine hundred million million of money.
_MOST = 9e18


def fixed_point(value: ir.Value, point: int | ir.Value) -> ir.IntegerValue:
    """Round a number to multiples of 1 / ``point``, as an integer of them cut at `_MOST`; `decimal_sum` has no end."""
    return (value * point + 0.5).clip(-_MOST, _MOST).floor().cast("int64")


def decimal_sum(value: ir.Value, decimals: int = 4) -> ir.DecimalScalar:
    """Sum numbers rounded to ``decimals``, exactly and whatever their order and size."""
    return value.cast(f"decimal(38, {decimals})").sum()


def exact_sum(value: ir.Value, decimals: int = 4) -> ir.FloatingScalar:
    """Return `decimal_sum` as a float."""
    return decimal_sum(value, decimals).cast("float64")
