"""The automation conditions: the plan, in the form that Dagster evaluates and shows.

An asset's page in the UI shows the condition's parts for every evaluation: which
months were wanted, which of them were being made already, had failed, or waited.
Dagster's own conditions look at events since the last evaluation; ``planning`` says
why these look at the state instead. They are evaluated in the code server.
"""

from __future__ import annotations

import datetime as dt
import weakref
from dataclasses import replace
from typing import Any

import dagster as dg

from cltv_assets.dagster_defs.automation.changes import Changes
from cltv_assets.dagster_defs.automation.expectations import closes
from cltv_assets.dagster_defs.automation.planning import Calendar, Plan, Step, Verdict, plan
from cltv_assets.dagster_defs.automation.state import read_history, read_upstream
from cltv_assets.dagster_defs.instance_state import claimed_by_backfills
from cltv_assets.dagster_defs.naming import Names
from cltv_assets.dagster_defs.partitions import month_of
from cltv_assets.months import Month
from cltv_assets.settings import Settings

_WANTED = frozenset({Verdict.REQUESTED, Verdict.WAITING, Verdict.IN_PROGRESS, Verdict.TRIED})


class Planner:
    """Makes the plan, once for each evaluation.

    Parameters
    ----------
    settings : Settings
        They give the months, the time zone and the prefix of names.
    steps : list of Step
        The whole graph.
    """

    def __init__(self, settings: Settings, steps: list[Step]) -> None:
        self.settings = settings
        self.steps = steps
        self.names = Names(settings.asset_prefix)
        self._plans: weakref.WeakKeyDictionary[Any, Plan] = weakref.WeakKeyDictionary()

    def plan(self, context: dg.AutomationContext[dg.AssetKey]) -> Plan:
        """Return the plan of the evaluation that ``context`` belongs to."""
        view = context.asset_graph_view
        if view not in self._plans:
            tables = [table for step in self.steps for table in step.tables]
            history = read_history(view.instance, self.names, tables)
            calendar = self.calendar(view.effective_dt)
            upstream = read_upstream(view.instance, self.settings, calendar.months())
            changes = Changes(view.instance, self.names, set(tables))
            history = replace(
                history,
                made={**history.made, **upstream.made},
                claimed=self._claimed(view),
                changed=changes.since,
            )
            self._plans[view] = plan(self.steps, history, calendar)
        return self._plans[view]

    def calendar(self, now: dt.datetime) -> Calendar:
        """Return the months that exist at an instant."""
        settings = self.settings
        return Calendar(
            settings.first_month,
            settings.last_month(now.astimezone(settings.zone).date()),
            now,
            lambda month: closes(settings, month),
            settings.automation.late_data_months,
        )

    def _claimed(self, view: Any) -> frozenset[tuple[str, Month]]:
        """Return what running backfills will make; not all of their runs exist yet."""
        tables = {self.names.key(table): table for step in self.steps for table in step.tables}
        return frozenset(
            (tables[key], month_of(partition)) for key, partition in claimed_by_backfills(view) if key in tables
        )


class MonthsThatAre(dg.AutomationCondition[dg.AssetKey]):
    """The months of an asset to which the plan gives one of some verdicts.

    Parameters
    ----------
    planner : Planner
        Makes the plan.
    verdicts : frozenset of Verdict
        The verdicts that count.
    name : str
        What the UI shows.
    """

    def __init__(self, planner: Planner, verdicts: frozenset[Verdict], name: str) -> None:
        self._planner = planner
        self._verdicts = verdicts
        self._name = name

    @property
    def name(self) -> str:
        """What the UI shows."""
        return self._name

    @property
    def description(self) -> str:
        """What the UI shows when asked for more."""
        return self._name

    def evaluate(self, context: dg.AutomationContext[dg.AssetKey]) -> dg.AutomationResult[dg.AssetKey]:
        """Return the months."""
        table = self._planner.names.table(context.key)
        verdicts = self._planner.plan(context)
        keys = {month.key for (of, month), verdict in verdicts.items() if of == table and verdict in self._verdicts}
        view = context.asset_graph_view
        subset = (
            view.get_subset_from_partition_keys(context.key, context.partitions_def, keys)
            if keys and context.partitions_def is not None
            else context.get_empty_subset()
        )
        return dg.AutomationResult(context, context.candidate_subset.compute_intersection(subset))


def when_due(planner: Planner) -> dg.AutomationCondition[dg.AssetKey]:
    """Return the condition that every asset shares."""

    def months(name: str, *verdicts: Verdict) -> MonthsThatAre:
        return MonthsThatAre(planner, frozenset(verdicts), name)

    return (
        MonthsThatAre(planner, _WANTED, "due, and missing or older than what it is made from")
        & ~months("being made already", Verdict.IN_PROGRESS)
        & ~months("failed, and nothing has changed since", Verdict.TRIED)
        & ~months("waiting for what it is made from", Verdict.WAITING)
    )
