"""Turns a step into a Dagster asset that writes, audits and publishes.

Dagster's own order is compute, store, check: a blocking check runs when readers
already see the month. Here the body stages the month's files in the lake, holds
them against the checks, and only a month that passes reaches the IO manager, which
publishes it in one commit. A failed check, an exception or a kill leaves readers
on the month they had.
"""

# No `from __future__ import annotations` here: Dagster reads the context's annotation as a class.

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import dagster as dg
import ibis.expr.types as ir

from cltv_assets.checks import Check, audit
from cltv_assets.dagster_defs.assets.policy import policy_of
from cltv_assets.dagster_defs.assets.presentation import check_result, column_schema, metadata_of
from cltv_assets.dagster_defs.assets.ranges import Event, MonthMade, make_months
from cltv_assets.dagster_defs.failures import faults_as_failures
from cltv_assets.dagster_defs.io_managers import LakeWindow, publish
from cltv_assets.dagster_defs.naming import Names
from cltv_assets.dagster_defs.partitions import SAME_MONTH, Window, month_of
from cltv_assets.dagster_defs.resources import LAKE, PLATFORM, POOL, Platform
from cltv_assets.lake import StagedMonth, Staging
from cltv_assets.months import Month
from cltv_assets.schemas import MONTH, TableSchema
from cltv_assets.steps.month_run import MonthRun

#: A table as an expression for the engine, or as local parquet files that need none.
Made: TypeAlias = ir.Table | Sequence[Path]
#: From the run and its inputs to each table.
Compute = Callable[[MonthRun, Platform], Mapping[str, Made]]
Events = Iterator[Event]


@dataclass(frozen=True)
class Input:
    """An upstream table and the months of it that a month needs.

    Parameters
    ----------
    table : str
        Upstream asset.
    window : Window
        Which months of it.
    """

    table: str
    window: Window = SAME_MONTH


def lake_asset(
    tables: Sequence[TableSchema],
    compute: Compute,
    checks: Mapping[str, Sequence[Check]],
    partitions: dg.PartitionsDefinition[str],
    names: Names,
    inputs: Sequence[Input] = (),
    backfills: dg.BackfillPolicy | None = None,
) -> dg.AssetsDefinition:
    """Return the asset, or assets of one step, that make ``tables``.

    Parameters
    ----------
    tables : sequence of TableSchema
        What the step makes; more than one where they are two halves of one verdict.
    compute : callable
        The step.
    checks : mapping
        Every table's checks.
    partitions : PartitionsDefinition
    names : Names
    inputs : sequence of Input
    backfills : BackfillPolicy, optional
        How many months one run makes; all of them by default.
    """
    specs = check_specs(tables, checks, names, partitions)
    platform_key = names.name(PLATFORM)

    @dg.multi_asset(
        name=names.name("_and_".join(table.name for table in tables)),
        outs={table.name: asset_out(table, names) for table in tables},
        ins={
            given.table: dg.AssetIn(
                key=names.key(given.table),
                metadata=given.window.metadata(),
                input_manager_key=names.name(LAKE),
            )
            for given in inputs
        },
        check_specs=specs,
        partitions_def=partitions,
        required_resource_keys={platform_key},
        # A step that makes two tables makes both or none.
        can_subset=False,
        pool=names.name(POOL),
        backfill_policy=backfills or dg.BackfillPolicy.single_run(),
    )
    def asset(context: dg.AssetExecutionContext, **upstream: LakeWindow) -> Events:
        platform: Platform = getattr(context.resources, platform_key)

        def make(month: Month) -> MonthMade:
            with faults_as_failures(platform.engine):
                read = {name: window.of(month) for name, window in upstream.items()}
                return _make(platform, names, tables, compute, checks, month, read)

        if context.has_partition_key:
            yield from _yield_one(make(month_of(context.partition_key)))
            return

        def make_in_range(month: Month) -> MonthMade:
            return replace(make(month), publish=lambda staged: publish(platform, staged, context.run.run_id))

        yield from make_months(context, [table.name for table in tables], names, platform.failed, make_in_range)

    return asset


def _make(
    platform: Platform,
    names: Names,
    tables: Sequence[TableSchema],
    compute: Compute,
    checks: Mapping[str, Sequence[Check]],
    month: Month,
    inputs: Mapping[str, ir.Table],
) -> MonthMade:
    """Stage a month's files and hold them against the checks."""
    stagings: list[Staging] = []

    def discard() -> None:
        # What is or may be published stays; a sibling whose turn never came goes.
        for staging in stagings:
            staging.discard()

    with contextlib.ExitStack() as undo:
        run = platform.month_run(month, inputs)
        stagings.extend(undo.enter_context(run.lake.table(table).begin(run.month)) for table in tables)
        staged = _stage(run, compute(run, platform), tables, stagings)
        outcome = _audit(run, staged, checks, names)
    refusal = f"{month} is not published; readers keep what they had. " if outcome.blocking else ""
    return MonthMade(outcome.check_results, refusal + " ".join(outcome.blocking), outcome.outputs, discard=discard)


def _yield_one(made: MonthMade) -> Events:
    """Hand a month of its own run to Dagster, whose IO manager publishes it."""
    try:
        yield from made.check_results
        if made.refusal:
            raise dg.Failure(description=made.refusal, allow_retries=False)
        yield from made.outputs
    finally:
        made.discard()


def check_specs(
    tables: Sequence[TableSchema],
    checks: Mapping[str, Sequence[Check]],
    names: Names,
    partitions: dg.PartitionsDefinition[str],
) -> list[dg.AssetCheckSpec]:
    """Return the checks of ``tables`` as Dagster declares them: every month has its own result."""
    return [
        dg.AssetCheckSpec(
            check.name,
            asset=names.key(table.name),
            description=check.description,
            blocking=check.blocking,
            partitions_def=partitions,
        )
        for table in tables
        for check in checks[table.name]
    ]


def asset_out(table: TableSchema, names: Names) -> dg.AssetOut:
    """Return the table as Dagster declares it."""
    policy = policy_of(table.name)
    return dg.AssetOut(
        key=names.key(table.name),
        description=table.description,
        group_name=names.name(policy.group),
        owners=list(policy.owners),
        tags=dict(policy.tags),
        io_manager_key=names.name(LAKE),
        dagster_type=dg.Any,
        metadata={
            "dagster/column_schema": column_schema(table),
            "grain": ", ".join(table.grain),
            "partition_expr": MONTH,
        },
    )


def _stage(
    run: MonthRun, made: Mapping[str, Made], tables: Sequence[TableSchema], stagings: Sequence[Staging]
) -> list[StagedMonth]:
    """Write each table's files where no reader sees them."""
    staged = []
    for table, staging in zip(tables, stagings, strict=True):
        content = made[table.name]
        if isinstance(content, ir.Table):
            run.engine.write(content, table, staging.new_file())
        else:
            for file in content:
                staging.adopt(file)
        staged.append(staging.seal())
    return staged


@dataclass(frozen=True)
class _Outcome:
    check_results: list[dg.AssetCheckResult]
    blocking: list[str]
    outputs: list[dg.MaterializeResult[StagedMonth]]


def _audit(
    run: MonthRun, staged: Sequence[StagedMonth], checks: Mapping[str, Sequence[Check]], names: Names
) -> _Outcome:
    """Hold the written files against their checks."""
    written = {part.schema.name: run.engine.read_files(part.schema, part.paths) for part in staged}
    # Identities between tables are checked on what was written, not on a plan.
    seen = replace(run, inputs={**run.inputs, **written})
    outcome = _Outcome([], [], [])
    for part in staged:
        name = part.schema.name
        for finding in audit(written[name], checks[name], seen):
            outcome.check_results.append(check_result(names.key(name), finding))
            if finding.blocks:
                outcome.blocking.append(f"{name}.{finding.check.name}: {finding.verdict.message}")
        metadata = metadata_of(part.schema, written[name], seen)
        outcome.outputs.append(dg.MaterializeResult(asset_key=names.key(name), value=part, metadata=metadata))
    return outcome
