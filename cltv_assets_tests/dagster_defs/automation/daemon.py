"""Dagster's own evaluation of the automation, and runs of what it requests, in this process."""

from __future__ import annotations

import datetime as dt
from collections import Counter, defaultdict
from typing import Any

import dagster as dg

from cltv_assets.cli.runner import QUIET, errors_of, part_of
from cltv_assets.dagster_defs.build import MONTH_JOB, build_definitions
from cltv_assets.settings import Settings

Requested = dict[str, set[str]]


class Daemon:
    """Evaluates, and runs what was requested, as the daemon would.

    Parameters
    ----------
    settings : Settings
    instance : DagsterInstance
    """

    def __init__(self, settings: Settings, instance: dg.DagsterInstance) -> None:
        self.settings = settings
        self.instance = instance
        self.definitions = build_definitions(settings)
        self.cursor: Any = None
        self.requests: Counter[tuple[str, str]] = Counter()
        self.checks: set[str] = set()
        self.errors: list[str] = []

    def evaluate(self, now: dt.datetime | None = None) -> Requested:
        """Return which months of which assets are requested."""
        result = dg.evaluate_automation_conditions(
            self.definitions, instance=self.instance, cursor=self.cursor, evaluation_time=now
        )
        self.cursor = result.cursor
        graph = self.definitions.resolve_asset_graph()
        found = {key.path[-1]: result.get_requested_partitions(key) for key in graph.get_all_asset_keys()}
        self.checks = {
            one.key.asset_key.path[-1]
            for one in result.results
            if isinstance(one.key, dg.AssetCheckKey) and one.true_subset.size
        }
        requested: Requested = {table: {str(at) for at in months} for table, months in found.items() if months}
        self.requests.update((table, at) for table, months in requested.items() for at in months)
        return requested

    def run(self, requested: Requested) -> None:
        """Make what was requested: a run for all assets that want the same months, as a backfill does.

        Tables that need many months of others wait for them, so they want fewer months at once and come last.
        """
        together: dict[frozenset[str], list[str]] = defaultdict(list)
        for table, months in requested.items():
            together[frozenset(months)].append(table)
        order = [key.path[-1] for key in self.definitions.resolve_asset_graph().toposorted_asset_keys]
        for months, tables in sorted(together.items(), key=lambda item: max(map(order.index, item[1]))):
            self.materialize(sorted(months), tables)

    def materialize(self, months: list[str], tables: list[str]) -> None:
        """Make months of some assets."""
        one = {"partition_key": months[0]} if len(months) == 1 else {}
        many = {"dagster/asset_partition_range_start": months[0], "dagster/asset_partition_range_end": months[-1]}
        job = part_of(self.definitions.resolve_job_def(MONTH_JOB), [dg.AssetKey(name) for name in tables])
        result = job.execute_in_process(
            run_config=QUIET,
            instance=self.instance,
            tags={} if one else many,
            raise_on_error=False,
            **one,
        )
        self.errors += errors_of(result)

    def settle(self, now: dt.datetime | None = None) -> int:
        """Evaluate and run until nothing is requested; return how many evaluations requested something."""
        for ticks in range(12):
            requested = self.evaluate(now)
            if not requested:
                return ticks
            self.run(requested)
        raise AssertionError(f"it never ends: {requested}")

    def answer_checks(self) -> None:
        """Run the checks that the last evaluation requested."""
        graph = self.definitions.resolve_asset_graph()
        keys = [
            key for key in graph.asset_check_keys if key.asset_key.path[-1] in self.checks and key.name == "on_time"
        ]
        job = dg.define_asset_job("checks", selection=dg.AssetSelection.checks(*keys))
        definitions = dg.Definitions.merge(self.definitions, dg.Definitions(jobs=[job]))
        definitions.resolve_job_def("checks").execute_in_process(run_config=QUIET, instance=self.instance)
