"""Makes many months in one run, for backfills.

Starting a process and importing what it needs costs more than making a month. So a
backfill takes one run, and each step makes its months one after the other, oldest
first. Every month is written, checked and published by itself, exactly as in a run of
its own, and its materialisation and its check results are recorded under its name as
soon as it is done. If a month fails, later steps skip it and the other months go on. At its end
the run fails and says which months could not be made and why.

Dagster's own range runs record one materialisation for all months at the end of the step,
record checks without a month, and stop all months when one fails.
"""

# No `from __future__ import annotations` here: Dagster reads the context's annotation as a class.

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import dagster as dg

from cltv_assets.dagster_defs.failures import FailedMonths
from cltv_assets.dagster_defs.instance_state import RECORDED
from cltv_assets.dagster_defs.naming import Names
from cltv_assets.dagster_defs.partitions import month_of
from cltv_assets.months import Month

#: Dagster's names of executors that run all steps of a run in its process.
_ONE_PROCESS = ("in_process", "execute_in_process_executor")

Event = dg.AssetMaterialization | dg.MaterializeResult[Any] | dg.AssetCheckResult | dg.Output[None]


@dataclass(frozen=True)
class MonthMade:
    """A month of a step, written and audited.

    Parameters
    ----------
    check_results : list of AssetCheckResult
        What the checks found.
    refusal : str
        Why it must not be published; empty if all is well.
    outputs : list of MaterializeResult
        What to publish.
    publish : callable
        Publishes the value of one output and returns its metadata.
    discard : callable
        Removes what was written but not published.
    published : callable
        Called when all outputs are published.
    refusal_metadata : mapping
        What the UI shows of the refusal.
    """

    check_results: list[dg.AssetCheckResult]
    refusal: str
    outputs: list[dg.MaterializeResult[Any]]
    publish: Callable[[Any], Mapping[str, Any]] = lambda _value: {}
    discard: Callable[[], None] = lambda: None
    published: Callable[[], object] = lambda: None
    refusal_metadata: Mapping[str, Any] = field(default_factory=dict)


def make_months(
    context: dg.AssetExecutionContext,
    tables: Sequence[str],
    names: Names,
    failed: FailedMonths,
    make: Callable[[Month], MonthMade],
) -> Iterator[Event]:
    """Make each month of the run's range.

    Parameters
    ----------
    context : AssetExecutionContext
        Of the running step.
    tables : sequence of str
        What the step makes.
    names : Names
        What assets are called in this graph.
    failed : FailedMonths
        The run's failed months; this step's are added.
    make : callable
        Writes and audits a month.

    Raises
    ------
    dagster.Failure
        If months failed and no later step of the run will say so, or if the run's steps may be in several processes.
    """
    _require_one_process(context, tables)
    months = [month_of(key) for key in context.partition_keys]
    above, passes_on = _neighbours(context, tables, names)
    for at, month in enumerate(sorted(months), start=1):
        if failed.holds(above, month):
            failed.add(tables, month, "")
            context.log.warning(f"{month}: not made, because something it is made from failed.")
            continue
        try:
            yield from _make_one(context, month, make)
        except dg.Failure as failure:
            failed.add(tables, month, failure.description or "failed")
            context.log.error(f"{month} ({at} of {len(months)}) failed: {failure.description}")
        else:
            context.log.info(f"{month} ({at} of {len(months)}) is done.")
    if not passes_on and any(failed.holds(tables, month) for month in months):
        raise dg.Failure(description=failed.sentence(len(months)), allow_retries=False)
    for table in tables:
        yield dg.MaterializeResult(asset_key=names.key(table), metadata=RECORDED)
    yield from outputs_of_checks(context)


def record_checks(context: dg.AssetExecutionContext, made: MonthMade, month: Month) -> None:
    """Record the check results of a month, and raise if it must not be published.

    They are logged, not yielded: Dagster would stop a step of many months that yields a failed blocking
    check, and would look for the last materialisation again for each result.
    """
    for result in made.check_results:
        context.log_event(_evaluation(result, month))
    if made.refusal:
        raise dg.Failure(description=made.refusal, metadata=made.refusal_metadata, allow_retries=False)


def outputs_of_checks(context: dg.AssetExecutionContext) -> Iterator[dg.Output[None]]:
    """Yield the outputs that Dagster expects of checks whose results are recorded."""
    for output, spec in context.assets_def.check_specs_by_output_name.items():
        if spec.key in context.selected_asset_check_keys:
            yield dg.Output(None, output)


def _make_one(
    context: dg.AssetExecutionContext, month: Month, make: Callable[[Month], MonthMade]
) -> Iterator[dg.AssetMaterialization]:
    made = make(month)
    try:
        record_checks(context, made, month)
        for output in made.outputs:
            metadata = {**(output.metadata or {}), **made.publish(output.value)}
            assert output.asset_key is not None
            yield dg.AssetMaterialization(output.asset_key, partition=month.key, metadata=metadata)
        made.published()
    finally:
        made.discard()


def _require_one_process(context: dg.AssetExecutionContext, tables: Sequence[str]) -> None:
    """Refuse a run of several steps in several processes: a step would not know which months failed before it."""
    executor = context.job_def.executor_def.name
    made = set(context.job_def.asset_layer.executable_asset_keys)
    if len(made) > len(tables) and executor not in _ONE_PROCESS:
        raise dg.Failure(
            description=f"Several months are made in one run only by the executor in_process, and this is {executor}: "
            "in another process a step does not know which months failed before it. Launch a run for each month: "
            "op: {backfill_policy: {type: multi_run, max_partitions_per_run: 1}}, or a single --partition.",
            allow_retries=False,
        )


def _evaluation(result: dg.AssetCheckResult, month: Month) -> Any:
    assert result.asset_key is not None
    assert result.check_name is not None
    return dg.AssetCheckEvaluation(
        asset_key=result.asset_key,
        check_name=result.check_name,
        passed=result.passed,
        metadata=result.metadata or {},
        severity=result.severity,
        description=result.description,
        blocking=result.severity == dg.AssetCheckSeverity.ERROR,
        partition=month.key,
    )


def _neighbours(context: dg.AssetExecutionContext, tables: Sequence[str], names: Names) -> tuple[list[str], bool]:
    """Return the tables that a step reads, and whether another step of the run reads this step's tables."""
    graph = context.job_def.asset_layer.asset_graph
    own = {names.key(table) for table in tables}
    above = {parent for key in own for parent in graph.get(key).parent_keys} - own
    below = {child for key in own for child in graph.get(key).child_keys} - own
    return [names.table(key) for key in above], bool(below & set(context.job_def.asset_layer.executable_asset_keys))
