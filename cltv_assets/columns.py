"""What a table's columns are: name, type, nullability, meaning and unit.

One declaration drives the Delta schema, the Arrow schema that engines write,
Dagster's column metadata, the schema check and ``docs/data_dictionary.md``.
Which tables there are, and how they are made, stands in ``tables``.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from functools import cached_property

import ibis
import pyarrow as pa
from ibis import Schema as IbisSchema

# Expressions are written in steps, each naming what the next one uses. Ibis would fuse the
# steps and write every expression out once for each use of it: the parsing of times alone
# became megabytes of SQL that took seconds to plan. Set here, because whatever builds an
# expression imports this module.
ibis.options.sql.fuse_selects = False

#: The partition column of every table: the first day of the month.
MONTH = "month"

#: How a column's name says its horizon: ``cltv_12m_low``.
_HORIZON = re.compile(r"(?<=_)(\d+)(?=m(?:_|$))")

#: Money and quantities: exact, wide enough for any currency in single units.
MONEY = "decimal(18, 4)"

#: Sums of money over many customers, which may have more digits than any customer's.
TOTAL_MONEY = "decimal(38, 4)"

#: Stored type (Ibis notation) to Arrow type. Only these are allowed in a table:
#: every Delta reader has them and both engines write them alike.
_ARROW: dict[str, pa.DataType] = {
    "string": pa.string(),
    "int32": pa.int32(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "boolean": pa.bool_(),
    "date": pa.date32(),
    "timestamp('UTC')": pa.timestamp("us", tz="UTC"),
    MONEY: pa.decimal128(18, 4),
    TOTAL_MONEY: pa.decimal128(38, 4),
}


@dataclass(frozen=True)
class Column:
    """One column.

    Parameters
    ----------
    name : str
    type : str
        Ibis notation, one of the types every Delta reader knows.
    meaning : str
        One sentence for the data dictionary and the Dagster UI.
    unit : str, optional
        Days, currency, purchases, …; empty where a unit makes no sense.
    nullable : bool
        Whether null is a legal value. A non-nullable column is checked.
    signed : bool
        Whether a float may be negative. A column that is not is checked.
    since : int
        The lake's format version that brought it. Files of an earlier version lack it, and it is null there.
    """

    name: str
    type: str
    meaning: str
    unit: str = ""
    nullable: bool = False
    signed: bool = False
    since: int = 1

    @property
    def horizon(self) -> int | None:
        """The horizon that it is of, in months; those made for other horizons lack it, and it is null there."""
        return horizon_in(self.name)

    def __post_init__(self) -> None:
        if self.type not in _ARROW:
            raise ValueError(f"column {self.name}: type {self.type} is not one of {list(_ARROW)}")

    @property
    def arrow_type(self) -> pa.DataType:
        """The column's Arrow type."""
        return _ARROW[self.type]


@dataclass(frozen=True)
class TableSchema:
    """One table of the lake.

    Parameters
    ----------
    name : str
        Table, asset and function name.
    description : str
        What a row is and what the table is for.
    grain : tuple of str
        Columns that identify a row within a month.
    columns : tuple of Column
        All columns except ``month``, in stored order.
    """

    name: str
    description: str
    grain: tuple[str, ...]
    columns: tuple[Column, ...]

    def __post_init__(self) -> None:
        unknown = set(self.grain) - set(self.column_names)
        if unknown:
            raise ValueError(f"{self.name}: grain names unknown columns {sorted(unknown)}")

    @property
    def column_names(self) -> tuple[str, ...]:
        """Names of the columns, without ``month``."""
        return tuple(column.name for column in self.columns)

    def column(self, name: str) -> Column:
        """Return the column called ``name``."""
        return next(column for column in self.columns if column.name == name)

    def without(self, names: Collection[str]) -> TableSchema:
        """Return the table without some columns, which the grain does not name either."""
        columns = tuple(column for column in self.columns if column.name not in names)
        return replace(self, columns=columns, grain=tuple(name for name in self.grain if name not in names))

    def requiring(self, names: Collection[str]) -> TableSchema:
        """Return the table with some columns that may not be null."""
        columns = tuple(replace(one, nullable=False) if one.name in names else one for one in self.columns)
        return replace(self, columns=columns)

    @cached_property
    def of_horizons(self) -> frozenset[str]:
        """Names of the columns of the configured horizons."""
        return frozenset(column.name for column in self.columns if column.horizon is not None)

    def is_of_some_horizon(self, name: str) -> bool:
        """Return whether a column of this name is, or would be, one of those of a horizon."""
        return _horizon_left_out(name) in {_horizon_left_out(own) for own in self.of_horizons}

    @cached_property
    def added(self) -> frozenset[str]:
        """Names of the columns that files may lack: those of a later format version, and those of horizons."""
        return self.of_horizons | {column.name for column in self.columns if column.since > 1}

    @cached_property
    def ibis(self) -> IbisSchema:
        """Ibis schema of a month's rows, without ``month``.

        Nullability is left out on purpose: an engine cannot prove it, the
        schema check does.
        """
        return ibis.schema({column.name: column.type for column in self.columns})

    @cached_property
    def arrow(self) -> pa.Schema:
        """Arrow schema of a month's rows as files hold them, without ``month``."""
        return pa.schema([pa.field(c.name, c.arrow_type) for c in self.columns])

    @cached_property
    def ibis_with_month(self) -> IbisSchema:
        """Ibis schema of a published table."""
        return ibis.schema({**dict(self.ibis.items()), MONTH: "date"})

    @cached_property
    def arrow_with_month(self) -> pa.Schema:
        """Arrow schema of a published table as engines read it."""
        return pa.schema([*self.arrow, pa.field(MONTH, pa.date32())])

    @cached_property
    def delta(self) -> pa.Schema:
        """Arrow schema of the Delta table: nullability declared, ``month`` last.

        A month must have the columns of the horizons that it is made for; months made for others lack them.
        """
        fields = [pa.field(c.name, c.arrow_type, nullable=c.nullable or c.horizon is not None) for c in self.columns]
        return pa.schema([*fields, pa.field(MONTH, pa.date32(), nullable=False)])


def horizon_in(name: str) -> int | None:
    """Return the horizon that a column's name says, in months: 12 for ``cltv_12m_low``."""
    found = _HORIZON.search(name)
    return None if found is None else int(found[1])


def horizons_in(names: Iterable[str]) -> set[int]:
    """Return the horizons that names of columns say, in months."""
    return {horizon for name in names if (horizon := horizon_in(name)) is not None}


def _horizon_left_out(name: str) -> str:
    return _HORIZON.sub("*", name)
