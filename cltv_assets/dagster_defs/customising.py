"""What a project changes of the graph without changing what the tables hold: specs, steps, tags and pools of steps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import dagster as dg

from cltv_assets.dagster_defs.failures import faults_as_failures
from cltv_assets.dagster_defs.naming import Names
from cltv_assets.errors import ConfigError

#: The work of a step: yields what Dagster is told of it.
Step = Callable[[], Iterator[Any]]


def _as_it_is(spec: dg.AssetSpec) -> dg.AssetSpec:
    return spec


def _as_ever(_context: dg.AssetExecutionContext, step: Step) -> Iterator[Any]:
    return step()


@dataclass(frozen=True)
class Custom:
    """What a project changes of the graph.

    Parameters
    ----------
    spec : callable
        From an asset's spec to the one that is used.
    execute : callable
        Runs a step, with its context.
    op_tags : mapping
        Tags of every step.
    pool : str
        Pool of every step in place of the graph's own; empty for the latter.
    backfills : BackfillPolicy or None
        In place of one run for all months, or of a run for each month without ``own_executor``.
    own_executor : bool
        Whether the definitions bring an executor. A project has one, so two that bring different ones do not load.
    deps : mapping of str to sequence of AssetDep
        What tables depend on beyond what they are made from; `with_deps` finds it.
    """

    spec: Callable[[dg.AssetSpec], dg.AssetSpec] = _as_it_is
    execute: Callable[[dg.AssetExecutionContext, Step], Iterator[Any]] = _as_ever
    op_tags: Mapping[str, Any] = field(default_factory=dict)
    pool: str = ""
    backfills: dg.BackfillPolicy | None = None
    own_executor: bool = True
    deps: Mapping[str, Sequence[dg.AssetDep]] = field(default_factory=dict)

    def steps(self, context: dg.AssetExecutionContext, step: Step) -> Iterator[Any]:
        """Run a step as the project has it; no error in it quotes a customer in Dagster's records."""
        with faults_as_failures():
            yield from self.execute(context, step)

    def with_deps(self, assets: Sequence[dg.AssetsDefinition]) -> Custom:
        """Return this with the dependencies that changed specs have beyond those of ``assets``.

        Steps get them when they are made: Dagster gives a step new inputs in place of those with data if
        dependencies are added later.
        """
        ours = {key for definition in assets for key in definition.keys}
        found: dict[str, Sequence[dg.AssetDep]] = {}
        for spec in (spec for definition in assets for spec in definition.specs):
            own = {dep.asset_key for dep in spec.deps}
            more = [_mapped(dep, ours) for dep in self.spec(spec).deps if dep.asset_key not in own]
            if more:
                found[Names.table(spec.key)] = more
        return replace(self, deps=found)

    def deps_of(self, tables: Sequence[str]) -> list[dg.AssetDep]:
        """Return what a step that makes ``tables`` depends on beyond what it reads."""
        return list({dep.asset_key: dep for table in tables for dep in self.deps.get(table, ())}.values())

    def finished(self, spec: dg.AssetSpec) -> dg.AssetSpec:
        """Return the spec that is used.

        Raises
        ------
        ConfigError
            If it has another key or other months.
        """
        changed = self.spec(spec)
        if changed.key != spec.key or changed.partitions_def != spec.partitions_def:
            raise ConfigError(
                f"The spec of {spec.key.to_user_string()} has another key or other partitions, which say where its "
                "months are.",
                "Set asset_prefix, start_month and end_month instead.",
            )
        return changed.replace_attributes(deps=spec.deps)


def _mapped(dep: dg.AssetDep, ours: set[dg.AssetKey]) -> dg.AssetDep:
    """Let a month depend on every partition of others' assets, as `upstream_deps` does and for the same reasons."""
    if dep.asset_key in ours or dep.partition_mapping is not None:
        return dep
    return dg.AssetDep(dep.asset_key, partition_mapping=dg.AllPartitionMapping())
