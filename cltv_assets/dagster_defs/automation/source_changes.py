"""Decides which months the source's files touch, from what is there. Does not use Dagster.

The metadata of each month of ``raw_transactions`` record what was landed: for each file its
size, its time of change, and a digest of the lines that belong to the month. The rule:

1. A file is not opened if all its records have its current size and time and together account
   for all its lines. The others are read.
2. A month is touched if the digests of its files differ from its record, or if they are as
   recorded again after an attempt with others failed: made once more, it is no longer red.
3. A touched month is requested, unless somebody is making it (then it is looked at again
   afterwards) or exactly this content was tried and failed.
4. The automation or the schedule makes a month that was neither landed nor tried. With
   ``trigger: cron`` it is requested here an hour after it was due, because the schedule makes
   only the newest month.
5. A month whose files are gone, empty or far smaller than they were landed is not requested: nobody
   knows whether that is meant. Where other files brought as many lines it is, and the month's
   check ``nothing_lost`` looks whether they are the same. So is a month whose lines were landed
   and then refused: somebody mends it.
6. A month that was never landed waits for the one before it, because its history would have a gap.

So nothing is requested twice: the record shows what was landed, and the cursor remembers what
was tried in vain. If the cursor does not know an attempt (it was lost, or somebody else made
the attempt), the attempt is assumed to have read every file that was there when it began.
Nothing is missed either, because the decision does not depend on seeing a change happen.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass, field

from cltv_assets.months import Month
from cltv_assets.sources.contents import FileContent, FileRecord, MonthContent
from cltv_assets.sources.files import SourceFile
from cltv_assets.sources.losses import WHOLE, Loss

#: Stands for tried content that is known to differ from the current one.
_UNKNOWN = "?"
#: Files that a sentence names.
_NAMED = 3

#: What each file holds of a month.
Content = Mapping[str, MonthContent]


@dataclass(frozen=True)
class Landed:
    """A month of ``raw_transactions`` as it was last landed.

    Parameters
    ----------
    number : int
        Place of its materialisation in the order of all events.
    files : mapping of str to FileRecord, or None
        The record of each file; ``None`` if an older version landed the month without one.
    lines : int
        How many lines were landed.
    """

    number: int
    files: Mapping[str, FileRecord] | None
    lines: int


@dataclass(frozen=True)
class State:
    """Which months are landed, being made, or failed.

    Parameters
    ----------
    months : list of Month
        The closed months, oldest first.
    landed : mapping of Month to Landed
        What was last landed of each month; a month that was never landed is missing.
    busy : mapping of Month to float
        Months that a queued or running run is making, and when it began (seconds since 1970);
        infinity for a run that has not begun.
    failed : mapping of Month to float
        Months whose last attempt failed, and when it began.
    refused : set of Month
        Months whose lines were landed, and refused afterwards.
    """

    months: Sequence[Month]
    landed: Mapping[Month, Landed]
    busy: Mapping[Month, float]
    failed: Mapping[Month, float]
    refused: Set[Month] = frozenset()


@dataclass(frozen=True)
class Decision:
    """What to request.

    Parameters
    ----------
    requests : mapping of Month to str
        Month to the digest of its content, oldest first.
    tried : mapping of Month to str
        What to remember: content that was requested or tried but is not landed.
    losses : mapping of Month to Loss
        Months that are not requested because they would lose lines.
    """

    requests: Mapping[Month, str]
    tried: Mapping[Month, str]
    losses: Mapping[Month, Loss] = field(default_factory=dict)


def unknown_files(files: Sequence[SourceFile], landed: Mapping[Month, Landed]) -> list[SourceFile]:
    """Return the files that must be read, because no record says what they hold."""
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
    """Return the content that each month would have if it were landed now.

    Parameters
    ----------
    files : sequence of SourceFile
        As listed.
    read : mapping of SourceFile to FileContent
        The contents of files that were read; for the others the records count.
    state : State
        The months, and what was landed of them.
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


def also_gone(files: Sequence[SourceFile], landed: Mapping[Month, Landed]) -> str:
    """Return a sentence for the end of another message: which files of landed months are not there any more."""
    there = {file.name for file in files}
    names = sorted({name for month in landed.values() for name in month.files or {} if name not in there})
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f" Besides, files whose lines are published are gone: {', '.join(names[:_NAMED])}{more}." if names else ""


def losses_of(
    files: Sequence[SourceFile],
    read: Mapping[SourceFile, FileContent],
    state: State,
    contents: Mapping[Month, Content],
    share: float,
    by_file: bool,
) -> dict[Month, Loss]:
    """Return what landed months would lose, if they were landed now.

    Parameters
    ----------
    files, read, state
        As `contents_now` takes them.
    contents : mapping of Month to Content
        What that returned.
    share : float
        The largest share of its lines that a month may lose.
    by_file : bool
        Whether files count; if not, a month is compared as a whole.
    """
    records = (there.files or {} for there in state.landed.values())
    recorded = {name: record.file_lines for held in records for name, record in held.items()}
    left = {file.name: read[file].lines if file in read else recorded.get(file.name, 0) for file in files}
    found: dict[Month, Loss] = {}
    for month, there in state.landed.items():
        if there.files is None or month in state.refused:
            continue
        had = {name: record.lines for name, record in there.files.items()}
        has = {name: content.lines for name, content in contents.get(month, {}).items()}
        if not by_file:
            had, has = ({WHOLE: sum(lines.values())} for lines in (had, has))
        loss = Loss.of(had, has, left if by_file else has, share)
        if loss is not None and not loss.may_be_elsewhere(share):
            found[month] = loss
    return found


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
    losses: Mapping[Month, Loss],
) -> Decision:
    """Decide which months to request.

    Parameters
    ----------
    state : State
        What is landed, being made and failed.
    contents : mapping of Month to Content
        The content that each month would have if it were landed now.
    newest_change : mapping of Month to float
        When the newest of a month's files was changed (seconds since 1970).
    tried : mapping of Month to str
        What the cursor remembers.
    is_ours : callable
        Says whether a month that was neither landed nor tried is requested here.
    losses : mapping of Month to Loss
        What landed months would lose.
    """
    requests: dict[Month, str] = {}
    kept: dict[Month, str] = {}
    for month in state.months:
        content, there = contents.get(month), state.landed.get(month)
        now = digest_of(content)
        known = _tried(month, now, state, newest_change, tried)
        whole = there is not None and content is not None and is_landed(content, there)
        if whole and month not in state.busy and (month not in state.failed or known == now):
            continue
        if known is not None:
            kept[month] = known
        if month in state.busy or known == now or content is None or month in losses:
            continue
        if there is None:
            made_by_others = known is None and not is_ours(month)
            if made_by_others or not content or _waits(month, state, requests):
                continue
        requests[month] = kept[month] = now
    return Decision(requests, kept, {month: loss for month, loss in losses.items() if month not in state.busy})


def _tried(
    month: Month, now: str, state: State, newest_change: Mapping[Month, float], tried: Mapping[Month, str]
) -> str | None:
    """Return which content was requested or tried; None if nothing was."""
    if month in tried:
        return tried[month]
    began = state.busy.get(month, state.failed.get(month))
    if began is None or began == math.inf:
        return None
    return now if newest_change.get(month, 0.0) <= began else _UNKNOWN


def is_landed(content: Content, there: Landed) -> bool:
    """Return whether a month was landed with this content."""
    if there.files is None:
        return sum(part.lines for part in content.values()) == there.lines
    return dict(content) == {name: record.content for name, record in there.files.items()}


def _waits(month: Month, state: State, requests: Mapping[Month, str]) -> bool:
    before = month.shift(-1)
    return before in state.months and (before not in state.landed or before in state.busy or before in requests)
