"""Everything that uses private parts of Dagster, each with its reason.

Written for Dagster 1.13.27. Nothing else in this package imports what Dagster does not
publish; ``test_instance_state.py`` fails when Dagster changes one of these.
"""

from __future__ import annotations

import contextlib
import copy
import json
import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any

import dagster as dg
import sqlalchemy as sa
from alembic.script import ScriptDirectory
from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION
from dagster._core.errors import DagsterDefinitionChangedDeserializationError, DagsterUserCodeUnreachableError
from dagster._core.events import ASSET_CHECK_EVENTS, ASSET_EVENTS, EVENT_TYPE_TO_PIPELINE_RUN_STATUS
from dagster._core.execution.backfill import BulkActionsFilter, BulkActionStatus
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from dagster._core.storage.event_log.schema import (
    AssetCheckExecutionsTable,
    AssetKeyTable,
    SqlEventLogStorageMetadata,
    SqlEventLogStorageTable,
)
from dagster._core.storage.event_log.sql_event_log import SqlEventLogStorage
from dagster._core.storage.event_log.sqlite import sqlite_event_log
from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
from dagster._core.storage.runs.schema import RunStorageSqlMetadata
from dagster._core.storage.runs.sqlite import sqlite_run_storage
from dagster._core.storage.schedules.schema import ScheduleStorageSqlMetadata
from dagster._core.storage.sql import get_alembic_config
from dagster._grpc.client import DagsterGrpcClient
from dagster._grpc.types import ListRepositoriesResponse

from cltv_assets.errors import ConfigError

# --- Many months in one run ---------------------------------------------------------

#: Metadata of an output whose events the step has recorded itself. Dagster would record
#: one more materialisation for all months of a range when the step ends, and has no
#: public way to say that there is none.
RECORDED = {SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION: True}


# --- What is being made, and what was tried -----------------------------------------


def requested_backfills(instance: dg.DagsterInstance) -> list[Any]:
    """Return the backfills under way. The public way has no filter and reads all past ones."""
    wanted = BulkActionsFilter(statuses=[BulkActionStatus.REQUESTED])
    return [backfill for backfill in instance.get_backfills(filters=wanted) if backfill.is_asset_backfill]


def keys_of_backfill(backfill: Any, key: dg.AssetKey, repository: Any) -> set[str]:
    """Return the partitions of an asset that a backfill is going to make; none if the asset's partitions changed.

    Dagster's public API shows a backfill's runs, but only those that exist already.
    """
    if key not in (backfill.asset_selection or ()):
        return set()
    try:
        data = backfill.get_asset_backfill_data(repository.asset_graph)
    except DagsterDefinitionChangedDeserializationError:
        return set()
    return set(data.get_target_partitions_subset(key).get_partition_keys())


def attempts_in_vain(instance: dg.DagsterInstance, key: dg.AssetKey) -> Mapping[str, tuple[str, int]]:
    """Return the partitions whose last attempt made nothing (yet): the run and its place among all events.

    ``get_status_by_partition`` is public, but reports the failure without its run, so it does not
    show whether anything has changed since.
    """
    found: Mapping[str, tuple[str, int]] = (
        instance.event_log_storage.get_latest_asset_partition_materialization_attempts_without_materializations(key)
    )
    return found


def claimed_by_backfills(view: Any) -> Iterator[tuple[dg.AssetKey, str]]:
    """Yield what the backfills that an evaluation of automation conditions sees are going to make."""
    subset = view.get_inner_queryer_for_back_compat().get_active_backfill_in_progress_asset_graph_subset()
    for at in subset.iterate_asset_partitions():
        if at.partition_key:
            yield at.asset_key, at.partition_key


# --- What the daemon and the code server say ----------------------------------------


def chosen_in_the_ui(instance: dg.DagsterInstance) -> dict[str, str]:
    """Return what somebody chose for sensors and schedules: RUNNING or STOPPED by name.

    What nobody has touched is DECLARED_IN_CODE or missing. The states are public, their type is not.
    """
    return {state.instigator_name: state.status.value for state in instance.all_instigator_state()}


def definitions_loaded(host: str, port: int) -> bool:
    """Return whether a code server answers, and with definitions rather than an error.

    ``dagster api grpc-health-check`` is public, but succeeds even if the definitions do not load.
    """
    try:
        answer = dg.deserialize_value(DagsterGrpcClient(host=host, port=port).list_repositories())
    except DagsterUserCodeUnreachableError:
        return False
    return isinstance(answer, ListRepositoriesResponse)


# --- Runs that lost their process ----------------------------------------------------


def free_slots(instance: dg.DagsterInstance, run_id: str) -> None:
    """Give back what a run holds of concurrency pools. The daemon does it only some minutes after a run's end."""
    storage = instance.event_log_storage
    if storage.supports_global_concurrency_limits:
        storage.free_concurrency_slots_for_run(run_id)


# --- Recorded events ----------------------------------------------------------------

#: The columns that hold serialized events.
_COLUMNS = (
    (SqlEventLogStorageTable, "event"),
    (AssetKeyTable, "last_materialization"),
    (AssetCheckExecutionsTable, "evaluation_event"),
)
#: Events that are read together.
_AT_ONCE = 200


def is_sql(instance: dg.DagsterInstance) -> bool:
    """Return whether the instance keeps its events in a database that `event_databases` can open."""
    return isinstance(instance.event_log_storage, SqlEventLogStorage)


def event_databases(instance: dg.DagsterInstance) -> Iterator[tuple[Callable[[], Any], str | None]]:
    """Yield every database of recorded events: how to connect, and its file where it is one.

    Dagster offers no way to change recorded metadata, and deleting an event would make its month look unmade.
    """
    storage: Any = instance.event_log_storage
    if isinstance(storage, SqliteEventLogStorage):
        # Events that somebody reported without a run have a file too, whose name a search for files passes over.
        runless = [""] if Path(storage.path_for_shard("")).exists() else []
        for run_id in [*storage.get_all_run_ids(), *runless]:
            yield partial(storage.run_connection, run_id), storage.path_for_shard(run_id)
        yield storage.index_connection, storage.path_for_shard("index")
    else:
        yield storage.index_connection, None


def rewrite_events(connection: Any, rewrite: Callable[[str | None, Any], Any | None]) -> int:
    """Rewrite recorded events in place.

    Parameters
    ----------
    connection : sqlalchemy connection
        To one of `event_databases`.
    rewrite : callable
        Takes an event's asset and decoded value and returns the new value; None leaves the event as
        it is.

    Returns
    -------
    int
        How many were rewritten.
    """
    count = 0
    for table, name in _COLUMNS:
        if not sa.inspect(connection).has_table(table.name):
            continue
        column = table.c[name]
        numbers = [number for (number,) in connection.execute(sa.select(table.c.id).where(column.is_not(None)))]
        # Some events hold pictures, and a history has very many events.
        for at in range(0, len(numbers), _AT_ONCE):
            some = table.c.id.in_(numbers[at : at + _AT_ONCE])
            for number, asset, text in connection.execute(
                sa.select(table.c.id, table.c.asset_key, column).where(some)
            ).fetchall():
                new = rewrite(asset, json.loads(text))
                if new is not None:
                    count += 1
                    connection.execute(table.update().where(table.c.id == number).values({name: json.dumps(new)}))
    return count


# --- A project's template variables -------------------------------------------------


def scope_of_component(file: Path, number: int) -> dg.ResolutionContext:
    """Return what the templates of a component see when Dagster loads it.

    That is also what ``template_vars_module`` names, in its file or in one of a folder above, and the template
    variables of its class. The tree of components is public; what is injected into one of them is not.

    Parameters
    ----------
    file : Path
        The component's ``defs.yaml``.
    number : int
        Which of the file's documents it is, from 0.
    """
    declared: Any = dg.ComponentTree.for_project(file.parent).find_decl_at_path(file.parent)
    scope: dg.ResolutionContext = declared.decls[number].context_with_component_injected_scope.resolution_context
    return scope


# --- The first start on SQLite --------------------------------------------------------

#: Where the databases lie below the instance's folder if ``dagster.yaml`` names no storage, and what each holds.
_DATABASES: dict[str, sa.MetaData] = {
    "history/runs.db": RunStorageSqlMetadata,
    "history/runs/index.db": SqlEventLogStorageMetadata,
    "schedules/schedules.db": ScheduleStorageSqlMetadata,
}


def are_made(home: Path) -> bool:
    """Return whether the SQLite databases below a folder exist and each says its one revision."""
    return all(len(_revisions(home / name)) == 1 for name in _DATABASES)


def mend_heads(home: Path) -> None:
    """Keep the newest of several revisions that a database says it has; remove one whose making broke off.

    Two processes that made an instance at once each wrote one: the second took the first one's new tables for
    those of an old release. Alembic refuses such a database for ever.

    Raises
    ------
    ConfigError
        If a database lacks something of the newest revision, so that nobody knows which changes it has.
    """
    for name, holds in _DATABASES.items():
        database = home / name
        revisions = _revisions(database)
        if not revisions and _is_begun(database):
            for suffix in ("", "-wal", "-shm"):
                Path(f"{database}{suffix}").unlink(missing_ok=True)
        if len(revisions) < 2:
            continue
        newest = ScriptDirectory.from_config(get_alembic_config(sqlite_run_storage.__file__)).get_current_head()
        with contextlib.closing(sqlite3.connect(database)) as connection:
            found = {
                (table, column)
                for table in holds.tables
                for _, column, *_ in connection.execute(f"PRAGMA table_info('{table}')")
            }
            wanted = {(table.name, column.name) for table in holds.tables.values() for column in table.columns}
            if newest not in revisions or wanted - found:
                raise ConfigError(
                    f"{database} says that it has several revisions of its schema ({', '.join(revisions)}), and is "
                    f"not whole in that of Dagster {dg.__version__}.",
                    f"Move {home} away and give the command again: the history of runs begins anew, the lake stays.",
                )
            with connection:
                connection.execute("DELETE FROM alembic_version WHERE version_num <> ?", (newest,))


def _is_begun(database: Path) -> bool:
    """Return whether a database without a revision is empty; Dagster would take it for one of an old release."""
    with contextlib.suppress(sqlite3.Error), contextlib.closing(sqlite3.connect(database)) as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        return not any(connection.execute(f"SELECT 1 FROM {name} LIMIT 1").fetchone() for (name,) in tables)  # noqa: S608
    return False


def _revisions(database: Path) -> list[str]:
    """Return what a database says of its schema; nothing if it is being made."""
    try:
        with contextlib.closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
            return [name for (name,) in connection.execute("SELECT version_num FROM alembic_version ORDER BY 1")]
    except sqlite3.Error:
        return []


# --- Checks of a run that failed ----------------------------------------------------


def forget_checks_not_run(instance: dg.DagsterInstance, run_id: str) -> int:
    """Take back that checks were planned which a run that has ended never evaluated.

    A run plans all its checks at its beginning. Once it has failed, Dagster shows each that was not evaluated as
    "execution failed", as if something were wrong with it; without the plan it shows the result of before, or none.
    There is no public way to take a plan back.

    Parameters
    ----------
    instance : DagsterInstance
        Where the run is recorded.
    run_id : str
        The run. Nothing of it may be running any more.

    Returns
    -------
    int
        How many were taken back.
    """
    storage: Any = instance.event_log_storage
    if not is_sql(instance) or not storage.supports_asset_checks:
        return 0
    table = AssetCheckExecutionsTable
    never = (table.c.run_id == run_id) & (table.c.execution_status == AssetCheckExecutionRecordStatus.PLANNED.value)
    with storage.index_connection() as connection:
        return int(connection.execute(table.delete().where(never)).rowcount)


# --- SQLite -------------------------------------------------------------------------


@contextlib.contextmanager
def calm_sqlite() -> Iterator[None]:
    """Let Dagster's SQLite storages keep their connections while months run.

    Dagster opens the database again for each of an event's several writes. Three things make
    that slow on a laptop, and none is needed: a full disk synchronisation at every commit,
    merging the write-ahead log whenever the last connection closes, and compiling the
    same few statements each time, because compiled statements go with the SQLAlchemy engine.
    Commits are synchronised as SQLite recommends for write-ahead logs: a power cut may cost
    the last events of a run's history, never the database, and no data of the lake.

    The public way (SQLAlchemy's ``connect`` event on every engine, and one held connection
    for each file) took 36 instead of 24 processor seconds for three months of the demo,
    because statements are still compiled each time.

    An event, and the events that Dagster hands over together, are stored by `_store_events`.
    """
    #: Those in use last are last.
    engines: dict[str, sa.Engine] = {}
    lock = threading.Lock()

    def kept_engine(url: str, **options: Any) -> sa.Engine:
        with lock:
            engine = engines.pop(url, None)
            if engine is None:
                # A pool, not one connection: Dagster nests its transactions, and an inner one on the same
                # connection would undo the outer one's writes.
                engine = sa.create_engine(url, **options | {"poolclass": sa.QueuePool})
                sa.event.listen(engine, "connect", _relax_commits)
                # Dagster disposes of an engine after each use; here that happens when others are in use.
                setattr(engine, "dispose", lambda: None)  # noqa: B010 - the type says it is no attribute
            engines[url] = engine
            # Every run has a database of its own, and an engine's statements take more than a megabyte.
            if len(engines) > _ENGINES:
                sa.Engine.dispose(engines.pop(next(iter(engines))))
            return engine

    # Dagster offers no setting for this: its storages take the function from their own module.
    storages: tuple[Any, ...] = (sqlite_event_log, sqlite_run_storage)
    own = [storage.create_engine for storage in storages]
    for storage in storages:
        storage.create_engine = kept_engine
    events: Any = SqliteEventLogStorage
    own_ways = {name: getattr(events, name) for name in ("store_event", "store_event_batch", "_initdb")}
    size, empty = os.environ.get(_BATCH_SIZE), b""

    def initdb(storage: Any, engine: sa.Engine, for_index_shard: bool = False) -> None:
        # Every run has a database of its own, which Alembic takes as long to make as fifty events to store.
        nonlocal empty
        database = Path(str(engine.url.database))
        if empty and not for_index_shard and not database.exists():
            database.write_bytes(empty)
            return
        new = not database.exists()
        own_ways["_initdb"](storage, engine, for_index_shard)
        if new and not for_index_shard:
            with contextlib.closing(sqlite3.connect(database)) as connection:
                empty = connection.serialize()

    events._initdb = initdb
    events.store_event = lambda self, event: _store_events(self, [event])
    events.store_event_batch = _store_events
    os.environ[_BATCH_SIZE] = size or "500"
    try:
        yield
    finally:
        for name, way in own_ways.items():
            setattr(events, name, way)
        os.environ.pop(_BATCH_SIZE) if size is None else os.environ.update({_BATCH_SIZE: size})
        for storage, function in zip(storages, own, strict=True):
            storage.create_engine = function
        for engine in engines.values():
            sa.Engine.dispose(engine)


#: The databases of the instance's runs, events and schedules, and those of the newest runs.
_ENGINES = 8
#: Dagster's own variable: how many events that belong together are stored together, such as a run's plan.
_BATCH_SIZE = "DAGSTER_EVENT_BATCH_SIZE"
_MIRRORED = {*ASSET_EVENTS, *ASSET_CHECK_EVENTS, *EVENT_TYPE_TO_PIPELINE_RUN_STATUS}


def _store_events(storage: Any, events: Sequence[Any]) -> None:
    """Store events of one run as Dagster does, in one transaction for each of the two databases.

    Dagster takes up to three for each event, compiles a statement for each, and asks each time whether
    the database has tables for checks: half the time that it needs for a month.
    """
    rows = [storage._event_to_row(event) for event in events]
    insert = SqlEventLogStorageTable.insert()
    with storage.run_connection(events[0].run_id) as connection:
        connection.execute(insert, rows)
    kinds = [event.dagster_event_type if event.is_dagster_event else None for event in events]
    if _MIRRORED.isdisjoint(kinds):
        return
    with storage.index_connection() as connection:
        # Dagster's own methods, inside this transaction.
        inside = copy.copy(storage)
        inside.index_connection = lambda: contextlib.nullcontext(connection)
        inside.has_table = cache(sa.inspect(connection).has_table)
        for event, kind, row in zip(events, kinds, rows, strict=True):
            if kind not in _MIRRORED:
                continue
            number = connection.execute(insert, row).inserted_primary_key[0]
            if kind in ASSET_EVENTS:
                inside._store_asset_event_tags(connection, [event], [number])
                inside._store_asset_event(connection, event, number)
            elif kind in ASSET_CHECK_EVENTS:
                inside.store_asset_check_event(event, number)


def _relax_commits(connection: sqlite3.Connection, _record: object) -> None:
    connection.execute("PRAGMA synchronous = NORMAL")
