"""Which months the source's files touch: a decision from what is there. No Dagster here.

The record of what was landed is the metadata of each month of ``raw_transactions``:
file by file the size, the time of change, and a digest of the lines that belong to
the month. The rule:

1. A file whose size and time are those of every record of it, and whose lines the
   records account for, is not opened. The others are read.
2. A month is touched if its files' digests differ from its record.
3. A touched month is requested, unless somebody is making it (looked at again when
   that has ended) or exactly this content was tried and came to nothing.
4. A month that was neither landed nor tried is made by the automation, or by the
   schedule; with ``trigger: cron`` an hour after it was due it is requested here,
   because the schedule makes the newest month only.
5. A month that was never landed waits for the one before it: it would find a hole.

So nothing is requested twice: what was landed stands in the record; what was tried
in vain is remembered in the cursor. An attempt that the cursor does not know (it was
lost, or somebody else made the attempt) is taken to have seen every file that was there
when it began. And nothing is lost: the decision does not depend on having seen a
change happen.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from cltv_assets.months import Month
from cltv_assets.sources.contents import FileContent, FileRecord, MonthContent
from cltv_assets.sources.files import SourceFile

#: Stands for tried content that is known to differ from the current one.
_UNKNOWN = "?"

#: What each file holds of a month.
Content = Mapping[str, MonthContent]


@dataclass(frozen=True)
class Landed:
    """A month of ``raw_transactions`` as it was last landed.

    Parameters
    ----------
    number : int
        Its place in the order of all events.
    files : mapping of str to FileRecord, or None
        ``None`` where an older version landed it, without a record.
    lines : int
    """

    number: int
    files: Mapping[str, FileRecord] | None
    lines: int


@dataclass(frozen=True)
class State:
    """What is there, and what is going on.

    Parameters
    ----------
    months : list of Month
        The closed ones, oldest first.
    landed : mapping of Month to Landed
    busy : mapping of Month to float
        Months that a queued or running run is making, and when it began (seconds since 1970);
        infinity for a run that is still to be begun.
    failed : mapping of Month to float
        Months whose last attempt came to nothing, and when it began.
    """

    months: Sequence[Month]
    landed: Mapping[Month, Landed]
    busy: Mapping[Month, float]
    failed: Mapping[Month, float]


@dataclass(frozen=True)
class Decision:
    """What to request.

    Parameters
    ----------
    requests : mapping of Month to str
        Month to the digest of its content, oldest first.
    tried : mapping of Month to str
        What to remember: content that was requested or tried and is not landed.
    """

    requests: Mapping[Month, str]
    tried: Mapping[Month, str]


def unknown_files(files: Sequence[SourceFile], landed: Mapping[Month, Landed]) -> list[SourceFile]:
    """Return the files that must be read: no record tells what they hold."""
    records: dict[str, dict[Month, FileRecord]] = defaultdict(dict)
    for month, there in landed.items():
        for name, record in (there.files or {}).items():
            records[name][month] = record
    return [file for file in files if not _accounted_for(file, records[file.name])]


def _accounted_for(file: SourceFile, records: Mapping[Month, FileRecord]) -> bool:
    same = all((record.size, record.mtime_ns) == (file.size, file.mtime_ns) for record in records.values())
    if not records or not same or (file.delivery is not None and file.delivery not in records):
        return False
    # A month that holds lines of it may not have been landed.
    lines = sum(record.lines for record in records.values())
    return all(record.file_lines == lines for record in records.values())


def contents_now(
    files: Sequence[SourceFile],
    read: Mapping[SourceFile, FileContent],
    state: State,
    by_month: bool,
) -> dict[Month, Content]:
    """Return what each month would be landed with now.

    Parameters
    ----------
    files : sequence of SourceFile
        As listed.
    read : mapping of SourceFile to FileContent
        Those that were read; of the others the records count.
    state : State
    by_month : bool
        Whether each month needs a delivery of its own. A month without one is left out:
        it cannot be landed.
    """
    content: dict[Month, dict[str, MonthContent]] = {month: {} for month in state.months}
    unread = {file.name for file in files if file not in read}
    for month, there in state.landed.items():
        for name, record in (there.files or {}).items():
            if name in unread and month in content:
                content[month][name] = record.content
    for file, found in read.items():
        for month, part in found.months.items():
            if month in content:
                content[month][file.name] = part
    if not by_month:
        return dict(content)
    delivered = {file.delivery for file in files}
    return {month: found for month, found in content.items() if month in delivered}


def digest_of(content: Content | None) -> str:
    """Return a digest of a month's content; ``None`` stands for a month that cannot be landed."""
    if content is None:
        return "none"
    parts = [f"{name}\0{part.lines}\0{part.digest}" for name, part in sorted(content.items())]
    return hashlib.sha256("\0\0".join(parts).encode()).hexdigest()[:16]


def decide(
    state: State,
    contents: Mapping[Month, Content],
    newest_change: Mapping[Month, float],
    tried: Mapping[Month, str],
    is_ours: Callable[[Month], bool],
) -> Decision:
    """Decide which months to request.

    Parameters
    ----------
    state : State
    contents : mapping of Month to Content
        What each month would be landed with now.
    newest_change : mapping of Month to float
        When the newest of a month's files was changed (seconds since 1970).
    tried : mapping of Month to str
        What the cursor remembers.
    is_ours : callable
        Whether a month that was neither landed nor tried is requested here.
    """
    requests: dict[Month, str] = {}
    kept: dict[Month, str] = {}
    for month in state.months:
        content, there = contents.get(month), state.landed.get(month)
        now = digest_of(content)
        known = _tried(month, now, state, newest_change, tried)
        if month not in state.busy and there is not None and content is not None and _is_landed(content, there):
            continue
        if known is not None:
            kept[month] = known
        if month in state.busy or known == now or content is None:
            continue
        if there is None:
            made_by_others = known is None and not is_ours(month)
            if made_by_others or not content or _waits(month, state, requests):
                continue
        requests[month] = kept[month] = now
    return Decision(requests, kept)


def _tried(
    month: Month, now: str, state: State, newest_change: Mapping[Month, float], tried: Mapping[Month, str]
) -> str | None:
    """Return which content was requested or tried; None where nothing was."""
    if month in tried:
        return tried[month]
    began = state.busy.get(month, state.failed.get(month))
    if began is None or began == math.inf:
        return None
    return now if newest_change.get(month, 0.0) <= began else _UNKNOWN


def _is_landed(content: Content, there: Landed) -> bool:
    if there.files is None:
        return sum(part.lines for part in content.values()) == there.lines
    return dict(content) == {name: record.content for name, record in there.files.items()}


def _waits(month: Month, state: State, requests: Mapping[Month, str]) -> bool:
    before = month.shift(-1)
    return before in state.months and (before not in state.landed or before in state.busy or before in requests)
