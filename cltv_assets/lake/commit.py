"""The commit protocol: it replaces one whole month in one atomic commit.

Delta's commit is atomic and detects conflicts by what a transaction read. Two
facts about deltalake 1.6, both verified, explain the protocol:

- Overwriting different months from the same table version conflicts although
  nothing is wrong. The files are staged already, so committing them again on
  the newer version costs milliseconds.
- Overwriting the same month from the same version does *not* conflict while the
  month is new: both writers' rows would land. So each commit carries an
  application transaction, ``month=… -> number of its publications``, and two
  commits with the same application name do conflict.

That number also tells whether someone else published the month between the
beginning of the writing and the commit, and that a month without rows was
published at all.
"""

from __future__ import annotations

import json
import random
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from deltalake import CommitProperties, DeltaTable, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError
from deltalake.transaction import AddAction, RemoveAction

from cltv_assets.columns import MONTH
from cltv_assets.errors import ConcurrentPublishError, LakeError
from cltv_assets.files.storage import month_folder
from cltv_assets.files.store_faults import fault_of
from cltv_assets.lake.log import KEEP_LOG
from cltv_assets.lake.staging import StagedFile, StagedMonth
from cltv_assets.months import Month

#: The waits grow to a second, so these tries last through minutes of other months' commits.
MAX_ATTEMPTS = 200
_FIRST_WAIT_SECONDS = 0.02
_LONGEST_WAIT_SECONDS = 1.0

#: In the commit's metadata: tells our commit from others when its outcome is unclear.
_PUBLISH_ID = "cltv_assets.publishId"
#: In the commit's metadata: the digest of each file that it adds. Delta's add action has a place for the size only;
#: its tags cannot be set through deltalake 1.6.
_DIGESTS = "cltv_assets.digests"
#: Begins a month's other application transaction: the number of its newest publication by a run that records it.
RECORDED = "recorded "


@dataclass(frozen=True)
class Commit:
    """A landed commit: the table's versions that it made and was based on, and how many tries it took."""

    version: int
    snapshot: int
    attempts: int


def publications(table: DeltaTable, month: Month) -> int:
    """Return how often a month was published; 0 for never."""
    return table.transaction_version(month_folder(month)) or 0


def digests(table: DeltaTable) -> dict[str, str]:
    """Return the digests of files by their paths below the table; those of earlier releases have none."""
    found: dict[str, str] = {}
    try:
        for made in table.history():
            found |= made.get(_DIGESTS, {})
    except DeltaError:
        # An entry before the newest checkpoint is torn. The table can be read, its digests cannot.
        return {}
    return found


def replace_month(
    load: Callable[[], DeltaTable],
    count: Callable[[DeltaTable, Month], int],
    check: Callable[[StagedMonth], None],
    folder: str,
    staged: StagedMonth,
    metadata: Mapping[str, str],
    *,
    recorded: bool = False,
) -> Commit:
    """Make the staged files the month's only files.

    ``load`` returns the newest version of the table that lies in ``folder``, ``count`` a month's
    `publications` in it; ``check`` raises if the staged files cannot be committed; ``metadata`` is kept in the commit.
    With ``recorded`` the run tells its orchestrator the number of the publication, and the table keeps that number.

    Raises
    ------
    ConcurrentPublishError
        If another process published the month since the writing began.
    ErasedMeanwhileError
        If a customer was erased since then: see ``fence``.
    LakeError
        If the commit cannot be written, or other commits kept coming first.
    """
    publish_id = uuid.uuid4().hex
    actions: list[AddAction | RemoveAction] = [_add_action(folder, staged, file) for file in staged.files]
    digests = {_path_in(folder, file): file.digest for file in staged.files}
    names = [month_folder(staged.month), *([RECORDED + month_folder(staged.month)] if recorded else [])]
    properties = CommitProperties(
        custom_metadata={**metadata, _PUBLISH_ID: publish_id, _DIGESTS: digests},
        app_transactions=[Transaction(app_id=name, version=staged.base_version + 1) for name in names],
        max_commit_retries=100,
    )
    table = load()
    error: Exception | None = None
    remote = "://" in folder
    for attempt in range(1, MAX_ATTEMPTS + 1):
        staged.staging.fence.check(table)
        if count(table, staged.month) != staged.base_version:
            raise ConcurrentPublishError(
                f"Another run published month {staged.month} of table {staged.schema.name} while this one was "
                "writing it; that run's rows stand, this run's are dropped.",
                f"If this run's were meant to stand, run month {staged.month} again.",
            )
        check(staged)
        snapshot = table.version()
        staged.staging.maybe_published = True
        error = _try(table, staged, actions, properties)
        # Look even after an error: a commit may land and still report one (a failed checkpoint, a request that
        # timed out). With others committing, its version is not simply the next either.
        table = load()
        version = _version_of(table, snapshot, publish_id)
        if version is not None or error is None:
            return Commit(version or table.version(), snapshot, attempt)
        # A remote store may still carry out a request that it did not answer.
        staged.staging.maybe_published = remote and not isinstance(error, CommitFailedError)
        if not isinstance(error, CommitFailedError):
            break
        longest = min(_LONGEST_WAIT_SECONDS, _FIRST_WAIT_SECONDS * 2 ** min(attempt, 10))
        time.sleep(random.uniform(0, longest))  # noqa: S311 - spreads writers, guards nothing
    if remote and error is not None and not isinstance(error, CommitFailedError):
        raise fault_of(error, f"{folder}/{month_folder(staged.month)}") from error
    raise LakeError(
        f"Cannot publish month {staged.month} of table {staged.schema.name} ({folder}): {error}.",
        "Look whether the disk is full or read-only and whether other runs are writing, then run the month again.",
    ) from error


def _try(
    table: DeltaTable, staged: StagedMonth, actions: list[AddAction | RemoveAction], properties: CommitProperties
) -> Exception | None:
    try:
        table.create_write_transaction(
            actions,
            mode="overwrite",
            schema=staged.schema.delta,
            partition_by=[MONTH],
            partition_filters=[(MONTH, "=", staged.month.first_day.isoformat())],
            commit_properties=properties,
            post_commithook_properties=KEEP_LOG,
        )
    except (DeltaError, OSError) as error:
        return error
    return None


def _version_of(table: DeltaTable, snapshot: int, publish_id: str) -> int | None:
    """Return the version that a publish made after ``snapshot``, or None if it made none."""
    newer = table.version() - snapshot
    commits = table.history(newer) if newer > 0 else []
    return next((int(commit["version"]) for commit in commits if commit.get(_PUBLISH_ID) == publish_id), None)


def _add_action(folder: str, staged: StagedMonth, file: StagedFile) -> AddAction:
    return AddAction(
        path=_path_in(folder, file),
        size=file.bytes,
        partition_values={MONTH: staged.month.first_day.isoformat()},
        modification_time=int(time.time() * 1000),
        data_change=True,
        stats=json.dumps(file.delta_statistics(len(staged.schema.columns))),
    )


def _path_in(folder: str, file: StagedFile) -> str:
    return file.path.removeprefix(f"{folder}/")
