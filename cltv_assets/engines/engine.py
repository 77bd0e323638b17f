"""What a transformation engine must offer. Nothing here knows which one runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import ibis.expr.types as ir
import pyarrow as pa

from cltv_assets.columns import TableSchema


class Engine(Protocol):
    """Runs Ibis expressions over parquet files.

    Tables stay in the engine. Only what is small leaves it: sufficient
    statistics, measures of a check, previews.
    """

    name: str

    def read_lake(self, schema: TableSchema, files: Sequence[str]) -> ir.Table:
        """Return published files of a table, lazily, with its ``month`` column."""
        ...

    def read_files(self, schema: TableSchema, files: Sequence[str]) -> ir.Table:
        """Return files of one month, lazily, without a ``month`` column."""
        ...

    def from_arrow(self, table: pa.Table) -> ir.Table:
        """Hand a small table to the engine."""
        ...

    def cache(self, expression: ir.Table) -> ir.Table:
        """Compute once what a step reads several times; kept until ``release``."""
        ...

    def release(self) -> None:
        """Drop what ``cache`` and ``from_arrow`` hold: the step is over."""
        ...

    def write(self, expression: ir.Table, schema: TableSchema, path: str) -> None:
        """Compute ``expression`` into one parquet file, cast to ``schema``."""
        ...

    def collect(self, expression: ir.Table) -> pa.Table:
        """Compute a small result and bring it here."""
        ...

    def measure(self, table: ir.Table, measures: dict[str, ir.Scalar]) -> dict[str, Any]:
        """Compute all ``measures`` of ``table`` in one pass."""
        ...

    def close(self) -> None:
        """Release what the engine holds."""
        ...
