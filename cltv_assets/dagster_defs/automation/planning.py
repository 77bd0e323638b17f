"""Decides which months to make now, from what is there and not from past events.

The rule looks only at the current state. So nothing is lost if the daemon was down, an event
was missed or a cursor was reset, and a second look requests nothing twice.

A month of a step is made if all of this holds:

- It is due, and it is missing or, for the newest months, older than one of its inputs. An input that was made again
  with the rows it had is not newer.
- Nobody is making it.
- It has not failed with the same inputs.
- Its inputs are there and not about to change.

The rule is a function of plain values and does not use Dagster.
"""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from cltv_assets.months import Month
from cltv_assets.tables.table import Input


class Verdict(enum.Enum):
    """What to do with a month of a table, and why."""

    SETTLED = "there, and as new as what it is made from"
    NOT_DUE = "not there, and not due yet"
    IN_PROGRESS = "being made"
    TRIED = "failed, and nothing has changed since"
    WAITING = "to be made, but what it is made from is not there, or is about to change"
    REQUESTED = "to be made now"


@dataclass(frozen=True)
class Step:
    """Tables that are made together.

    Parameters
    ----------
    tables : tuple of str
        Plain names, parents first.
    needs : tuple of Input
        The months of other tables that a month is made from.
    due : datetime.timedelta
        How long after the month closes they are due.
    upstream : tuple of str
        Assets of the user's own that must be there for a month. Nothing here makes them.
    """

    tables: tuple[str, ...]
    needs: tuple[Input, ...]
    due: dt.timedelta
    upstream: tuple[str, ...] = ()


@dataclass(frozen=True)
class Attempt:
    """The last attempt at a month, if no materialisation has followed.

    Parameters
    ----------
    number : int
        The attempt's place in the order of all events.
    run_id : str
        The run that made the attempt.
    running : bool
        Whether it is queued or running; if not, it failed or was cancelled.
    """

    number: int
    run_id: str
    running: bool


@dataclass(frozen=True)
class History:
    """What has been made and tried.

    Parameters
    ----------
    made : mapping
        For each table and month, the place of the last materialisation in the order of all events. For an asset of
        the user's own, the newest place of what a month is made from, once all of that is there.
    attempts : mapping
        For each table and month, the last attempt, if no materialisation has followed.
    claimed : set of (str, Month)
        Months that a running backfill will make.
    run_of : callable
        Takes a table and the place of a materialisation, and returns the id of its run.
    changed : callable
        Takes a table, a month and a place, and returns whether a later materialisation of the month has other rows.
    """

    made: Mapping[str, Mapping[Month, int]]
    attempts: Mapping[str, Mapping[Month, Attempt]] = field(default_factory=dict)
    claimed: frozenset[tuple[str, Month]] = frozenset()
    run_of: Callable[[str, int], str] = lambda _table, _number: ""
    changed: Callable[[str, Month, int], bool] = lambda _table, _month, _number: True

    def at(self, table: str, month: Month) -> int | None:
        """Return the place of a month's last materialisation."""
        return self.made.get(table, {}).get(month)

    def is_newer(self, table: str, month: Month, than: int) -> bool:
        """Return whether a month was made with other rows after a place in the order of all events."""
        number = self.at(table, month)
        return number is not None and number > than and self.changed(table, month, than)


@dataclass(frozen=True)
class Calendar:
    """The months that exist, and what time it is.

    Parameters
    ----------
    first, last : Month
        The first partition and the newest closed one.
    now : datetime.datetime
        With a zone.
    closes : callable
        Takes a month and returns the instant when it closes.
    late_data_months : int
        How many months before the newest are still brought up to date.
    """

    first: Month
    last: Month
    now: dt.datetime
    closes: Callable[[Month], dt.datetime]
    late_data_months: int

    def months(self) -> list[Month]:
        """Return every closed month, oldest first."""
        return list(self.first.until(self.last)) if self.first <= self.last else []


Plan = Mapping[tuple[str, Month], Verdict]
_UNDER_WAY = frozenset({Verdict.IN_PROGRESS, Verdict.WAITING, Verdict.REQUESTED})


def plan(steps: Sequence[Step], history: History, calendar: Calendar) -> Plan:
    """Decide about every closed month of every table.

    Parameters
    ----------
    steps : sequence of Step
        Each step comes after those that it reads from.
    history : History
        What has been made and tried.
    calendar : Calendar
        The months that exist, and the current time.

    Returns
    -------
    mapping of (str, Month) to Verdict
        Tables of one step always share a verdict.
    """
    verdicts: dict[tuple[str, Month], Verdict] = {}
    reach = calendar.last.shift(-calendar.late_data_months)
    for step in steps:
        for month in calendar.months():
            verdict = _verdict(step, month, history, calendar, reach, verdicts)
            verdicts.update({(table, month): verdict for table in step.tables})
    return verdicts


def _verdict(step: Step, month: Month, history: History, calendar: Calendar, reach: Month, verdicts: Plan) -> Verdict:
    made = [history.at(table, month) for table in step.tables]
    attempts = [found for table in step.tables if (found := history.attempts.get(table, {}).get(month))]
    if any(attempt.running for attempt in attempts) or any((t, month) in history.claimed for t in step.tables):
        return Verdict.IN_PROGRESS
    oldest = None if None in made else min(number for number in made if number is not None)
    needed = [(need, at) for need in step.needs for at in need.months(month, calendar.first)]
    sources = [*((need.table, at) for need, at in needed), *((name, month) for name in step.upstream)]
    inputs = [(name, number) for name, at in sources if (number := history.at(name, at)) is not None]
    # If an input will be made again, this month is made again with it.
    about_to_change = any(verdicts[need.table, at] in _UNDER_WAY for need, at in needed)
    if oldest is not None and (
        month < reach or not (about_to_change or any(history.is_newer(name, at, oldest) for name, at in sources))
    ):
        return Verdict.SETTLED
    if calendar.now < calendar.closes(month) + step.due:
        return Verdict.NOT_DUE
    if attempts and not about_to_change:
        last = max(attempts, key=lambda attempt: attempt.number)
        # Inputs that the attempt's own run made before it failed do not count as a change.
        if not any(n > last.number and (t in step.upstream or history.run_of(t, n) != last.run_id) for t, n in inputs):
            return Verdict.TRIED
    ready = all(_ready(need, at, month, history, verdicts) for need, at in needed)
    ready = ready and all(history.at(name, month) is not None for name in step.upstream)
    return Verdict.REQUESTED if ready else Verdict.WAITING


def _ready(need: Input, at: Month, month: Month, history: History, verdicts: Plan) -> bool:
    verdict = verdicts[need.table, at]
    if verdict is Verdict.REQUESTED:
        # The same month is made by the same run, in order; another month by another run.
        return at == month
    if verdict in _UNDER_WAY:
        return False
    if history.at(need.table, at) is not None:
        return True
    # The attempt at it failed; otherwise it would be under way.
    return need.holes


def overdue(step: Step, table: str, history: History, calendar: Calendar, patience: dt.timedelta) -> list[Month]:
    """Return the months of a table that should be there by now and are not, oldest first.

    Parameters
    ----------
    step : Step
        The step that makes the table.
    table : str
        The table's plain name.
    history : History
        What has been made and tried.
    calendar : Calendar
        The months that exist, and the current time.
    patience : datetime.timedelta
        How long after it was due a month is overdue.
    """
    return [
        month
        for month in calendar.months()
        if history.at(table, month) is None and calendar.now >= calendar.closes(month) + step.due + patience
    ]
