"""What a table is: its columns, its inputs, how it is made, its checks, and what people see of it.

Each module of this package declares one table as ``TABLE`` (cleaned and rejected lines
share one). ``cltv_assets.tables.TABLES`` lists them; Dagster's assets, the data
dictionary, the commands and the lake's migrations all read that list. No Dagster here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeAlias

import ibis.expr.types as ir

from cltv_assets.columns import TableSchema
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.tables.check import Check
from cltv_assets.tables.common_checks import column_schema, finite_numbers, unique_grain
from cltv_assets.tables.highlights import Highlights
from cltv_assets.tables.month_run import MonthRun

#: A table as an expression for the engine, or as local parquet files that need none.
Made: TypeAlias = ir.Table | Sequence[Path]
#: The commands ``cltv preprocess`` and ``cltv model`` each run one half of the graph.
Half: TypeAlias = Literal["preprocess", "model"]

#: Stages in reading order; Dagster draws them as groups.
INGESTION, PREPARATION, MODELLING, PREDICTION, EVALUATION = (
    "ingestion",
    "preparation",
    "modelling",
    "prediction",
    "evaluation",
)
DATA_PLATFORM, CUSTOMER_ANALYTICS = "team:data-platform", "team:customer-analytics"
#: Kinds that the settings choose: the engine, and what the source's files are.
ENGINE, SOURCE = "engine", "source"


@dataclass(frozen=True)
class Input:
    """The months of an upstream table that a month is made from.

    Dagster knows the upstream table but not these months: in its graph every month is made
    from the same month. With window mappings, a backfill of some months would include every
    later one.

    Parameters
    ----------
    table : str
        Name of the upstream table.
    farthest, nearest : int
        First and last month needed, counted back from the month; 11 and 0 for a trailing year.
    holes : bool
        Whether months that were never published may be missing.
    """

    table: str
    farthest: int = 0
    nearest: int = 0
    holes: bool = False

    def months(self, month: Month, first: Month) -> list[Month]:
        """Return the upstream months of ``month``, oldest first; there are none before ``first``."""
        begin, end = max(month.shift(-self.farthest), first), month.shift(-self.nearest)
        return list(begin.until(end)) if begin <= end else []


#: ``farthest`` of an input that reads all history; no source reaches back so far.
ALL_HISTORY = 1200


@dataclass(frozen=True, kw_only=True)
class Asset:
    """What Dagster shows of something that is made every month.

    Parameters
    ----------
    name : str
        Name of the asset and of its folder in the lake.
    description : str
        What it is, for the UI and the data dictionary.
    inputs : callable
        From the settings to the upstream tables and months.
    group : str
        Stage of the graph.
    owner : str
        The team that answers for it.
    kinds : tuple of str
        What computes it and what holds it; ``ENGINE`` and ``SOURCE`` stand for what the settings choose.
    half : str
        The command that makes it.
    """

    name: str
    description: str
    inputs: Callable[[Settings], Sequence[Input]]
    group: str
    owner: str
    kinds: tuple[str, ...]
    half: Half


@dataclass(frozen=True, kw_only=True)
class Table(Asset):
    """One table of the lake.

    Parameters
    ----------
    schema : TableSchema or callable
        Columns and grain. A callable takes ``Settings.horizons_months``, where columns depend on them.
    make : callable or None
        Makes a month, as a table or, by name, as the tables of one step. None for a table
        that another table's ``make`` returns too.
    made_with : str
        Name of that other table.
    checks : tuple of Check
        The table's own checks, beside those of columns, grain and finite numbers that all tables have.
    highlights : callable or None
        What the UI shows of a month. The run's inputs hold the table and those that it was made from.
    negative_numbers : bool
        Whether floats may be negative.
    renewed : mapping of int to str
        Format versions of the lake that changed this table, each with the change. A migration past such
        a version empties the table, so that its months are made again; other migrations keep them.
    """

    name: str = ""
    description: str = ""
    schema: TableSchema | Callable[[Sequence[int]], TableSchema]
    make: Callable[[MonthRun], Made | Mapping[str, Made]] | None = None
    made_with: str = ""
    checks: tuple[Check, ...] = ()
    highlights: Callable[[MonthRun], Highlights] | None = None
    negative_numbers: bool = False
    renewed: Mapping[int, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        schema = self.schema_for((1,))
        object.__setattr__(self, "name", schema.name)
        object.__setattr__(self, "description", schema.description)
        if (self.make is None) != bool(self.made_with):
            raise ValueError(f"{self.name}: give either make or made_with")

    def schema_for(self, horizons_months: Sequence[int]) -> TableSchema:
        """Return the columns for the configured horizons."""
        return self.schema if isinstance(self.schema, TableSchema) else self.schema(horizons_months)

    def checks_for(self, horizons_months: Sequence[int]) -> tuple[Check, ...]:
        """Return every check of the table: those that all tables have, then its own."""
        schema = self.schema_for(horizons_months)
        common = [column_schema(schema), unique_grain(schema)]
        if any(column.type == "float64" for column in schema.columns):
            common.append(finite_numbers(schema, non_negative=not self.negative_numbers))
        return (*common, *self.checks)
