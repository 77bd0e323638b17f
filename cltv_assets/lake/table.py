"""One Delta table of the lake, read and published by month."""

from __future__ import annotations

import datetime as dt
import time
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, replace

import pyarrow.parquet as pq
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError

from cltv_assets.columns import MONTH, TableSchema
from cltv_assets.errors import LakeError, MissingMonthsError
from cltv_assets.files.probe import CHOOSE_ROOT
from cltv_assets.files.storage import Storage, month_folder
from cltv_assets.files.store_faults import fault_of
from cltv_assets.lake import commit
from cltv_assets.lake.damage import PublishedFile, Verified, compare, files_of
from cltv_assets.lake.fence import Fence, raise_fence, value_of
from cltv_assets.lake.log import LOG, transactions
from cltv_assets.lake.opening import Opener, adopt, check_table, configuration
from cltv_assets.lake.staging import StagedMonth, Staging
from cltv_assets.months import Month

_CREATE_ATTEMPTS = 10
_CREATE_WAIT_SECONDS = 0.05


@dataclass(frozen=True)
class PublishedMonth:
    """A month as published.

    Parameters
    ----------
    table : str
        Name of the table.
    month : Month
        The published month.
    uri : str
        Folder of the month.
    version : int
        The table's version that this publication made.
    rows, bytes : int
        What it holds.
    publication : int
        How often the month was published, this time included.
    attempts : int
        Tries that the commit took; more than one where other months were
        committed at the same moment.
    """

    table: str
    month: Month
    uri: str
    version: int
    rows: int
    bytes: int
    publication: int
    attempts: int


class LakeTable:
    """One table of the lake. Get it from ``Lake.table``.

    Every method looks at the table again and answers from one version of it.
    """

    def __init__(self, storage: Storage, opener: Opener, schema: TableSchema, graph: str) -> None:
        self.schema = schema
        #: Absolute folder or URI: what any Delta reader opens.
        self.uri = storage.uri(schema.name)
        self._graph = graph
        self._storage = storage
        self._opener = opener

    def ensure(self) -> None:
        """Create the table if it is missing. Several processes may do so at once.

        Raises
        ------
        LakeFormatError
            If a newer version of this package wrote the table.
        LakeError
            If the folder holds something else, or the table has other columns.
        """
        self._ensured()

    def check(self) -> None:
        """Raise a ``LakeError`` if the table is there and a month could not be written: of other horizons, say.

        Reading does without those: columns that a month was made without are null.
        """
        self._open(to_write=True)

    def begin(self, month: Month) -> Staging:
        """Open a place to write a month. Creates the table if it is missing.

        Call it before reading what the month is made from: publishing fails if another process publishes the
        month after this call, or a customer is erased.
        """
        table = self._ensured()
        fence = self._fence(f"table {self.schema.name}", month, table)
        return Staging(self._storage, self.schema, month, self._publications(table, month), fence)

    def fence(self, making: str, month: Month) -> Fence:
        """Note this table's fence for what is made from it and has no log of its own: ``making``, of a month."""
        return self._fence(making, month, self._open())

    def publish(
        self, staged: StagedMonth, commit_metadata: Mapping[str, str] | None = None, *, recorded: bool = False
    ) -> PublishedMonth:
        """Replace a month by what was staged for it, in one atomic commit.

        What is staged can be published once; without files it empties the month. Delta's log
        keeps ``commit_metadata``: the run, the model, …. With ``recorded`` the caller records the
        number of the publication elsewhere, and `recorded` gives it, so that both can be compared.

        Raises
        ------
        ConcurrentPublishError
            If another process published the month since ``begin``. The staged
            files are deleted.
        ErasedMeanwhileError
            If a customer was erased since then. The staged files are deleted.
        LakeError
            If the staged files are gone or changed, hold null where the table
            must not, or the commit cannot be written.
        """
        if staged.schema != self.schema or staged.staging.maybe_published:
            raise ValueError(f"{staged.month} of {staged.schema.name} is not for {self.schema.name}, or was published")
        try:
            metadata, look = commit_metadata or {}, (self._load, self._publications, self._check_staged)
            made = commit.replace_month(*look, self.uri, staged, metadata, recorded=recorded)
        except BaseException:
            staged.discard()  # keeps the files where the commit's outcome is unknown
            raise
        if self._storage.local:
            self._storage.sync(self._log_files(made))
        return PublishedMonth(
            self.schema.name,
            staged.month,
            f"{self.uri}/{month_folder(staged.month)}",
            made.version,
            staged.rows,
            staged.bytes,
            staged.base_version + 1,
            made.attempts,
        )

    def version(self) -> int | None:
        """Return the table's newest version, or None if there is no table."""
        table = self._open()
        return None if table is None else int(table.version())

    def is_published(self, month: Month) -> bool:
        """Whether a month was ever published, with rows or without."""
        return month in self.published([month])

    def published(self, months: Iterable[Month]) -> set[Month]:
        """Return those of ``months`` that were ever published, with rows or without."""
        table = self._open()
        if table is None:
            return set()
        # The log itself is read only for what has no files: an empty month, or none at all.
        wanted = set(months)
        with_rows = {file.month for file in self._files(wanted, table)}
        return with_rows | {month for month in wanted - with_rows if self._publications(table, month)}

    def published_at(self, month: Month) -> dt.datetime | None:
        """Return when a month's rows were published, in UTC; None if it has none, or was never published."""
        times = [file.at for file in self._files([month])]
        return dt.datetime.fromtimestamp(max(times) / 1000, dt.UTC) if times else None

    def months(self) -> list[Month]:
        """Return every month that has rows, oldest first, whatever the settings say."""
        return sorted({file.month for file in self._files(None)})

    def require(self, months: Iterable[Month], remedy: str | None = None) -> None:
        """Raise a ``MissingMonthsError`` unless all of ``months`` are published.

        It names the table, the missing months, and the ``remedy``: by default the command that
        makes them.
        """
        wanted = sorted(set(months))
        published = self.published(wanted)
        missing = _ranges(month for month in wanted if month not in published)
        if missing:
            named = ", ".join(str(a) if a == b else f"{a} to {b}" for a, b in missing)
            commands = " and ".join(f"`cltv run --from {a} --to {b}`" for a, b in missing)
            raise MissingMonthsError(
                f"Table {self.schema.name} ({self.uri}) has no data for {named}.", remedy or f"Run {commands} first."
            )

    def files(self, months: Iterable[Month]) -> list[str]:
        """Return the published files of just these months, all of one version.

        They stay readable, whatever is published meanwhile, until ``vacuum``.
        Read them as files (DuckDB, Spark, ``pyarrow.dataset``); the column ``month`` is in their
        folders' names, below the table's own folder. An empty or missing month has none.
        """
        found = [f"{self.uri}/{file.path}" for file in self._files(months)]
        self._opener.handed_out.setdefault(self.schema.name, set()).update(found)
        return found

    def verify(
        self,
        months: Iterable[Month] | None = None,
        *,
        contents: bool = True,
        files: Container[str] | None = None,
        looking: Callable[[Month], object] = lambda _month: None,
    ) -> Verified:
        """Compare published files with what the newest version says of them.

        Parameters
        ----------
        months : iterable of Month, optional
            By default all.
        contents : bool
            Whether every file is read and its digest compared. Existence and size take one listing of the folder.
        files : container of str, optional
            Only these are read.
        looking : callable
            Called with the month before each of its files is read.
        """
        table = self._open()
        wanted = None if months is None else set(months)
        named = self._files(wanted, table)
        if table is None or not named:
            return Verified(0, 0, [])
        digests = commit.digests(table) if contents else None
        found = compare(self._storage, self.uri, self.schema.name, named, digests, files, looking)
        if found.damage:
            # Another run may have replaced the month since, and its old files may be gone.
            still = {f"{self.uri}/{file.path}" for file in self._files(wanted)}
            found = replace(found, damage=[one for one in found.damage if one.file in still])
        return found

    def recorded(self, months: Iterable[Month]) -> dict[Month, int]:
        """Return the newest publication of months by a run that records it, as `PublishedMonth.publication`.

        Months that earlier releases published, and publications by ``cltv forget``, are not among them.
        """
        table = self._open()
        if table is None:
            return {}
        names = {month: commit.RECORDED + month_folder(month) for month in months}
        try:
            found = transactions(self._storage, self.uri, table.version())
        except FileNotFoundError:
            # Another program made checkpoints of another form, and removed the entries before.
            found = {name: table.transaction_version(name) or 0 for name in names.values()}
        return {month: found[name] for month, name in names.items() if found.get(name)}

    def columns(self, month: Month) -> frozenset[str]:
        """Return the names of the columns that a month's files have; none of a month without rows."""
        found: set[str] = set()
        for path in self.files([month]):
            with self._storage.asking(path), self._storage.open(path) as source:
                found.update(pq.read_schema(source).names)
        return frozenset(found)

    def rows(self) -> int:
        """Return the rows of all months, from the log alone."""
        return sum(file.rows for file in self._files(None))

    def row_counts(self, months: Iterable[Month]) -> dict[Month, int]:
        """Return the rows of those of ``months`` that are published, from the log alone."""
        table = self._open()
        if table is None:
            return {}
        wanted = set(months)
        rows: Counter[Month] = Counter()
        for file in self._files(wanted, table):
            rows[file.month] += file.rows
        empty = [month for month in wanted - set(rows) if self._publications(table, month)]
        return dict(sorted({**rows, **dict.fromkeys(empty, 0)}.items()))

    def vacuum(self, older_than_hours: int) -> int:
        """Delete the files that no reader can need any more; return how many.

        Those are replaced months' files, and what killed writers left behind. Files written or
        replaced more recently than ``older_than_hours`` are spared. That must be longer than the
        longest run and the longest query: a step that stages for longer finds its files gone and fails.
        With 0 nothing is spared, and what was begun before cannot be published: see ``fence``.
        """
        table = self._open()
        if table is None:
            return 0
        # Ask Delta what is stale, then delete our own kind only: its vacuum takes any file that lies in the folder.
        stale = table.vacuum(older_than_hours, dry_run=True, enforce_retention_duration=False, full=True)
        doomed = [path for path in stale if path.startswith(f"{MONTH}=") and path.endswith(".parquet")]
        oldest = (time.time() - older_than_hours * 3600) * 1e9
        doomed += [
            f"{LOG}/{entry.name}"
            for entry in self._storage.entries(f"{self.uri}/{LOG}")
            # A writer killed within the commit itself leaves its temporary name.
            if ".json#" in entry.name and entry.mtime_ns <= oldest
        ]
        if not older_than_hours:
            self._raise_fence()
            published = {file.path for file in self._files(None)}
            doomed = [path for path in doomed if path not in published]
        # Delta names replaced files again and again, long after they are gone: count what there was. On S3 it also
        # names the empty object that stands for a folder; deleting that would take the published files inside along.
        addresses = (f"{self.uri}/{path}" for path in doomed)
        return sum(self._storage.delete(uri) for uri in addresses if self._storage.size(uri) is not None)

    def adopt(self) -> bool:
        """Make the table this graph's; return whether it was another's."""
        table = self._opener.newest(self.schema)
        return table is not None and adopt(table, self._graph)

    def _ensured(self) -> DeltaTable:
        """Return the newest version of the table, which is created if it is missing."""
        error: Exception | None = None
        for _ in range(_CREATE_ATTEMPTS):
            table = self._open(to_write=True)
            if table is not None:
                return table
            self._refuse_foreign_folder()
            try:
                DeltaTable.create(
                    self.uri,
                    schema=self.schema.delta,
                    mode="ignore",
                    partition_by=[MONTH],
                    name=self.schema.name,
                    description=self.schema.description,
                    configuration=configuration(self._graph),
                    storage_options=self._storage.options,
                    raise_if_key_not_exists=False,
                )
            except (DeltaError, OSError) as failed:
                # Another process is probably creating it at this moment, so look again.
                error = failed
                time.sleep(_CREATE_WAIT_SECONDS)
        if error is not None and not self._storage.local:
            raise fault_of(error, self.uri) from error
        raise LakeError(
            f"Cannot create table {self.schema.name} at {self.uri}: {error}.",
            f"Make that folder writable, or {CHOOSE_ROOT}.",
        ) from error

    def _open(self, *, to_write: bool = False, fresh: bool = False) -> DeltaTable | None:
        """Return the newest version of the table, or None if there is none."""
        table = self._opener.newest(self.schema, fresh=fresh)
        if table is not None:
            # Metadata change with a new version only.
            checked = self.schema, self._graph, to_write
            uri, graph = self.uri, self._graph
            self._opener.known(
                table, checked, lambda: check_table(table, self.schema, uri, graph, any_horizons=not to_write)
            )
        return table

    def _fence(self, making: str, month: Month, table: DeltaTable | None) -> Fence:
        return Fence(making, month, value_of(table), lambda: self._open(fresh=True))

    def _raise_fence(self) -> None:
        try:
            raise_fence(lambda: self._open(fresh=True))
        except (DeltaError, OSError) as error:
            if not self._storage.local:
                raise fault_of(error, self.uri) from error
            raise LakeError(
                f"Cannot write the log of table {self.schema.name} ({self.uri}): {error}.",
                "Look whether the disk is full or read-only, then give the command again.",
            ) from error

    def _load(self) -> DeltaTable:
        table = self._open(to_write=True, fresh=True)
        if table is None:
            raise LakeError(f"Table {self.schema.name} at {self.uri} is gone.", "Run the month again.")
        return table

    def _publications(self, table: DeltaTable, month: Month) -> int:
        # Delta replays the log for this.
        return self._opener.known(table, month, lambda: commit.publications(table, month))

    def _files(self, months: Iterable[Month] | None, table: DeltaTable | None = None) -> list[PublishedFile]:
        table = table or self._open()
        if table is None:
            return []
        wanted = None if months is None else set(months)
        files = self._opener.known(table, PublishedFile, lambda: files_of(table))
        return [file for file in files if wanted is None or file.month in wanted]

    def _refuse_foreign_folder(self) -> None:
        held = [e.name for e in self._storage.entries(self.uri) if not e.name.startswith((".", LOG))]
        # A table that another process created meanwhile explains what lies there.
        if held and self._open() is None:
            raise LakeError(
                f"{self.uri} is not a table of this lake: it holds {', '.join(held[:3])} and no Delta log.",
                f"Move it away, or {CHOOSE_ROOT}.",
            )

    def _check_staged(self, staged: StagedMonth) -> None:
        """Refuse files that vanished, changed or break the table; flush the others to disk."""
        required = [column.name for column in self.schema.columns if not column.nullable]
        for file in staged.files:
            if self._storage.size(file.path) != file.bytes:
                raise LakeError(
                    f"{file.path}, written for table {self.schema.name}, month {staged.month}, was removed or changed "
                    "after it was checked.",
                    "Look whether a vacuum or a clean-up deletes files younger than a run, then run the month again.",
                )
            null = [f"{name} ({n})" for name in required if (n := file.null_counts.get(name, 0))]
            if null:
                raise LakeError(
                    f"{file.path}, written for table {self.schema.name}, month {staged.month}, has rows without "
                    f"{', '.join(null)}.",
                    "The table's checks say which; a column that may be empty must be declared so in its schema.",
                )
        folders = {folder for file in staged.files for folder in self._storage.parents(file.path)}
        self._storage.sync([*staged.paths, *sorted(folders)])

    def _log_files(self, made: commit.Commit) -> list[str]:
        """Return what to flush after a commit: neither we nor delta-rs's rename do it otherwise.

        The versions since the snapshot are others' commits of this very moment,
        which ours stands on.
        """
        names = [f"{version:020}.json" for version in range(made.snapshot, made.version + 1)]
        names += [f"{made.version:020}.checkpoint.parquet", "_last_checkpoint"]
        log = f"{self.uri}/{LOG}"
        written = (f"{log}/{name}" for name in names)
        return [path for path in written if self._storage.size(path) is not None] + [log]


def _ranges(months: Iterable[Month]) -> list[tuple[Month, Month]]:
    """Return the first and last month of each unbroken run of sorted months."""
    found: list[tuple[Month, Month]] = []
    for month in months:
        if found and month == found[-1][1].shift(1):
            found[-1] = found[-1][0], month
        else:
            found.append((month, month))
    return found
