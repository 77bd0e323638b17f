"""Turns the tables of a step into a Dagster asset that writes, audits and publishes.

Dagster's own order is compute, store, check, so a blocking check would run when readers
already see the month. Here the asset stages the month's files in the lake and checks them.
Only a month that passes reaches the IO manager, which publishes it in one commit. After a
failed check, an exception or a kill, readers still have the earlier version of the month.
"""

# No `from __future__ import annotations` here: Dagster reads the context's annotation as a class.

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import dagster as dg
import ibis.expr.types as ir

from cltv_assets.columns import MONTH
from cltv_assets.dagster_defs.accepting import CONFIG, accepts_loss
from cltv_assets.dagster_defs.customising import Custom
from cltv_assets.dagster_defs.io_managers import LakeWindow, publish
from cltv_assets.dagster_defs.naming import Names
from cltv_assets.dagster_defs.partitions import metadata_of_input, month_of
from cltv_assets.dagster_defs.presentation import (
    check_result,
    column_schema,
    in_paragraphs,
    metadata_of,
    refusal_metadata,
)
from cltv_assets.dagster_defs.ranges import Event, MonthMade, make_months, outputs_of_checks, record_checks
from cltv_assets.dagster_defs.resources import LAKE, POOL, Platform
from cltv_assets.dagster_defs.upstream import upstream_deps
from cltv_assets.errors import CltvError
from cltv_assets.lake import Lake, StagedMonth, Staging
from cltv_assets.lake.fence import Fence
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.sources.delivered import RAW_TRANSACTIONS
from cltv_assets.tables import made_by
from cltv_assets.tables.check import audit
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.refused_lines import Reason, explained, keep, reasons_of, what_stays
from cltv_assets.tables.same_rows import AS_BEFORE, CONTENT, NEW, has_same_rows
from cltv_assets.tables.table import Made, Table

#: Tag that shows which command makes an asset.
HALF = "cltv/half"

Events = Iterator[Event]


def lake_asset(
    settings: Settings,
    tables: Sequence[Table],
    partitions: dg.PartitionsDefinition[str],
    names: Names,
    backfills: dg.BackfillPolicy,
    custom: Custom,
) -> dg.AssetsDefinition:
    """Return the asset, or the assets of one step, for ``tables``.

    Parameters
    ----------
    settings : Settings
        They choose columns, inputs and checks.
    tables : sequence of Table
        What the step makes: the table whose ``make`` runs, and those made with it.
    partitions : PartitionsDefinition
        The months.
    names : Names
        What assets and resources are called in this graph.
    backfills : BackfillPolicy
        How many months one run makes.
    custom : Custom
        What a project changes of the step.
    """
    lake_key = names.name(LAKE)
    lands = tables[0].name == RAW_TRANSACTIONS.name

    @dg.multi_asset(
        name=names.name("_and_".join(table.name for table in tables)),
        outs={table.name: asset_out(table, settings, names) for table in tables},
        ins={
            given.table: dg.AssetIn(
                key=names.key(given.table),
                metadata=metadata_of_input(given),
                input_manager_key=lake_key,
            )
            for given in tables[0].inputs(settings)
        },
        config_schema=CONFIG if lands else None,
        deps=[
            *(upstream_deps(settings) if lands else ()),
            *custom.deps_of([table.name for table in tables]),
        ],
        check_specs=check_specs(tables, settings, names, partitions),
        partitions_def=partitions,
        required_resource_keys={lake_key},
        # A step that makes two tables makes both or none.
        can_subset=False,
        pool=custom.pool or names.name(POOL),
        op_tags=custom.op_tags,
        backfill_policy=backfills,
    )
    def asset(context: dg.AssetExecutionContext, **upstream: LakeWindow) -> Events:
        platform: Platform = getattr(context.resources, lake_key).platform

        def make(month: Month) -> MonthMade:
            with platform.step():
                return _make(platform, names, tables, month, upstream, accept_loss=accepts_loss(context))

        def make_in_range(month: Month) -> MonthMade:
            return replace(make(month), publish=lambda staged: publish(platform, staged, context.run.run_id))

        def step() -> Events:
            if context.has_partition_key:
                month = month_of(context.partition_key)
                yield from _yield_one(context, make(month), month)
            else:
                made = [table.name for table in tables]
                yield from make_months(context, made, names, platform.failed, make_in_range)

        yield from custom.steps(context, step)

    return asset


def _make(
    platform: Platform,
    names: Names,
    tables: Sequence[Table],
    month: Month,
    upstream: Mapping[str, LakeWindow],
    *,
    accept_loss: bool,
) -> MonthMade:
    """Stage a month's files and check them."""
    stagings: list[Staging] = []

    def discard() -> None:
        # This keeps what is or may be published, and removes a sibling that was not reached.
        for staging in stagings:
            staging.discard()

    with contextlib.ExitStack() as undo:
        # Before anything is read: a customer who is erased meanwhile must not come back.
        schemas = [table.schema_for(platform.settings.horizons_months) for table in tables]
        stagings.extend(undo.enter_context(platform.lake.table(schema).begin(month)) for schema in schemas)
        read = {name: window.of(month) for name, window in upstream.items()}
        run = replace(platform.month_run(month, read), accept_loss=accept_loss)
        staged = _stage(run, made_by(tables[0], run), stagings)
        outcome = _audit(run, staged, tables, names)
        # Dagster keeps rows of check results.
        fences = [staging.fence for staging in stagings]
        for fence in fences:
            fence.check()
        made = [table.name for table in tables]
        if not outcome.reasons:
            return MonthMade(
                outcome.check_results,
                "",
                outcome.outputs,
                published=lambda: _keep(run.lake, month, made, ()),
                discard=discard,
            )
        unkept = _keep(run.lake, month, made, outcome.reasons, fences)
    stays = what_stays(run.lake, schemas[0], month, run.settings.zone)
    refusal = f"{month} is not published; readers keep what they had: {stays}. {explained(outcome.reasons)}{unkept}"
    metadata = refusal_metadata(outcome.reasons, run) | {"published": stays}
    return MonthMade(outcome.check_results, refusal, outcome.outputs, discard=discard, refusal_metadata=metadata)


def _keep(
    lake: Lake, month: Month, tables: Sequence[str], reasons: Sequence[Reason], fences: Sequence[Fence] = ()
) -> str:
    """Keep why the month is refused; return what went wrong, which must hide neither the reasons nor the month."""
    try:
        keep(lake, month, tables, reasons, fences)
    except CltvError as error:
        logging.getLogger(__name__).warning(
            "%s: what stands in refused_lines is not up to date: %s", month, error.recorded
        )
        return f" They could not be kept in refused_lines: {error.problem}"
    return ""


def _yield_one(context: dg.AssetExecutionContext, made: MonthMade, month: Month) -> Events:
    """Hand the only month of a run to Dagster, whose IO manager publishes it."""
    try:
        record_checks(context, made, month)
        yield from made.outputs
        made.published()
        yield from outputs_of_checks(context)
    finally:
        made.discard()


def check_specs(
    tables: Sequence[Table], settings: Settings, names: Names, partitions: dg.PartitionsDefinition[str]
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
        for check in table.checks_for(settings.horizons_months)
    ]


def asset_out(table: Table, settings: Settings, names: Names) -> dg.AssetOut:
    """Return the table as Dagster declares it."""
    schema = table.schema_for(settings.horizons_months)
    return dg.AssetOut(
        key=names.key(table.name),
        description=in_paragraphs(table.description),
        group_name=names.name(table.group),
        owners=[table.owner],
        tags={HALF: table.half},
        io_manager_key=names.name(LAKE),
        dagster_type=dg.Any,
        metadata={
            "dagster/column_schema": column_schema(schema),
            "grain": ", ".join(schema.grain),
            "partition_expr": MONTH,
        },
    )


def _stage(run: MonthRun, made: Mapping[str, Made], stagings: Sequence[Staging]) -> list[StagedMonth]:
    """Write each table's files where no reader sees them."""
    staged = []
    for staging in stagings:
        content = made[staging.schema.name]
        if isinstance(content, ir.Table):
            run.engine.write(content, staging.schema, staging.new_file())
        else:
            for file in content:
                staging.adopt(file)
        staged.append(staging.seal())
    return staged


@dataclass(frozen=True)
class _Outcome:
    check_results: list[dg.AssetCheckResult]
    reasons: list[Reason]
    outputs: list[dg.MaterializeResult[StagedMonth]]


def _audit(run: MonthRun, staged: Sequence[StagedMonth], tables: Sequence[Table], names: Names) -> _Outcome:
    """Run the checks on the written files."""
    written = {part.schema.name: run.engine.read_files(part.schema, part.paths) for part in staged}
    # Checks that compare tables read what was written, not what was planned.
    seen = replace(run, inputs={**run.inputs, **written})
    outcome = _Outcome([], [], [])
    for table, part in zip(tables, staged, strict=True):
        key = names.key(table.name)
        for finding in audit(written[table.name], table.checks_for(run.settings.horizons_months), seen):
            reasons = reasons_of(finding, table.name, written[table.name], seen) if finding.blocks else []
            outcome.check_results.append(check_result(key, finding, refusal_metadata(reasons, seen)))
            outcome.reasons.extend(reasons)
        metadata = metadata_of(table, written[table.name], seen)
        if not outcome.reasons:
            metadata[CONTENT] = AS_BEFORE if has_same_rows(seen, part) else NEW
        outcome.outputs.append(dg.MaterializeResult(asset_key=key, value=part, metadata=metadata))
    return outcome
