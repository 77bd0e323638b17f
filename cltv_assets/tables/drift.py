"""Tells whether customers are distributed about as they were a month ago.

Bins are cut at the earlier month's deciles, on whole numbers. Equal values stay
together, so a column with few distinct values has fewer bins.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import ibis
import ibis.expr.types as ir
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from cltv_assets.columns import TableSchema
from cltv_assets.models.measures import population_stability_index, stability_by_chance
from cltv_assets.settings import Settings
from cltv_assets.tables.check import Check, Values, Verdict
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.quantiles import money_bin, money_bin_end

#: Message of a check that compares with the month before when there is no such month.
NO_MONTH = "No month to compare with."


#: Months of history that a month and the one before must have. In the first months of
#: history every distribution shifts.
_ENOUGH_HISTORY = 3


@dataclass(frozen=True)
class Watched:
    """A column whose distribution is compared from month to month.

    Parameters
    ----------
    name : str
        What the column is called in messages.
    whole : callable
        From the table to the column as whole numbers.
    money : bool
        Whether these are minor units; four digits of them are enough for a decile.
    repeat_only : bool
        Whether customers without a repeat purchase are left out.
    """

    name: str
    whole: Callable[[ir.Table], ir.IntegerValue]
    money: bool = False
    repeat_only: bool = False

    def counted(self, table: ir.Table) -> ir.BooleanValue:
        """Return whether each customer is counted; those of whom the column says nothing are not."""
        known = self.whole(table).notnull()
        return known & (table.frequency > 0) if self.repeat_only else known

    def decile_value(self, table: ir.Table) -> ir.IntegerValue:
        """Return the values that deciles are taken from, binned so that few are distinct."""
        whole = self.whole(table)
        return money_bin(whole) if self.money else whole

    def edge(self, decile: int) -> int:
        """Return the largest whole number up to a decile."""
        return money_bin_end(decile) if self.money else decile


def counts_by_value(table: ir.Table, watched: Sequence[Watched]) -> ir.Table:
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
        The column.
    edges : tuple of int
        The largest whole number of each bin but the last, rising; empty without customers.
    before : tuple of int
        Customers of the earlier month in each bin; one number more than ``edges``.
    """

    watched: Watched
    edges: tuple[int, ...]
    before: tuple[int, ...]

    def counts_up_to(self, table: ir.Table) -> list[ir.IntegerScalar]:
        """Return running totals of ``table``'s customers up to each bin's end, as aggregates."""
        value, counted = self.watched.whole(table), self.watched.counted(table)
        return [*(table.count(where=counted & (value <= edge)) for edge in self.edges), table.count(where=counted)]


def bins_at_deciles(counts: pa.Table, watched: Sequence[Watched]) -> list[Bins]:
    """Cut each column at the deciles of the month that `counts_by_value` counted."""
    found = []
    for number, one in enumerate(watched):
        rows = counts.filter(pc.equal(counts["column"], number)).sort_by("value")
        values, n = rows["value"].to_numpy(), rows["n"].to_numpy()
        upto = np.cumsum(n)
        total = int(upto[-1]) if len(upto) else 0
        # An edge is the smallest value that at least a tenth, two tenths, ... of customers do
        # not exceed. Whole numbers make a tenth of ten exactly one. The largest value of all
        # is no edge, because the bin above it would be empty.
        at = np.searchsorted(upto * 10, total * np.arange(1, 10))
        deciles = np.unique(values[at[at < len(values) - 1]])
        last = np.searchsorted(values, deciles, side="right") - 1
        before = np.diff(np.concatenate(([0], upto[last], [total])))
        edges = tuple(one.edge(int(decile)) for decile in deciles)
        found.append(Bins(one, edges, tuple(int(customers) for customers in before)))
    return found


def distribution_drift(
    schema_of: Callable[[Sequence[int]], TableSchema], watched_of: Callable[[Settings], Sequence[Watched]]
) -> Check:
    """Warn when the population stability index says that customers are distributed differently from a month ago.

    Parameters
    ----------
    schema_of : callable
        From the configured horizons to the table's schema.
    watched_of : callable
        From the settings to the columns that are compared.
    """

    def measures(table: ir.Table, run: MonthRun) -> dict[str, ir.Scalar]:
        before = run.earlier(schema_of(run.settings.horizons_months))
        if before is None:
            return {}
        watched = watched_of(run.settings)
        found: dict[str, ir.Scalar] = {}
        for bins in bins_at_deciles(run.engine.collect(counts_by_value(before, watched)), watched):
            for i, (earlier, now) in enumerate(zip(bins.before, bins.counts_up_to(table), strict=True)):
                # The earlier counts are known, so they go along with the measures as literals.
                found[f"{bins.watched.name}|before|{i}"] = ibis.literal(earlier, "int64")
                found[f"{bins.watched.name}|up_to|{i}"] = now
        return found

    def judge(values: Values, run: MonthRun) -> Verdict:
        moved, found = [], {}
        limit = run.settings.checks.distribution_drift
        for name in [one.name for one in watched_of(run.settings)]:
            before, up_to = (
                [count for key, count in values.items() if key.startswith(f"{name}|{side}|")]
                for side in ("before", "up_to")
            )
            now = [right - left for left, right in itertools.pairwise((0, *up_to))]
            if sum(before) and sum(now):
                found[name] = population_stability_index(before, now)
                if found[name] > max(limit, stability_by_chance(len(before), sum(before), sum(now))):
                    moved.append(name)
        if not found:
            return Verdict(True, NO_MONTH)
        facts = {f"psi_{name}": round(index, 4) for name, index in found.items()}
        shown = ", ".join(f"{name} {index:.3f}" for name, index in found.items())
        text = f"Population stability index against {run.month.shift(-1)}: {shown}"
        if run.month < run.settings.first_month.shift(_ENOUGH_HISTORY):
            return Verdict(True, f"{text}; not judged before {_ENOUGH_HISTORY} months of history.", facts)
        if not moved:
            return Verdict(True, f"{text}.", facts)
        remedy = "Look for customers merged, split or missing, a changed unit of amounts, and which models were chosen."
        return Verdict(
            False, f"{' and '.join(moved)} moved beyond checks.distribution_drift ({limit:g}). {text}. {remedy}", facts
        )

    return Check(
        "distribution_drift",
        "Customers are distributed about as a month ago.",
        judge,
        measures,
        blocking=False,
    )
