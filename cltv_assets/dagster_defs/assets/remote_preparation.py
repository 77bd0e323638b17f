"""The first half of the graph as one step that runs elsewhere.

The tables, checks and columns are those of the ordinary assets. What a month's job
publishes stands in the lake already; nothing passes through the IO manager here, and
assets downstream read the lake as usual.
"""

# No `from __future__ import annotations` here: Dagster reads the context's annotation as a class.

from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

import dagster as dg

from cltv_assets.checks import Check
from cltv_assets.dagster_defs.assets.lake_asset import asset_out, check_specs
from cltv_assets.dagster_defs.failures import faults_as_failures
from cltv_assets.dagster_defs.naming import Names
from cltv_assets.dagster_defs.partitions import month_of
from cltv_assets.dagster_defs.remote.launching import Launcher, Told
from cltv_assets.dagster_defs.resources import PIPES, POOL
from cltv_assets.schemas import (
    CLEANED_TRANSACTIONS,
    PURCHASE_DAYS,
    RAW_TRANSACTIONS,
    REJECTED_TRANSACTIONS,
    REPEAT_CUSTOMERS,
    RFM_SUMMARY,
)

Events: TypeAlias = Iterator[dg.AssetCheckResult | dg.MaterializeResult[None]]

_TABLES = (
    RAW_TRANSACTIONS,
    CLEANED_TRANSACTIONS,
    REJECTED_TRANSACTIONS,
    PURCHASE_DAYS,
    REPEAT_CUSTOMERS,
    RFM_SUMMARY,
)
#: Which of them each is made of.
_MADE_OF = {
    RAW_TRANSACTIONS.name: (),
    CLEANED_TRANSACTIONS.name: (RAW_TRANSACTIONS.name,),
    REJECTED_TRANSACTIONS.name: (RAW_TRANSACTIONS.name,),
    PURCHASE_DAYS.name: (CLEANED_TRANSACTIONS.name,),
    REPEAT_CUSTOMERS.name: (PURCHASE_DAYS.name,),
    RFM_SUMMARY.name: (PURCHASE_DAYS.name,),
}


def remote_preparation(
    partitions: dg.PartitionsDefinition[str], checks: Mapping[str, Sequence[Check]], names: Names
) -> dg.AssetsDefinition:
    """Return the step that makes every table of the first half elsewhere.

    Parameters
    ----------
    partitions : PartitionsDefinition
    checks : mapping
        Every table's checks.
    names : Names
    """
    pipes_key = names.name(PIPES)

    @dg.multi_asset(
        name=names.name("remote_preparation"),
        outs={table.name: asset_out(table, names) for table in _TABLES},
        internal_asset_deps={name: {names.key(above) for above in made_of} for name, made_of in _MADE_OF.items()},
        check_specs=check_specs(_TABLES, checks, names, partitions),
        partitions_def=partitions,
        required_resource_keys={pipes_key},
        # The job runs the whole half.
        can_subset=False,
        pool=names.name(POOL),
        backfill_policy=dg.BackfillPolicy.multi_run(1),
    )
    def remote_preparation(context: dg.AssetExecutionContext) -> Events:
        launcher: Launcher = getattr(context.resources, pipes_key)
        with faults_as_failures():
            told = launcher.launch(context, month_of(context.partition_key))
        for result in told.results:
            yield _described(result) if isinstance(result, dg.AssetCheckResult) else result
        _raise_unless_whole(context.partition_key, told)

    return remote_preparation


def _described(result: dg.AssetCheckResult) -> dg.AssetCheckResult:
    """Give a check result its sentence again, which Pipes carries as metadata only."""
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
        Without retries where the far end said why; with them where the job broke off.
    """
    made = {
        Names.table(result.asset_key)
        for result in told.results
        if isinstance(result, dg.MaterializeResult) and result.asset_key
    }
    missing = [table.name for table in _TABLES if table.name not in made]
    if told.errors:
        raise dg.Failure(description=" ".join(told.errors), allow_retries=False)
    if not missing:
        # Everything is published; what failed came after, or the client takes a cluster's end for a failure.
        return
    published = f"Published before that: {', '.join(sorted(made))}." if made else "Nothing of it was published."
    raise dg.Failure(
        description=f"The remote run of {month} ended before {', '.join(missing)} "
        f"{'was' if len(missing) == 1 else 'were'} published: {told.fault or 'its job ended without a word'}. "
        f"{published} Look at the job's own logs, then run the month again.",
    )
