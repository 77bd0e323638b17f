"""The check ``on_time`` of every asset: every month is there that should be by now.

Dagster's freshness policy looks only at an asset's latest materialisation, so that repeating
an old month makes the asset fresh. This check looks at each month. It is evaluated when its
answer would change, not by the clock: once when a month becomes overdue, and once when it has
arrived.
"""

# No `from __future__ import annotations` here: Dagster reads the context's annotation as a class.

import datetime as dt
from collections.abc import Iterator, Mapping

import dagster as dg
from dagster import AutomationContext, AutomationResult

from cltv_assets.dagster_defs.automation.conditions import Planner
from cltv_assets.dagster_defs.automation.expectations import Expectation, closes
from cltv_assets.dagster_defs.automation.planning import overdue
from cltv_assets.dagster_defs.automation.state import read_history
from cltv_assets.months import Month

CHECK = "on_time"
_OVERDUE = "overdue_months"
_SHOWN = 6


class AnswerChanged(dg.AutomationCondition[dg.AssetCheckKey]):
    """True if the check ``on_time`` would now give another answer than last time.

    Parameters
    ----------
    planner : Planner
        Knows the steps and the months.
    patience : datetime.timedelta
        How long after it was due a month is overdue.
    """

    def __init__(self, planner: Planner, patience: dt.timedelta) -> None:
        self._planner = planner
        self._patience = patience

    @property
    def name(self) -> str:
        """What the UI shows."""
        return "a month has become overdue, or has arrived"

    def evaluate(self, context: AutomationContext[dg.AssetCheckKey]) -> AutomationResult[dg.AssetCheckKey]:
        """Return the check, or nothing."""
        view = context.asset_graph_view
        table = self._planner.names.table(context.key.asset_key)
        now_overdue = overdue_months(self._planner, view.instance, table, view.effective_dt, self._patience)
        told = _last_answer(view.instance, context.key)
        made = bool(view.instance.get_materialized_partitions(context.key.asset_key))
        changed = now_overdue != told if told is not None else made or bool(now_overdue)
        return AutomationResult(context, context.candidate_subset if changed else context.get_empty_subset())


def overdue_months(
    planner: Planner, instance: dg.DagsterInstance, table: str, now: dt.datetime, patience: dt.timedelta
) -> str:
    """Return the keys of a table's overdue months, with commas between them.

    Parameters
    ----------
    planner : Planner
        Knows the steps and the months.
    instance : DagsterInstance
        Where materialisations are recorded.
    table : str
        The table's plain name.
    now : datetime.datetime
        With a zone.
    patience : datetime.timedelta
        How long after it was due a month is overdue.
    """
    step = next(step for step in planner.steps if table in step.tables)
    history = read_history(instance, planner.names, [table])
    return ", ".join(month.key for month in overdue(step, table, history, planner.calendar(now), patience))


def _last_answer(instance: dg.DagsterInstance, key: dg.AssetCheckKey) -> str | None:
    record = instance.event_log_storage.get_latest_asset_check_execution_by_key([key]).get(key)
    happened = record.event.dagster_event if record is not None and record.event is not None else None
    if happened is None or happened.event_type is not dg.DagsterEventType.ASSET_CHECK_EVALUATION:
        # Never evaluated, or being evaluated now: other parts of the condition handle that.
        return None
    said = happened.asset_check_evaluation_data.metadata.get(_OVERDUE)
    return str(said.value) if said is not None else None


def on_time_checks(planner: Planner, expected: Mapping[str, Expectation]) -> dg.AssetChecksDefinition:
    """Return the check ``on_time`` of every asset.

    Parameters
    ----------
    planner : Planner
        Knows the steps and the months.
    expected : mapping of str to Expectation
        When each asset is due, by its plain name.
    """
    names = planner.names
    specs = [
        dg.AssetCheckSpec(
            CHECK,
            asset=names.key(table),
            description=f"Every month is there {_span(expectation.deadline)} after it closed.",
            blocking=False,
            automation_condition=AnswerChanged(planner, expectation.overdue_after)
            & ~dg.AutomationCondition.in_progress()
            & ~dg.AutomationCondition.execution_failed(),
        )
        for table, expectation in expected.items()
    ]

    @dg.multi_asset_check(name=names.name(CHECK), specs=specs, can_subset=True)
    def on_time(context: dg.AssetCheckExecutionContext) -> Iterator[dg.AssetCheckResult]:
        now = dt.datetime.now(dt.UTC)
        for key in sorted(context.selected_asset_check_keys):
            table = names.table(key.asset_key)
            late = overdue_months(planner, context.instance, table, now, expected[table].overdue_after)
            yield dg.AssetCheckResult(
                passed=not late,
                asset_key=key.asset_key,
                check_name=CHECK,
                severity=dg.AssetCheckSeverity.ERROR,
                description=_sentence(planner, table, late, expected[table]),
                metadata={_OVERDUE: late, "due": _span(expected[table].due) + " after the month closes"},
            )

    return on_time


def _sentence(planner: Planner, table: str, late: str, expectation: Expectation) -> str:
    if not late:
        return "Every month that should be there is there."
    months = late.split(", ")
    newest = Month.parse(months[-1])
    due = closes(planner.settings, newest) + expectation.due
    more = f" and {len(months) - _SHOWN} more" if len(months) > _SHOWN else ""
    return (
        f"{table} lacks {', '.join(months[:_SHOWN])}{more}. {newest} was due on {due:%Y-%m-%d %H:%M} "
        f"({planner.settings.time_zone}). Look at the last run of that month for the reason; "
        f"then materialise it, or run: cltv run --from {months[0]} --to {months[-1]}"
    )


def _span(span: dt.timedelta) -> str:
    """Return a duration in words."""
    seconds = round(span.total_seconds())
    for unit, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds and seconds % unit == 0:
            count = seconds // unit
            return f"{count} {name}{'s' if count > 1 else ''}"
    return f"{seconds} seconds"
