"""Brings the tables of an older release to the current format, and those of other horizons to the configured ones.

A step says for each table what becomes of its months:

- **keep**: rows are still what they were; the table is stamped with the new version.
  Columns that came later are added to it, and are null in its rows. Columns that may
  be null since then are declared so.
- **renew**: its columns, or the meaning of its rows, have changed, and all of it is made
  from tables that are kept. The table is emptied and gets the current columns; its months
  are to be made again. Until ``LakeTable.vacuum`` the old rows can be read as the Delta
  version before.

Where ``horizons_months`` was changed, a kept table gets the columns of the new horizons, and no longer declares those
of horizons that are gone. Their values stay in the files of the months that were made with them: such a month is
read as it was made, and whoever sets the horizons back and migrates again sees them again.

Each table moves in one Delta commit, or is given the current columns in one before, so readers see it
before or after, and a migration that breaks off is finished by starting it again: what has
the new version is left alone.
From the first commit on, the older release refuses the lake, so its runs cannot spoil it.
"""

from __future__ import annotations

import datetime as dt
import enum
import random
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError

from cltv_assets.columns import MONTH, TableSchema, horizons_in
from cltv_assets.errors import LakeError
from cltv_assets.files.storage import month_folder
from cltv_assets.files.store_faults import fault_of, from_store
from cltv_assets.lake.commit import publications
from cltv_assets.lake.lake import Lake
from cltv_assets.lake.log import KEEP_LOG
from cltv_assets.lake.opening import FORMAT_VERSION, check_columns, configuration, format_of, stamp
from cltv_assets.months import Month

_ATTEMPTS = 20
_LONGEST_WAIT_SECONDS = 0.5
_OPERATION = {"cltv_assets.operation": "migrate"}


class Fate(enum.Enum):
    """What becomes of a table's months."""

    KEEP = "kept"
    RENEW = "to be made again"


@dataclass(frozen=True)
class Step:
    """What a format version changed.

    Parameters
    ----------
    version : int
        The format version that it leads to.
    release : str
        The release that brought it.
    kept : frozenset of str
        Tables whose months are still good.
    renewed : mapping of str to str
        The other tables of the format before, each with why.
    """

    version: int
    release: str
    kept: frozenset[str]
    renewed: Mapping[str, str]


@dataclass(frozen=True)
class TablePlan:
    """What is to be done with one table.

    Parameters
    ----------
    table : TableSchema
        As it is to be.
    written : int
        The format version that it has.
    fate : Fate
        What becomes of its months.
    reason : str
        Why its months are to be made again; empty where they are kept.
    months : tuple of Month
        Those published, with rows or without, oldest first.
    version : int
        The Delta version that it has now.
    lacking : frozenset of str
        Columns that a kept table gets.
    relaxed : frozenset of str
        Columns of a kept table that may be null from now on.
    dropped : frozenset of str
        Columns of horizons that are gone.
    """

    table: TableSchema
    written: int
    fate: Fate
    reason: str
    months: tuple[Month, ...]
    version: int
    lacking: frozenset[str] = frozenset()
    relaxed: frozenset[str] = frozenset()
    dropped: frozenset[str] = frozenset()

    @property
    def new_horizons(self) -> list[int]:
        """Horizons that the table has no column of yet, in months."""
        return sorted(horizons_in(self.table.of_horizons) - horizons_in(self.table.of_horizons - self.lacking))

    @property
    def gone_horizons(self) -> list[int]:
        """Horizons that it no longer has columns for."""
        return sorted(horizons_in(self.dropped))


def fate_of(name: str, written: int, steps: Sequence[Step]) -> tuple[Fate, str]:
    """Return what becomes of a table on its way from a format version to the newest, and why.

    A table that any step renews is renewed, because later steps keep only what is made after it.
    """
    for step in steps:
        if step.version > written and name not in step.kept:
            return Fate.RENEW, step.renewed.get(name, "is not one of its tables")
    return Fate.KEEP, ""


def plan(
    lake: Lake, tables: Sequence[TableSchema], steps: Sequence[Step], possible: Iterable[Month]
) -> list[TablePlan]:
    """Return what a migration would do, in the order of ``tables``; nothing for those that are up to date.

    Parameters
    ----------
    lake : Lake
        What to migrate.
    tables : sequence of TableSchema
        All of this release.
    steps : sequence of Step
        Oldest first, without a gap: the last one leads to ``FORMAT_VERSION``.
    possible : iterable of Month
        Where to look for months that were published without rows.

    Raises
    ------
    LakeFormatError
        If a newer version wrote a table.
    LakeError
        If a table is not ours, cannot be read, or is to be kept and has other columns.
    """
    looked_at = set(possible)
    found = []
    for schema in tables:
        uri, table = lake.storage.uri(schema.name), lake.opener.newest(schema)
        if table is None:
            continue
        written = format_of(table, schema, uri, lake.graph)
        if _is_done(table, schema, written):
            continue
        fate, reason = fate_of(schema.name, written, steps)
        changes = _changes(table, schema) if fate is Fate.KEEP else ()
        if changes:
            lacking, relaxed, _ = (names - schema.of_horizons for names in changes)
            check_columns(table, schema.without(lacking).requiring(relaxed), uri, any_horizons=True)
        months = tuple(_published(table, looked_at))
        found.append(TablePlan(schema, written, fate, reason, months, table.version(), *changes))
    return found


def carry_out(lake: Lake, planned: TablePlan, possible: Iterable[Month]) -> None:
    """Migrate one table, in one commit or two; nothing if it has the newest version already.

    ``possible`` are all months that a run of the older release may publish meanwhile.

    Raises
    ------
    LakeError
        If it cannot be written, or other writers kept coming first.
    """
    schema, uri = planned.table, lake.storage.uri(planned.table.name)
    looked_at = {*possible, *planned.months}
    error: Exception | None = None
    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(random.uniform(0, _LONGEST_WAIT_SECONDS))  # noqa: S311 - spreads writers, guards nothing
        table = lake.opener.newest(schema)
        if table is None or _is_done(table, schema, written := format_of(table, schema, uri, lake.graph)):
            return
        try:
            if planned.fate is Fate.KEEP:
                # The stamp comes last: a migration that breaks off in between changes nothing twice.
                if any(_changes(table, schema)):
                    _declare(table, schema)
                if written < FORMAT_VERSION:
                    stamp(table)
            else:
                _empty(lake, table, schema, uri, looked_at)
        except CommitFailedError as failed:
            error = failed
        except (DeltaError, OSError) as failed:
            if not lake.storage.local and from_store(failed):
                raise fault_of(failed, uri) from failed
            raise LakeError(
                f"Cannot migrate table {schema.name} ({uri}): {failed}.",
                "Look whether the disk is full or read-only, then run cltv migrate again.",
            ) from failed
        else:
            return
    raise LakeError(
        f"Cannot migrate table {schema.name} ({uri}): other commits kept coming first ({error}).",
        "Stop the daemon and the runs that write this lake, then run cltv migrate again.",
    )


def _is_done(table: DeltaTable, schema: TableSchema, written: int) -> bool:
    """Return whether a table has the newest version, and the columns of the configured horizons."""
    return written == FORMAT_VERSION and not any(_changes(table, schema))


def _changes(table: DeltaTable, schema: TableSchema) -> tuple[frozenset[str], frozenset[str], frozenset[str]]:
    """Return the columns that a kept table lacks, those that it still declares NOT NULL, and those to leave out."""
    fields = {field.name: field for field in table.schema().fields}
    nullable = {field.name for field in schema.delta if field.nullable}
    return (
        schema.added.difference(fields),
        frozenset(name for name, field in fields.items() if not field.nullable and name in nullable),
        frozenset(name for name in fields if name not in schema.of_horizons and schema.is_of_some_horizon(name)),
    )


def _declare(table: DeltaTable, schema: TableSchema) -> None:
    """Declare the current columns of a table, in one commit that touches no file."""
    # Delta-rs adds columns, but has no call that lets null into one, or leaves one out. An overwrite declares its own
    # columns; this one replaces the files of a month that no table has.
    table.create_write_transaction(
        [],
        mode="overwrite",
        schema=schema.delta,
        partition_by=[MONTH],
        partition_filters=[(MONTH, "=", dt.date.min.isoformat())],
        commit_properties=CommitProperties(custom_metadata=_OPERATION),
        post_commithook_properties=KEEP_LOG,
    )


def _empty(lake: Lake, table: DeltaTable, schema: TableSchema, uri: str, looked_at: set[Month]) -> None:
    """Replace a table by an empty one with the current columns, in one commit.

    The same commit sets each month's number of publications back to zero, because otherwise a
    month without rows would count as published. It also causes a conflict with a run of the older
    release that publishes one of these months at this moment. Without it, rows of the old columns
    would remain.
    """
    DeltaTable.create(
        uri,
        schema=schema.delta,
        mode="overwrite",
        partition_by=[MONTH],
        name=schema.name,
        description=schema.description,
        configuration=configuration(lake.graph),
        storage_options=lake.storage.options,
        commit_properties=CommitProperties(
            custom_metadata=_OPERATION,
            app_transactions=[
                Transaction(app_id=month_folder(month), version=0)
                for month in sorted(looked_at | set(_published(table, ())))
            ],
        ),
        raise_if_key_not_exists=False,
    )


def _published(table: DeltaTable, possible: Iterable[Month]) -> list[Month]:
    """Return the months of a table that have rows, and those of ``possible`` that were published without."""
    with_rows = {Month(dt.date.fromisoformat(partition[MONTH])) for partition in table.partitions() if partition[MONTH]}
    return sorted(with_rows | {month for month in set(possible) - with_rows if publications(table, month)})
