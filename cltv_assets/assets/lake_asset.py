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
from typing import Any, TypeAlias

import dagster as dg
import ibis.expr.types as ir

from cltv_assets.assets.policy import policy_of
from cltv_assets.checks import Check, Finding, audit
from cltv_assets.failures import faults_as_failures
from cltv_assets.lake import StagedMonth, Staging
from cltv_assets.partitions import month_of
from cltv_assets.resources import Platform
from cltv_assets.schemas import MONTH, TableSchema
from cltv_assets.steps.month_run import MonthRun

#: A table as an expression for the engine, or as local parquet files that need none.
Made: TypeAlias = ir.Table | Sequence[Path]
#: From the run and its inputs to each table.
Compute = Callable[[MonthRun, Platform], Mapping[str, Made]]
Events = Iterator[dg.AssetCheckResult | dg.MaterializeResult[StagedMonth]]

_PREVIEW_ROWS = 5


@dataclass(frozen=True)
class Input:
    """An upstream table and the months of it that a month needs.

    Parameters
    ----------
    table : str
        Upstream asset.
    months : PartitionMapping or None
        ``None`` for the same month.
    metadata : mapping
        For the IO manager.
    """

    table: str
    months: dg.PartitionMapping | None = None
    metadata: Mapping[str, Any] | None = None


def lake_asset(
    tables: Sequence[TableSchema],
    compute: Compute,
    checks: Mapping[str, Sequence[Check]],
    partitions: dg.PartitionsDefinition[str],
    inputs: Sequence[Input] = (),
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
    inputs : sequence of Input
    """
    specs = check_specs(tables, checks)

    @dg.multi_asset(
        name="_and_".join(table.name for table in tables),
        outs={table.name: asset_out(table) for table in tables},
        ins={
            given.table: dg.AssetIn(
                partition_mapping=given.months, metadata=dict(given.metadata or {}), input_manager_key="lake"
            )
            for given in inputs
        },
        check_specs=specs,
        partitions_def=partitions,
        required_resource_keys={"platform"},
        # A step that makes two tables makes both or none.
        can_subset=False,
    )
    def asset(context: dg.AssetExecutionContext, **upstream: ir.Table) -> Events:
        platform: Platform = context.resources.platform
        stagings: list[Staging] = []
        with faults_as_failures(platform.engine), contextlib.ExitStack() as undo:
            run = platform.month_run(month_of(context.partition_key), upstream)
            stagings.extend(undo.enter_context(run.lake.table(table).begin(run.month)) for table in tables)
            staged = _stage(run, compute(run, platform), tables, stagings)
            outcome = _audit(run, staged, checks)
        yield from outcome.check_results
        if outcome.blocking:
            for staging in stagings:
                staging.discard()
            raise dg.Failure(
                description=f"{run.month} is not published; readers keep what they had. " + " ".join(outcome.blocking),
                allow_retries=False,
            )
        try:
            yield from outcome.outputs
        finally:
            # What is or may be published stays; a sibling whose turn never came goes.
            for staging in stagings:
                staging.discard()

    return asset


def check_specs(tables: Sequence[TableSchema], checks: Mapping[str, Sequence[Check]]) -> list[dg.AssetCheckSpec]:
    """Return the checks of ``tables`` as Dagster declares them."""
    return [
        dg.AssetCheckSpec(check.name, asset=table.name, description=check.description, blocking=check.blocking)
        for table in tables
        for check in checks[table.name]
    ]


def asset_out(table: TableSchema) -> dg.AssetOut:
    """Return the table as Dagster declares it."""
    policy = policy_of(table.name)
    return dg.AssetOut(
        description=table.description,
        group_name=policy.group,
        owners=list(policy.owners),
        kinds=set(policy.kinds),
        tags=dict(policy.tags),
        io_manager_key="lake",
        dagster_type=dg.Any,
        metadata={
            "dagster/column_schema": column_schema(table),
            "grain": ", ".join(table.grain),
            "partition_expr": MONTH,
        },
    )


def column_schema(table: TableSchema) -> dg.TableSchema:
    """Return the table's columns as Dagster shows them."""
    columns = [
        dg.TableColumn(
            column.name,
            column.type,
            description=column.meaning + (f" [{column.unit}]" if column.unit else ""),
            constraints=dg.TableColumnConstraints(nullable=column.nullable),
        )
        for column in table.columns
    ]
    month = dg.TableColumn(MONTH, "date", description="The partition: first day of the month.")
    return dg.TableSchema(columns=[*columns, month])


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


def _audit(run: MonthRun, staged: Sequence[StagedMonth], checks: Mapping[str, Sequence[Check]]) -> _Outcome:
    """Hold the written files against their checks."""
    written = {part.schema.name: run.engine.read_files(part.schema, part.paths) for part in staged}
    # Identities between tables are checked on what was written, not on a plan.
    seen = replace(run, inputs={**run.inputs, **written})
    outcome = _Outcome([], [], [])
    for part in staged:
        name = part.schema.name
        for finding in audit(written[name], checks[name], seen):
            outcome.check_results.append(_check_result(name, finding))
            if finding.blocks:
                outcome.blocking.append(f"{name}.{finding.check.name}: {finding.verdict.message}")
        preview = run.engine.collect(written[name].limit(_PREVIEW_ROWS)).to_pylist()
        metadata = {"preview": dg.MetadataValue.md(markdown_table(preview)), **_shown(run.notes)}
        outcome.outputs.append(dg.MaterializeResult(asset_key=name, value=part, metadata=metadata))
    return outcome


def _check_result(table: str, finding: Finding) -> dg.AssetCheckResult:
    metadata: dict[str, Any] = {"message": finding.verdict.message, **_shown(finding.verdict.facts)}
    if finding.examples:
        metadata["examples"] = dg.MetadataValue.md(markdown_table(finding.examples))
    return dg.AssetCheckResult(
        passed=finding.verdict.passed,
        asset_key=table,
        check_name=finding.check.name,
        severity=dg.AssetCheckSeverity.ERROR if finding.check.blocking else dg.AssetCheckSeverity.WARN,
        description=finding.verdict.message,
        metadata=metadata,
    )


def _shown(facts: Mapping[str, object]) -> dict[str, Any]:
    """Turn facts into metadata: numbers as numbers, the rest readable."""
    shown: dict[str, Any] = {}
    for name, value in facts.items():
        if isinstance(value, bool | int | float | str):
            shown[name] = value
        elif isinstance(value, Mapping):
            shown[name] = dg.MetadataValue.json({str(key): inner for key, inner in value.items()})
        elif value is not None:
            shown[name] = str(value)
    return shown


def markdown_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return rows as a Markdown table."""
    if not rows:
        return "_no rows_"
    names = list(rows[0])

    def cell(value: object) -> str:
        if isinstance(value, float):
            return f"{value:.6g}"
        return str("" if value is None else value).replace("|", "\\|").replace("\n", " ")

    lines = ["| " + " | ".join(names) + " |", "|" + " --- |" * len(names)]
    lines += ["| " + " | ".join(cell(row[name]) for name in names) + " |" for row in rows]
    return "\n".join(lines)
