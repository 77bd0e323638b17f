"""What lies at the source now, against what was landed of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from contextlib import closing
from dataclasses import dataclass, field

import dagster as dg

from cltv_assets.cli.reading import configured_source
from cltv_assets.dagster_defs.automation.landed import LandedMonths
from cltv_assets.dagster_defs.automation.source_changes import (
    Content,
    Landed,
    also_gone,
    contents_now,
    is_landed,
    losses_of,
    unknown_files,
)
from cltv_assets.dagster_defs.build import MONTH_JOB
from cltv_assets.dagster_defs.naming import Names
from cltv_assets.errors import CltvError, SourceError
from cltv_assets.lake import Lake
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.sources import TransactionSource
from cltv_assets.sources.delivered import RAW_TRANSACTIONS

#: Files that are named.
_NAMED = 5


@dataclass(frozen=True)
class SourceNow:
    """What was found.

    Parameters
    ----------
    unknown : str
        Why it cannot be known; empty if it was looked at.
    changed : mapping of Month to str
        The months whose lines are others than those that were landed, in words.
    late : mapping of Month to int
        How many lines more the source has of these; negative for fewer.
    lost : frozenset of Month
        Those of the changed months that a run would refuse, because too many of their lines are gone.
    skipped : tuple of str
        What lies there and is not read.
    counted : tuple of Month
        The months of which only the number of lines was compared.
    empty : tuple of str
        Files that hold nothing, not even a header.
    """

    unknown: str = ""
    changed: Mapping[Month, str] = field(default_factory=dict)
    late: Mapping[Month, int] = field(default_factory=dict)
    lost: frozenset[Month] = frozenset()
    skipped: tuple[str, ...] = ()
    counted: tuple[Month, ...] = ()
    empty: tuple[str, ...] = ()

    @property
    def words(self) -> list[str]:
        """What is to be said of the source as a whole, a line each."""
        if self.unknown:
            return [f"source: unknown, because {self.unknown}"]
        said = [f"source: not read, because of ending or place: {_listed(self.skipped)}"] if self.skipped else []
        if self.empty:
            said.append(f"source: empty, without even a header: {_listed(self.empty)}")
        if self.counted:
            said.append(
                f"source: of {_listed([month.key for month in self.counted])} only the number of lines was compared, "
                "because the lake lost lines since they were landed, as by `cltv forget`"
            )
        return said


def look_at_source(settings: Settings, instance: dg.DagsterInstance, lake: Lake, months: Sequence[Month]) -> SourceNow:
    """Compare the source with what was landed. Whatever keeps that from being known is in the answer.

    Parameters
    ----------
    settings : Settings
        They name the source.
    instance : DagsterInstance
        Where is recorded what was landed of each file.
    lake : Lake
        Holds how many lines were landed, for months without such a record.
    months : sequence of Month
        The closed months.
    """
    try:
        with closing(configured_source(settings)) as source:
            return _compared(settings, source, instance, lake, months)
    except CltvError as error:
        return SourceNow(str(error))
    # Also what nobody foresaw: a look that broke off must not read as if nothing had changed.
    except Exception as error:
        return SourceNow(f"{type(error).__name__}: {error}")


def _compared(
    settings: Settings, source: TransactionSource, instance: dg.DagsterInstance, lake: Lake, months: Sequence[Month]
) -> SourceNow:
    names = Names(settings.asset_prefix)
    state = LandedMonths(names, names.name(MONTH_JOB)).state(instance, months)
    files = source.list_files()
    try:
        # Settings or headers may have changed where no line has.
        report = source.inspect()
    except SourceError as error:
        # One file that cannot be read must not hide that another is gone.
        problem = f"{error.problem}{also_gone(files, state.landed)}"
        raise SourceError(problem, error.remedy, quoted=error.quoted) from error
    read = source.contents(unknown_files(files, state.landed) if state.landed else [])
    now = contents_now(files, read, state, source.by_month)
    lost = losses_of(files, read, state, now, settings.checks.max_lost_share, source.has_files)
    held = lake.table(RAW_TRANSACTIONS).row_counts(months)
    changed: dict[Month, str] = {}
    delivered: dict[Month, int] = {}
    counted = []
    for month, there in state.landed.items():
        content = now.get(month)
        if there.files is None or month not in held or (content is not None and is_landed(content, there)):
            continue
        delivered[month] = sum(part.lines for part in (content or {}).values())
        if held[month] < there.lines and delivered[month] == held[month]:
            # A customer was erased here and at the source: the record is of the lines of before.
            counted.append(month)
        else:
            changed[month] = _in_words(content, there, {file.name for file in files})
    unrecorded = [month for month in held if month not in state.landed or state.landed[month].files is None]
    for month, lines in (source.line_counts(unrecorded) if unrecorded else {}).items():
        if lines != held[month]:
            delivered[month] = lines
            changed[month] = f"it has {lines:,} lines, {held[month]:,} were landed"
    late = {month: delivered[month] - held[month] for month in changed}
    refused = frozenset(changed.keys() & lost.keys())
    return SourceNow(
        changed=changed, late=late, lost=refused, skipped=report.skipped, counted=tuple(counted), empty=report.empty
    )


def _in_words(content: Content | None, there: Landed, listed: Set[str]) -> str:
    """Say how a month's files differ from what was landed; ``listed`` names those that are there."""
    before = {name: record.content for name, record in (there.files or {}).items()}
    if content is None:
        return f"its delivery is gone: {_listed(sorted(before))}"
    said = []
    for name in sorted({*before, *content}):
        was, now = before.get(name), content.get(name)
        if was == now:
            continue
        if was is None and now is not None:
            said.append(f"{name} is new, with {now.lines:,} lines")
        elif now is None and was is not None:
            left = f"has none of its {was.lines:,} lines any more"
            said.append(f"{name} {left}" if name in listed else f"{name} is gone, with {was.lines:,} lines")
        elif was is not None and now is not None and was.lines == now.lines:
            said.append(f"{name} has other content, in {now.lines:,} lines as before")
        elif was is not None and now is not None:
            said.append(f"{name} has {now.lines:,} lines, {was.lines:,} were landed")
    return _listed(said, "; ")


def _listed(names: Sequence[str], between: str = ", ") -> str:
    more = f"{between}and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return between.join(names[:_NAMED]) + more
