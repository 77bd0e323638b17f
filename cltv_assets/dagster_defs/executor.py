"""Runs all steps of a run in its own process, with Dagster's SQLite kept calm.

One process, because most of a process's time here is its imports. A month of the
graph records some hundred events; ``instance`` says what each would cost on SQLite.
Other storages are not touched by it.
"""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.executor.in_process import InProcessExecutor

from cltv_assets.dagster_defs.collection import rare_collection
from cltv_assets.dagster_defs.instance import calm_sqlite


class _CalmExecutor(InProcessExecutor):
    def execute(
        self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan
    ) -> Iterator[dg.DagsterEvent]:
        with calm_sqlite(), rare_collection():
            yield from super().execute(plan_context, execution_plan)


@dg.executor(name="in_process", config_schema=dg.in_process_executor.config_schema)  # type: ignore[call-overload,untyped-decorator]
def cltv_executor(context: dg.InitExecutorContext) -> InProcessExecutor:
    """Execute every step in the run's process."""
    usual = dg.in_process_executor.executor_creation_fn(context)  # type: ignore[misc]
    assert isinstance(usual, InProcessExecutor)
    return _CalmExecutor(usual.retries, usual.step_dependency_config, usual.marker_to_close)
