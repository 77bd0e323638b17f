"""Opening the lake's Delta tables, and what makes a Delta table one of ours.

That is its format version and its columns. The version is a property of the Delta
table, so it travels with it, survives overwrites, and other readers ignore it.
``migrations`` brings older tables up to it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import pyarrow as pa
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError

from cltv_assets.columns import MONTH, TableSchema
from cltv_assets.errors import LakeError, LakeFormatError
from cltv_assets.files.probe import CHOOSE_ROOT
from cltv_assets.files.storage import Storage
from cltv_assets.files.store_faults import fault_of, from_store
from cltv_assets.lake.log import KEEP_LOG, LOG, look_at_log

#: Raise it when columns change, or when an older reader would misread what is written, and add a step to the
#: list that ``cltv migrate`` follows. Release 0.1.0 wrote version 1.
FORMAT_VERSION = 3

#: What delta-rs creates, and what the commit protocol is written for.
_READER, _WRITER = 1, 2
#: How delta-rs says that a table needs what it does not know.
#: How it says that a file of the log is torn or missing.
_DAMAGED_LOG = re.compile(r"Json error|Invalid JSON|contiguous commit|[Cc]heckpoint|[Pp]arquet|footer|EOF|Arrow error")
_NO_ANSWER = re.compile(r"Generic S3 error|Error performing")
_UNKNOWN_PROTOCOL = re.compile(r"Unsupported: (Feature '\w+' is not supported|Unsupported minimum reader version \d+)")

_VERSION_KEY = "cltv_assets.formatVersion"
#: Whose table it is: the prefix of the graph. A table without it belongs to the graph without a prefix.
_GRAPH_KEY = "cltv_assets.graph"

_NOT_OURS = "Move that folder away, or set lake_uri in cltv.yaml (or CLTV_LAKE_URI) to a folder of its own."


T = TypeVar("T")


#: Open tables by address, each with the options that it was opened with: renewed credentials need a new handle.
Handles = dict[str, tuple[DeltaTable, dict[str, str] | None]]


class Opener:
    """Opens the tables under one root and keeps them open, because updating a table is much faster than opening it."""

    def __init__(self, storage: Storage, handles: Handles | None = None) -> None:
        self._storage = storage
        self._open: Handles = {} if handles is None else handles
        #: The tables that were looked at in a block of `steady`.
        self._steady: set[str] | None = None
        self._known: dict[str, tuple[DeltaTable, int, dict[Hashable, Any]]] = {}
        #: The files that were handed out since the last block of `steady` began, by table: where to look for
        #: damage if reading fails.
        self.handed_out: dict[str, set[str]] = {}

    def known(self, table: DeltaTable, what: Hashable, look: Callable[[], T]) -> T:
        """Return what ``look`` finds in this version of a table, and look only once."""
        of, version, answers = self._known.get(table.table_uri, (None, None, {}))
        if of is not table or version != table.version():
            answers = {}
            self._known[table.table_uri] = table, table.version(), answers
        if what not in answers:
            answers[what] = look()
        found: T = answers[what]
        return found

    @contextmanager
    def steady(self) -> Iterator[None]:
        """Look for newer versions of a table only once in a ``with`` block.

        What reads several tables several times sees one version of each, with few requests.
        """
        self._steady = set()
        self.handed_out.clear()
        try:
            yield
        finally:
            self._steady = None

    def newest(self, schema: TableSchema, *, fresh: bool = False) -> DeltaTable | None:
        """Return the newest version of a table of any format, or None if there is none.

        With ``fresh`` it is looked at again in a block of `steady` too, as whoever commits must.

        Raises
        ------
        LakeError
            If it cannot be read.
        """
        uri = self._storage.uri(schema.name)
        if fresh and self._steady is not None:
            self._steady.discard(uri)
        try:
            return self._newest(uri)
        except TableNotFoundError:
            return None
        except (DeltaError, OSError) as error:
            unknown = _UNKNOWN_PROTOCOL.search(str(error))
            if unknown is not None:
                raise LakeFormatError(
                    f"{uri} needs a newer Delta protocol than this version of cltv_assets reads ({unknown[1]}).",
                    "A newer cltv_assets or another program altered it: upgrade cltv_assets, or undo that there.",
                ) from error
            damage = look_at_log(self._storage, uri) if _says_damage(str(error)) else None
            if damage is not None:
                raise LakeError(
                    f"The log of table {schema.name} ({uri}) is damaged: {damage.problem}.",
                    "Run cltv repair: it goes back to the version before, and says which months to run again.",
                ) from error
            if not self._storage.local and from_store(error):
                raise fault_of(error, uri) from error
            if self._storage.size(uri) is not None:
                raise LakeError(f"{uri} is a file, not a folder.", f"Move it away, or {CHOOSE_ROOT}.") from error
            raise LakeError(
                f"Cannot read table {schema.name} at {uri}: {error}.",
                f"Look whether the folder is readable, or {CHOOSE_ROOT}.",
            ) from error

    def _newest(self, uri: str) -> DeltaTable:
        options = self._storage.options
        kept, of = self._open.pop(uri, (None, None))
        if kept is not None and of == options and uri in (self._steady or ()):
            self._open[uri] = kept, of
            return kept
        if kept is not None and (of != options or not self._has_version(uri, kept.version(), checkpointed=True)):
            # Renewed credentials, or the table was deleted, perhaps made again.
            kept = None
        if kept is not None and self._has_version(uri, kept.version() + 1):
            try:
                kept.update_incremental()
            except (DeltaError, OSError):
                # Moved, replaced or expired under the handle: opening it again finds out which.
                kept = None
        table = kept or DeltaTable(uri, storage_options=options)
        self._open[uri] = table, options
        if self._steady is not None:
            self._steady.add(uri)
        return table

    def _has_version(self, uri: str, version: int, checkpointed: bool = False) -> bool:
        """Return whether the log has a version's entry.

        Versions have no gaps, so a handle whose next version is not there is the newest.
        Asking for one name is many times cheaper on an object store than listing the log.
        """
        entry = f"{uri}/{LOG}/{version:020d}"
        if self._storage.size(f"{entry}.json") is not None:
            return True
        return checkpointed and self._storage.size(f"{entry}.checkpoint.parquet") is not None


def _says_damage(text: str) -> bool:
    """Return whether an error of delta-rs may be about a torn log, rather than a store that does not answer."""
    return bool(_DAMAGED_LOG.search(text)) and not _NO_ANSWER.search(text)


def configuration(graph: str = "") -> dict[str, str]:
    """Return the properties that a new table of the graph ``graph`` is created with."""
    return {
        **({_GRAPH_KEY: graph} if graph else {}),
        _VERSION_KEY: str(FORMAT_VERSION),
        # A reader replays at most this many small files of the log. delta-rs would let it grow to 100.
        "delta.checkpointInterval": "20",
    }


def column_differences(expected: pa.Schema, actual: pa.Schema, *, nullability: bool) -> str:
    """Say in plain words where ``actual`` differs from ``expected``; empty if nowhere.

    Names and types are compared, metadata is not; nullability of a table, and order only of what engines
    write, who make every column nullable.
    """
    missing = [name for name in expected.names if name not in actual.names]
    unknown = [name for name in actual.names if name not in expected.names]
    said = []
    if missing:
        said.append(f"missing: {', '.join(missing)}")
    if unknown:
        said.append(f"not expected: {', '.join(unknown)}")
    for field in expected:
        if field.name in missing:
            continue
        found = actual.field(field.name)
        if found.type != field.type:
            said.append(f"{field.name} is {found.type} instead of {field.type}")
        elif nullability and found.nullable != field.nullable:
            said.append(f"{field.name} is {'nullable' if found.nullable else 'not nullable'}")
    # A table that got columns later has them at its end; readers go by names.
    if not said and not nullability and expected.names != actual.names:
        said.append(f"order is {', '.join(actual.names)} instead of {', '.join(expected.names)}")
    return "; ".join(said)


def check_table(table: DeltaTable, schema: TableSchema, uri: str, graph: str, *, any_horizons: bool) -> None:
    """Refuse a Delta table that we would misread or spoil: as ``format_of`` and ``check_columns``, or not migrated."""
    written = format_of(table, schema, uri, graph)
    if written < FORMAT_VERSION:
        raise LakeFormatError(
            f"Table {schema.name} ({uri}) has format version {written}; this version of cltv_assets writes "
            f"{FORMAT_VERSION}.",
            "An older cltv_assets wrote this lake: look at what `cltv migrate --dry-run` would do, then run "
            "`cltv migrate`.",
        )
    check_columns(table, schema, uri, any_horizons=any_horizons)


def format_of(table: DeltaTable, schema: TableSchema, uri: str, graph: str) -> int:
    """Return the format version that a table was written with, if it is ours and nobody else altered it.

    Raises
    ------
    LakeFormatError
        If a newer version of this package wrote it.
    LakeError
        If it is not ours, belongs to another graph than ``graph``, or was altered by another program.
    """
    metadata, needed = table.metadata(), table.protocol()
    written = metadata.configuration.get(_VERSION_KEY)
    if written is None or not written.isdecimal():
        raise LakeError(f"{uri} is a Delta table that cltv_assets did not create.", _NOT_OURS)
    if int(written) > FORMAT_VERSION:
        raise LakeFormatError(
            f"Table {schema.name} ({uri}) has format version {written}; "
            f"this version of cltv_assets reads up to {FORMAT_VERSION}.",
            "A newer cltv_assets wrote this lake: upgrade cltv_assets, or use another lake.",
        )
    owner = metadata.configuration.get(_GRAPH_KEY, "")
    if owner != graph:
        raise LakeError(
            f"Table {schema.name} ({uri}) belongs to {_named(owner)}, not to {_named(graph)}: "
            "two graphs in one lake would overwrite each other's months.",
            "Give each graph a lake_uri of its own"
            + (f", or set asset_prefix: {owner} if it is the same graph." if owner else ".")
            + " To hand the lake over, run cltv adopt with this configuration.",
        )
    if needed.min_reader_version > _READER or needed.min_writer_version > _WRITER:
        # Deletion vectors and column mapping change what a data file means, row tracking and constraints what a
        # commit must hold; we read files as they are and name them in plain commits.
        features = ", ".join(sorted({*(needed.reader_features or ()), *(needed.writer_features or ())}))
        raise LakeError(
            f"Table {schema.name} ({uri}) was altered by another program: it now needs Delta reader version "
            f"{needed.min_reader_version} and writer version {needed.min_writer_version}"
            f"{f' ({features})' if features else ''}, not {_READER} and {_WRITER}.",
            f"Undo that there, or move {uri} away and run its months again.",
        )
    if metadata.partition_columns != [MONTH]:
        raise LakeError(
            f"Table {schema.name} ({uri}) is partitioned by {metadata.partition_columns}, not by month.", _NOT_OURS
        )
    return int(written)


def check_columns(table: DeltaTable, schema: TableSchema, uri: str, *, any_horizons: bool) -> None:
    """Raise a ``LakeError`` for a table that has other columns, with ``any_horizons`` beside those of horizons."""
    expected, actual = schema.delta, pa.schema(table.schema().to_arrow())
    beside = [pa.schema([f for f in one if not schema.is_of_some_horizon(f.name)]) for one in (expected, actual)]
    if differences := column_differences(*beside, nullability=True):
        raise LakeError(
            f"Table {schema.name} ({uri}) has other columns than this version or these settings write ({differences}).",
            f"Restore the settings that it was made with, or move {uri} away and run its months again.",
        )
    if not any_horizons and (differences := column_differences(expected, actual, nullability=True)):
        raise LakeError(
            f"Table {schema.name} ({uri}) was made for other horizons_months than these settings have ({differences}).",
            "Look at what `cltv migrate --dry-run` would do, then run `cltv migrate`, or set horizons_months back.",
        )


def stamp(table: DeltaTable) -> None:
    """Say in the table that it has the current format version, in one commit."""
    _set_property(table, _VERSION_KEY, str(FORMAT_VERSION))


def adopt(table: DeltaTable, graph: str) -> bool:
    """Make a table the graph's; return whether it was another's."""
    if table.metadata().configuration.get(_GRAPH_KEY, "") == graph:
        return False
    _set_property(table, _GRAPH_KEY, graph)
    return True


def _set_property(table: DeltaTable, key: str, value: str) -> None:
    table.alter.set_table_properties({key: value}, raise_if_not_exists=False, post_commithook_properties=KEEP_LOG)


def _named(prefix: str) -> str:
    return f"the graph '{prefix}'" if prefix else "the graph without a prefix"
