"""Reads from a Dagster instance the state that months are planned from."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import dagster as dg

from cltv_assets.dagster_defs.automation.expectations import Expectation, closes
from cltv_assets.dagster_defs.automation.planning import Attempt, History, Step
from cltv_assets.dagster_defs.instance_state import attempts_in_vain
from cltv_assets.dagster_defs.naming import Names
from cltv_assets.dagster_defs.partitions import input_of, month_of
from cltv_assets.dagster_defs.upstream import upstream_keys
from cltv_assets.errors import ConfigError
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.sources.delivered import RAW_TRANSACTIONS
from cltv_assets.tables.table import Input

_MADE = dg.DagsterEventType.ASSET_MATERIALIZATION


def parents_of(assets: Sequence[dg.AssetsDefinition]) -> dict[str, list[str]]:
    """Return every asset's parents by plain names; each asset comes after its parents.

    Parameters
    ----------
    assets : sequence of AssetsDefinition
        In the order of the graph.
    """
    ours = {key for definition in assets for key in definition.keys}
    return {
        Names.table(spec.key): [Names.table(dep.asset_key) for dep in spec.deps if dep.asset_key in ours]
        for definition in assets
        for spec in _in_order(definition)
    }


def steps_of(
    assets: Sequence[dg.AssetsDefinition], expected: Mapping[str, Expectation], upstream: tuple[str, ...] = ()
) -> list[Step]:
    """Return the steps of the graph; each comes after those that it reads from.

    Parameters
    ----------
    assets : sequence of AssetsDefinition
        In the order of the graph.
    expected : mapping of str to Expectation
        When each asset is due, by its plain name.
    upstream : tuple of str
        The user's own assets that ``raw_transactions`` waits for.
    """
    return [
        Step(
            tables := tuple(Names.table(spec.key) for spec in _in_order(definition)),
            tuple(needs_of(definition)),
            max(expected[table].due for table in tables),
            upstream if RAW_TRANSACTIONS.name in tables else (),
        )
        for definition in assets
    ]


def _in_order(definition: dg.AssetsDefinition) -> list[dg.AssetSpec]:
    """Return the assets of one step, parents first."""
    left, ordered = list(definition.specs), []
    while left:
        waiting = {spec.key for spec in left}
        free = [spec for spec in left if not any(dep.asset_key in waiting for dep in spec.deps)]
        ordered += free
        left = [spec for spec in left if spec not in free]
    return ordered


def needs_of(definition: dg.AssetsDefinition) -> list[Input]:
    """Return what a month of a step is made from.

    Tables that the step makes itself are not among them: it makes them in order.
    """
    needs = []
    for name, key in sorted(definition.keys_by_input_name.items()):
        given = definition.op.input_dict[name]
        # An input without data is an asset of the user's own, which is no table.
        if not given.dagster_type.is_nothing:
            needs.append(input_of(Names.table(key), given.metadata))
    return needs


def read_history(instance: dg.DagsterInstance, names: Names, tables: Iterable[str]) -> History:
    """Return what has been made and tried of ``tables``.

    Parameters
    ----------
    instance : DagsterInstance
        Where runs and materialisations are recorded.
    names : Names
        What assets are called in this graph.
    tables : iterable of str
        Plain names of the tables.
    """
    made: dict[str, dict[Month, int]] = {}
    attempts: dict[str, dict[Month, Attempt]] = {}
    running: dict[str, bool] = {}
    for table in tables:
        key = names.key(table)
        made[table] = {month_of(at): number for at, number in latest(instance, key).items()}
        attempts[table] = {}
        for partition, (run_id, number) in attempts_in_vain(instance, key).items():
            if run_id not in running:
                record = instance.get_run_record_by_id(run_id)
                running[run_id] = record is not None and not record.dagster_run.is_finished
            attempts[table][month_of(partition)] = Attempt(number, run_id, running[run_id])

    def run_of(table: str, number: int) -> str:
        wanted = dg.AssetRecordsFilter(names.key(table), storage_ids=[number])
        return instance.fetch_materializations(wanted, limit=1).records[0].run_id

    return History(made, attempts, run_of=run_of)


@dataclass(frozen=True)
class Upstream:
    """What is there of the user's own assets that make the source's files.

    Parameters
    ----------
    made : mapping
        For each asset and month, the newest place of the materialisations that the month is made from. A month is
        there only if all of them are.
    lacking : mapping of Month to list of str
        For each other month, what it waits for, in words.
    """

    made: Mapping[str, Mapping[Month, int]]
    lacking: Mapping[Month, Sequence[str]]


def read_upstream(instance: dg.DagsterInstance, settings: Settings, months: Sequence[Month]) -> Upstream:
    """Return what is there for ``months`` of the user's own assets.

    Only their materialisations are known: their definitions may be in another code location.

    Parameters
    ----------
    instance : DagsterInstance
        Where materialisations are recorded.
    settings : Settings
        They name the assets, and say how these are partitioned.
    months : sequence of Month
        The months in question.

    Raises
    ------
    ConfigError
        If an asset has days where the settings say months.
    """
    made: dict[str, dict[Month, int]] = {}
    lacking: dict[Month, list[str]] = defaultdict(list)
    kind = settings.source.asset_partitions
    for name, key in upstream_keys(settings).items():
        made[name] = {}
        if kind == "none":
            records = instance.fetch_materializations(key, limit=1).records
            for month in months:
                if records and records[0].timestamp >= closes(settings, month).timestamp():
                    made[name][month] = records[0].storage_id
                else:
                    lacking[month].append(f"{name} has not been materialised since the month closed")
            continue
        there = latest(instance, key)
        if kind == "monthly":
            there = _by_month(name, there)
        for month in months:
            wanted = [month.key] if kind == "monthly" else _days(month)
            missing = [partition for partition in wanted if partition not in there]
            if missing:
                more = f" and {_days_in_words(len(missing) - 1)}" if len(missing) > 1 else ""
                lacking[month].append(f"{name} lacks {missing[0]}{more}")
            else:
                made[name][month] = max(there[partition] for partition in wanted)
    return Upstream(made, lacking)


def _days_in_words(count: int) -> str:
    return f"{count} more day{'s' if count > 1 else ''}"


def _days(month: Month) -> list[str]:
    return [f"{month}-{day:02}" for day in range(1, month.last_day.day + 1)]


def _by_month(name: str, there: Mapping[str, int]) -> dict[str, int]:
    """Return monthly partitions by ``YYYY-MM``; Dagster's own keys are the months' first days."""
    for partition in there:
        if partition[7:] not in ("", "-01"):
            raise ConfigError(
                f"source.asset_partitions is monthly, but {name} has the partition {partition}, which is no month.",
                "Set source.asset_partitions to daily if it has days, or wipe the partitions that it no longer has.",
            )
    return {partition[:7]: number for partition, number in there.items()}


def latest(instance: dg.DagsterInstance, key: dg.AssetKey) -> Mapping[str, int]:
    """Return each partition's last materialisation, as its place in the order of all events."""
    return instance.get_latest_storage_id_by_partition(key, _MADE)
