"""The sensor ``cltv_source_files``: requests the months that new, changed or removed files touch.

``source_changes`` decides. This module keeps each look cheap, and waits until files are complete.

- Nothing is read if neither the listing nor the state of the months has changed since the last
  completed look.
- A listing counts only if two looks find it the same, because half a delivery is worse than
  none. If a source keeps changing, the sensor looks at it after a while all the same, without
  the files that have just changed.
- Files are read in the background, so a look takes seconds, however long a file takes.
- If the source cannot be listed or read, every tick fails with the message until that is mended:
  the UI shows a failed tick clearly, but not a skipped one.

The cursor holds two digests, and a digest for each month that was requested but is not landed
yet. Without a cursor, the next looks find the same in the months' records.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import dagster as dg

from cltv_assets.dagster_defs.automation.expectations import DEFAULT_DUE, closes
from cltv_assets.dagster_defs.automation.landed import LandedMonths
from cltv_assets.dagster_defs.automation.source_changes import (
    Content,
    Decision,
    Landed,
    State,
    also_gone,
    contents_now,
    decide,
    losses_of,
    unknown_files,
)
from cltv_assets.dagster_defs.failures import nothing_quoted
from cltv_assets.dagster_defs.naming import Names
from cltv_assets.dagster_defs.resources.s3 import object_store_for
from cltv_assets.errors import SourceError
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.sources import TransactionSource, new_source
from cltv_assets.sources.delivered import RAW_TRANSACTIONS
from cltv_assets.sources.files import SourceFile
from cltv_assets.sources.losses import Loss
from cltv_assets.sources.watching import ContentReader

#: Plain name; ``Names`` adds the prefix.
SOURCE_SENSOR = "cltv_source_files"

#: Seconds between two looks.
INTERVAL = 60
#: How long the sensor waits for a source that keeps changing.
_PATIENCE = dt.timedelta(minutes=15)
#: Seconds that a look waits for files to be read: a tick may take a minute.
_READING = 20.0
#: How long after a month was due the schedule and the automation have to start it.
_GRACE = dt.timedelta(hours=1)
#: How many file names a run's tag lists.
_SHOWN = 3


@dataclass(frozen=True)
class Cursor:
    """What one look remembers for the next.

    Parameters
    ----------
    seen : str
        Digest of the listing at the last look.
    restless_since : float or None
        Since when (seconds since 1970) the listing has been changing.
    done : str
        Digest of listing and state at the last completed look.
    tried : mapping of str to str
        For each month, the digest of content that was requested or tried but is not landed.
    lost : str
        What the last completed look said of months that would lose lines.
    """

    seen: str = ""
    restless_since: float | None = None
    done: str = ""
    tried: Mapping[str, str] = field(default_factory=dict)
    lost: str = ""

    @classmethod
    def parse(cls, text: str | None) -> Cursor:
        """Read a cursor; a missing one, or one of another version, counts as empty."""
        try:
            found = json.loads(text or "{}")
            return cls(**found)
        except (ValueError, TypeError):
            return cls()

    def text(self) -> str:
        """Return the cursor as Dagster keeps it."""
        return json.dumps(asdict(self), sort_keys=True)


@dataclass(frozen=True)
class Look:
    """The result of a look.

    Parameters
    ----------
    cursor : Cursor
        What to remember for the next look.
    requests : list of (Month, str, str)
        Month, run key, and the files that touch the month.
    reason : str
        Why nothing is requested, or why some months are not.
    """

    cursor: Cursor
    requests: Sequence[tuple[Month, str, str]] = ()
    reason: str = ""


class SourceWatch:
    """Compares the source's files with what was landed of them.

    Parameters
    ----------
    settings : Settings
        They give the source, the months and the trigger.
    job : str
        Name of the job that makes a month.
    reading : float, optional
        Seconds that a look waits for files to be read.
    """

    def __init__(self, settings: Settings, job: str, reading: float = _READING) -> None:
        self._settings = settings
        self._landed = LandedMonths(Names(settings.asset_prefix), job)
        self._reader = ContentReader(self._open)
        self._reading = reading

    def look(self, instance: dg.DagsterInstance, cursor: Cursor, now: dt.datetime, repository: Any = None) -> Look:
        """Return what to request.

        Parameters
        ----------
        instance : DagsterInstance
            Where runs and materialisations are recorded.
        cursor : Cursor
            What the last look remembered.
        now : datetime.datetime
            With a zone.
        repository : RepositoryDefinition, optional
            Shows what running backfills will make.

        Raises
        ------
        SourceError
            If the source cannot be listed, or a changed file cannot be read.
        """
        settings = self._settings
        source = self._open(day := now.astimezone(settings.zone).date())
        files = source.list_files()
        listing = _digest([[file.name, file.size, file.mtime_ns] for file in files])
        since = (cursor.restless_since or now.timestamp()) if listing != cursor.seen else None
        seen = replace(cursor, seen=listing, restless_since=since)
        restless: set[SourceFile] = set()
        if since is not None:
            if now.timestamp() - since < _PATIENCE.total_seconds():
                return Look(seen, reason="The source's files have changed; one more look, to see that they are whole.")
            restless = {file for file in files if file.mtime_ns > (now.timestamp() - INTERVAL) * 1e9}

        last = settings.last_month(day)
        months = list(settings.first_month.until(last)) if settings.first_month <= last else []
        state = self._landed.state(instance, months, repository)
        ours = [month for month in months if self._is_ours(month, now)]
        at = _digest([listing, _summary(state), [month.key for month in ours]])
        if at == cursor.done:
            return Look(seen, reason=cursor.lost or "No file has changed.")

        unknown = []
        # If no month is landed, failed or ours, nothing is requested and no file need be read.
        if state.landed or state.failed or ours:
            unknown = [file for file in unknown_files(files, state.landed) if file not in restless]
        try:
            read = self._reader.read(unknown, day, self._reading)
        except SourceError as error:
            # What else is wrong must not wait until this is mended; what a delivery says is not for Dagster's records.
            raise SourceError(f"{error.problem}{also_gone(files, state.landed)}", error.remedy) from None
        if len(read) < len(unknown):
            left = len(unknown) - len(read)
            return Look(seen, reason=f"Reading changed files: {left:,} of {len(unknown):,} are left.")

        contents = contents_now(files, read, state, source.by_month)
        tried = {Month.parse(key): value for key, value in cursor.tried.items()}
        losses = losses_of(files, read, state, contents, settings.checks.max_lost_share, source.has_files)
        newest = self._newest(source, files, contents)
        decision = decide(state, contents, newest, tried, frozenset(ours).__contains__, losses)
        kept = {month.key: value for month, value in decision.tried.items()}
        lost = _lost(decision.losses)
        done = Cursor(listing, since, cursor.done if restless else at, kept, lost)
        reason = lost or "The files hold what was landed, or what is being made or was tried."
        return Look(done, _requests(decision, state, contents), reason)

    def _open(self, day: dt.date) -> TransactionSource:
        return new_source(self._settings, day, object_store_for(self._settings))

    @staticmethod
    def _newest(
        source: TransactionSource, files: Sequence[SourceFile], contents: Mapping[Month, Content]
    ) -> dict[Month, float]:
        """Return when the newest file of each month arrived or changed."""
        changed = {file.name: source.storage.changed(file.path) or file.mtime_ns / 1e9 for file in files}
        return {
            month: max((changed[name] for name in content if name in changed), default=0.0)
            for month, content in contents.items()
        }

    def _is_ours(self, month: Month, now: dt.datetime) -> bool:
        """Return whether this sensor requests a month that was neither landed nor tried."""
        automation = self._settings.automation
        due = automation.due.get(RAW_TRANSACTIONS.name, DEFAULT_DUE)
        return automation.trigger == "cron" and now >= closes(self._settings, month) + due + _GRACE


def source_sensor(settings: Settings, job: Any) -> dg.SensorDefinition | None:
    """Return the sensor that requests the months that changed files touch.

    Parameters
    ----------
    settings : Settings
        They give the source, and say whether the sensor runs from the start.
    job : job definition
        Makes a month of the whole graph.

    Returns
    -------
    SensorDefinition or None
        ``None`` for the demo, whose one file never changes.
    """
    if settings.source.kind == "cdnow":
        return None
    watch = SourceWatch(settings, job.name)
    running = settings.environment == "production"

    @dg.sensor(
        name=Names(settings.asset_prefix).name(SOURCE_SENSOR),
        job=job,
        minimum_interval_seconds=INTERVAL,
        default_status=dg.DefaultSensorStatus.RUNNING if running else dg.DefaultSensorStatus.STOPPED,
        description="Requests the months that new, changed or removed source files touch.",
    )
    def watch_source_files(context: dg.SensorEvaluationContext) -> dg.SensorResult:
        now = dt.datetime.now(dt.UTC)
        with nothing_quoted():
            look = watch.look(context.instance, Cursor.parse(context.cursor), now, context.repository_def)
        if look.requests and look.cursor.lost:
            # Otherwise it is why the tick is skipped.
            context.log.warning(look.cursor.lost)
        return dg.SensorResult(
            [
                dg.RunRequest(run_key=run_key, partition_key=month.key, tags={"cltv/source_files": why})
                for month, run_key, why in look.requests
            ],
            skip_reason=None if look.requests else look.reason,
            cursor=look.cursor.text(),
        )

    return watch_source_files


def _requests(decision: Decision, state: State, contents: Mapping[Month, Content]) -> list[tuple[Month, str, str]]:
    found = []
    for month, digest in decision.requests.items():
        there = state.landed.get(month)
        # The same content may be needed again after other content was landed or failed. The same
        # state is requested only once, even if the daemon dies meanwhile.
        after = f"{there.number if there else 0}-{state.failed.get(month, 0):.0f}"
        found.append((month, f"{month}:{after}:{digest}", _why(contents[month], there)))
    return found


def _lost(losses: Mapping[Month, Loss]) -> str:
    """Say which months are not requested, because files of them are gone, empty or far smaller."""
    if not losses:
        return ""
    months = sorted(losses)
    named = "; ".join(f"{month}: {losses[month].sentence()}" for month in months[:_SHOWN])
    more = f"; and {len(months) - _SHOWN} more months" if len(months) > _SHOWN else ""
    return (
        f"Not requested, because published lines are not delivered any more: {named}{more}. Bring them back. If the "
        f"loss is meant: cltv run --from {months[0]} --accept-loss {months[0]}."
    )


def _why(content: Content, there: Landed | None) -> str:
    """Return the names of the files that touch a month."""
    before = {name: record.content for name, record in (there.files or {}).items()} if there else {}
    names = [name for name in sorted({*content, *before}) if content.get(name) != before.get(name)]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    # A tag's value has 255 characters at most.
    return (", ".join(name[-70:] for name in names[:_SHOWN]) + more) or "unrecorded"


def _summary(state: State) -> list[Any]:
    return [
        sorted((month.key, there.number) for month, there in state.landed.items()),
        sorted((month.key, at) for month, at in state.busy.items()),
        sorted((month.key, at) for month, at in state.failed.items()),
        sorted(month.key for month in state.refused),
        [month.key for month in state.months],
    ]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()[:32]
