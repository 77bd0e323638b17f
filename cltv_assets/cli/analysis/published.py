"""What the lake has published, as both commands show it: names, files, newest months."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from cltv_assets.columns import TableSchema
from cltv_assets.errors import MissingMonthsError
from cltv_assets.lake import Lake, LakeTable
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.tables import lake_schemas

#: Begins the name of a table's newest published month.
CURRENT = "current_"
#: The table that lists the others.
CATALOGUE = "lake_tables"


@dataclass(frozen=True)
class PublishedTable:
    """One table as one version of it stands.

    Parameters
    ----------
    schema : TableSchema
        Its name and columns.
    version : int or None
        Of the Delta table; None if there is none yet.
    files : tuple of str
        The files of all months.
    current_files : tuple of str
        Those of the newest published month, which may have no rows.
    newest : Month or None
        The newest published month.
    months, rows : int
        How many months have rows, and how many rows there are.
    """

    schema: TableSchema
    version: int | None
    files: tuple[str, ...]
    current_files: tuple[str, ...]
    newest: Month | None
    months: int
    rows: int

    def views(self) -> Iterator[tuple[str, tuple[str, ...], str]]:
        """Yield the name, the files and the description of each relation that shows this table."""
        of = f"only {self.newest}, the newest published month" if self.newest else "nothing is published yet"
        yield self.schema.name, self.files, self.schema.description
        yield CURRENT + self.schema.name, self.current_files, f"{self.schema.description} Here: {of}."


def published_tables(settings: Settings, lake: Lake) -> list[PublishedTable]:
    """Look at every table of the lake, each in one version.

    Raises
    ------
    LakeError
        If the lake cannot be read.
    MissingMonthsError
        If nothing at all is published.
    """
    with lake.opener.steady():
        found = [_published(lake.table(schema), settings) for schema in lake_schemas(settings.horizons_months)]
    if not any(table.files for table in found):
        raise MissingMonthsError(f"The lake {lake.root} holds no month of any table.", "Materialise some: cltv run")
    return found


def _published(table: LakeTable, settings: Settings) -> PublishedTable:
    with_rows = table.row_counts(table.months())
    newest = max(with_rows, default=None)
    # A later month may have been published without rows: then that is what there is now.
    later = settings.first_month if newest is None else newest.shift(1)
    newest = max(table.published(later.until(settings.last_month())), default=newest)
    return PublishedTable(
        schema=table.schema,
        version=table.version(),
        files=tuple(table.files(with_rows)),
        current_files=() if newest is None else tuple(table.files([newest])),
        newest=newest,
        months=len(with_rows),
        rows=sum(with_rows.values()),
    )


def catalogue(tables: Sequence[PublishedTable]) -> pa.Table:
    """Return `CATALOGUE`: a row for each table."""
    return pa.table(
        {
            "table_name": pa.array([table.schema.name for table in tables], pa.string()),
            "newest_month": pa.array([table.newest and table.newest.first_day for table in tables], pa.date32()),
            "months": pa.array([table.months for table in tables], pa.int64()),
            "rows": pa.array([table.rows for table in tables], pa.int64()),
            "version": pa.array([table.version for table in tables], pa.int64()),
            "description": pa.array([table.schema.description for table in tables], pa.string()),
        }
    )
