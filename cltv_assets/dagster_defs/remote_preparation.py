"""The first half of the graph as one step that runs elsewhere.

The tables, checks and columns are those of the ordinary assets. The job
publishes a month to the lake itself, so nothing passes through the IO manager here. Assets
downstream read the lake as usual.
"""

# No `from __future__ import annotations` here: Dagster reads the context's annotation as a class.

from collections.abc import Iterator
from typing import TypeAlias

import dagster as dg

from cltv_assets.dagster_defs.accepting import CONFIG, REMOTE_PREPARATION
from cltv_assets.dagster_defs.customising import Custom
from cltv_assets.dagster_defs.failures import faults_as_failures
from cltv_assets.dagster_defs.lake_asset import asset_out, check_specs
from cltv_assets.dagster_defs.naming import Names
from cltv_assets.dagster_defs.partitions import month_of
from cltv_assets.dagster_defs.remote.launching import Launcher, Told
from cltv_assets.dagster_defs.resources import PIPES, POOL
from cltv_assets.dagster_defs.upstream import upstream_deps
from cltv_assets.settings import Settings
from cltv_assets.sources.delivered import RAW_TRANSACTIONS
from cltv_assets.tables import tables_of_half

Events: TypeAlias = Iterator[dg.AssetCheckResult | dg.MaterializeResult[None]]


def remote_preparation(
    settings: Settings, partitions: dg.PartitionsDefinition[str], names: Names, custom: Custom
) -> dg.AssetsDefinition:
    """Return the step that makes every table of the first half elsewhere.

    Parameters
    ----------
    settings : Settings
        They choose columns, inputs and checks.
    partitions : PartitionsDefinition
        The months.
    names : Names
        What assets and resources are called in this graph.
    custom : Custom
        What a project changes of the step.
    """
    tables = tables_of_half("preprocess")
    upstream = upstream_deps(settings)
    above = {table.name: {names.key(given.table) for given in table.inputs(settings)} for table in tables}
    above[RAW_TRANSACTIONS.name] |= {dep.asset_key for dep in upstream}
    for table, keys in above.items():
        keys |= {dep.asset_key for dep in custom.deps_of([table])}
    pipes_key = names.name(PIPES)

    @dg.multi_asset(
        name=names.name(REMOTE_PREPARATION),
        outs={table.name: asset_out(table, settings, names) for table in tables},
        deps=[*upstream, *custom.deps_of(list(above))],
        config_schema=CONFIG,
        internal_asset_deps=above,
        check_specs=check_specs(tables, settings, names, partitions),
        partitions_def=partitions,
        required_resource_keys={pipes_key},
        # The job always runs the whole half.
        can_subset=False,
        pool=custom.pool or names.name(POOL),
        op_tags=custom.op_tags,
        backfill_policy=dg.BackfillPolicy.multi_run(1),
    )
    def remote_preparation(context: dg.AssetExecutionContext) -> Events:
        launcher: Launcher = getattr(context.resources, pipes_key)

        def step() -> Events:
            with faults_as_failures():
                told = launcher.launch(context, month_of(context.partition_key))
            for result in told.results:
                yield _described(result) if isinstance(result, dg.AssetCheckResult) else result
            _raise_unless_whole(context.partition_key, told)

        yield from custom.steps(context, step)

    return remote_preparation


def _described(result: dg.AssetCheckResult) -> dg.AssetCheckResult:
    """Restore the description of a check result, which Pipes carries only as metadata."""
    metadata = dict(result.metadata or {})
    message = metadata.pop("message", None)
    if not isinstance(message, dg.MetadataValue):
        return result
    return result._replace(description=str(message.value), metadata=metadata)


def _raise_unless_whole(month: str, told: Told) -> None:
    """Fail unless every table was published, whatever the service says of its job.

    Raises
    ------
    dagster.Failure
        Without retries if the job said why; with retries if it broke off.
    """
    made = {
        Names.table(result.asset_key)
        for result in told.results
        if isinstance(result, dg.MaterializeResult) and result.asset_key
    }
    missing = [table.name for table in tables_of_half("preprocess") if table.name not in made]
    if told.errors:
        raise dg.Failure(description=" ".join(told.errors), allow_retries=False)
    if not missing:
        # Everything is published. The failure came later, or the client takes a cluster's end for one.
        return
    published = f"Published before that: {', '.join(sorted(made))}." if made else "Nothing of it was published."
    raise dg.Failure(
        description=f"The remote run of {month} ended before {', '.join(missing)} "
        f"{'was' if len(missing) == 1 else 'were'} published: {told.fault or 'its job ended without a word'}. "
        f"{published} Look at the job's own logs, then run the month again.",
    )
