"""Everything that a table's ``make`` and its checks may use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import ibis.expr.types as ir

from cltv_assets.columns import TableSchema
from cltv_assets.engines import Engine
from cltv_assets.lake import Lake
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.sources import TransactionSource


@dataclass(frozen=True)
class MonthRun:
    """One month of one asset.

    Parameters
    ----------
    month : Month
        The month that is made.
    settings : Settings
        The project's configuration.
    engine : Engine
        Computes the tables.
    lake : Lake
        Holds published months.
    source : TransactionSource
        Delivers the raw lines.
    inputs : mapping of str to ibis table
        Upstream tables by name.
    notes : dict
        What ``make`` reports beside its table; shown as metadata.
    scratch : callable, optional
        Returns a local folder for temporary files; the system's own by default.
    pictures : bool
        Whether the month's metadata and report have pictures.
    accept_loss : bool
        Whether it is meant that published lines of the month are not delivered any more.
    """

    month: Month
    settings: Settings
    engine: Engine
    lake: Lake
    source: TransactionSource
    inputs: Mapping[str, ir.Table] = field(default_factory=dict)
    notes: dict[str, object] = field(default_factory=dict)
    scratch: Callable[[], Path] | None = None
    pictures: bool = True
    accept_loss: bool = False

    def earlier(self, schema: TableSchema, months_back: int = 1) -> ir.Table | None:
        """Return an earlier month of a table, None if it was not published."""
        month = self.month.shift(-months_back)
        table = self.lake.table(schema)
        if month < self.settings.first_month or not table.is_published(month):
            return None
        return self.engine.read_lake(schema, table.files([month]))

    def earlier_row_counts(self, schema: TableSchema, months_back: int) -> dict[Month, int]:
        """Return the number of rows of each published month among the last ``months_back``."""
        table = self.lake.table(schema)
        first = max(self.month.shift(-months_back), self.settings.first_month)
        wanted = list(first.until(self.month.shift(-1)))
        return table.row_counts(sorted(table.published(wanted)))
