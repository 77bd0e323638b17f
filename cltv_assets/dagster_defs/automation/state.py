"""Reads from a Dagster instance the state that months are planned from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import dagster as dg

from cltv_assets.dagster_defs.automation.expectations import Expectation
from cltv_assets.dagster_defs.automation.planning import Attempt, History, Step
from cltv_assets.dagster_defs.instance_state import attempts_in_vain
from cltv_assets.dagster_defs.naming import Names
from cltv_assets.dagster_defs.partitions import input_of, month_of
from cltv_assets.months import Month
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


def steps_of(assets: Sequence[dg.AssetsDefinition], expected: Mapping[str, Expectation]) -> list[Step]:
    """Return the steps of the graph; each comes after those that it reads from.

    Parameters
    ----------
    assets : sequence of AssetsDefinition
        In the order of the graph.
    expected : mapping of str to Expectation
        When each asset is due, by its plain name.
    """
    return [
        Step(
            tables := tuple(Names.table(spec.key) for spec in _in_order(definition)),
            tuple(needs_of(definition)),
            max(expected[table].due for table in tables),
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


def latest(instance: dg.DagsterInstance, key: dg.AssetKey) -> Mapping[str, int]:
    """Return each partition's last materialisation, as its place in the order of all events."""
    return instance.get_latest_storage_id_by_partition(key, _MADE)
