"""Whether a month that is made again has the rows that it had.

Then nothing that was made from it is out of date. Both versions are hashed only at that moment, by one engine: a month
that is new costs nothing, and no hash has to mean the same on two engines or in two of their versions.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce

import ibis
import ibis.expr.types as ir

from cltv_assets.columns import TableSchema
from cltv_assets.lake import StagedMonth
from cltv_assets.sources.delivered import RAW_TRANSACTIONS
from cltv_assets.tables.month_run import MonthRun

#: Not hashed, because nothing but the same month's tables is made from them and they hold every line: what was landed
#: is compared by the digests of the source's files, and cleaned lines are made again with the month.
_OF_LINES = {RAW_TRANSACTIONS.name, "cleaned_transactions"}
#: Metadata of a materialisation that says so, and what it says.
CONTENT, AS_BEFORE, NEW = "content", "as before", "new"
#: A prime below 2**31: sums of as many remainders as a table has rows fit into 64 bits.
_MODULUS = 2_147_483_647


def has_same_rows(run: MonthRun, staged: StagedMonth) -> bool:
    """Return whether what was staged has just the rows of the published month, in any order.

    False where that is not looked at: for the tables of single lines, for months with other columns, and where what is
    published is damaged.
    """
    table = run.lake.table(staged.schema)
    if staged.schema.name in _OF_LINES or not table.is_published(run.month):
        return False
    if table.row_counts([run.month]).get(run.month) != staged.rows:
        return False
    if not staged.rows:
        return True
    if table.verify([run.month]).damage:
        return False
    if table.columns(run.month) != frozenset(staged.schema.column_names):
        return False
    before, now = (_digest(run, staged.schema, files) for files in (table.files([run.month]), staged.paths))
    return before == now


def _digest(run: MonthRun, schema: TableSchema, files: list[str]) -> object:
    rows = run.engine.read_files(schema, files)
    nullable = [column.name for column in schema.columns if column.nullable]
    return run.engine.measure(rows, {"digest": digest_of(rows, schema.column_names, nullable)})["digest"]


def digest_of(rows: ir.Table, columns: Sequence[str], nullable: Sequence[str]) -> ir.IntegerScalar:
    """Return a digest of rows in any order, which one engine compares with another one of its own."""
    values: dict[str, ir.Value] = {name: rows[name] for name in columns}
    if nullable:
        # Spark passes over nulls, so it must be said where they are.
        there = [rows[name].isnull().cast("int64") * 2 ** (at % 62) for at, name in enumerate(nullable)]
        values["nulls"] = reduce(lambda left, right: left + right, there)
    return (ibis.struct(values).hash() % _MODULUS).sum()
