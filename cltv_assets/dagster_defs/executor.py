"""Runs all steps of a run in the run's own process, and speeds up Dagster's SQLite storages.

A process for each step would spend most of its time on imports. A month of the graph records
about a hundred events; ``instance_state.calm_sqlite`` says what each would cost on SQLite. It
does not change other storages.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import dagster as dg

from cltv_assets.dagster_defs.collection import rare_collection
from cltv_assets.dagster_defs.instance_state import calm_sqlite, forget_checks_not_run


class _CalmExecutor(dg.Executor):
    """Dagster's in-process executor inside `calm_sqlite` and `rare_collection`."""

    def __init__(self, usual: dg.Executor) -> None:
        self._usual = usual

    @property
    def retries(self) -> Any:
        """What the usual executor does about retries."""
        return self._usual.retries

    @property
    def step_dependency_config(self) -> Any:
        """What the usual executor asks of upstream steps."""
        return self._usual.step_dependency_config

    def execute(self, plan_context: Any, execution_plan: Any) -> Iterator[dg.DagsterEvent]:
        """Execute the plan."""
        with calm_sqlite(), rare_collection():
            try:
                yield from self._usual.execute(plan_context, execution_plan)
            finally:
                # What comes after a step that failed has not run, and must not look as if it had failed too.
                forget_checks_not_run(plan_context.instance, plan_context.run_id)


@dg.executor(name="in_process", config_schema=dg.in_process_executor.config_schema)  # type: ignore[call-overload,untyped-decorator]
def cltv_executor(context: dg.InitExecutorContext) -> dg.Executor:
    """Execute every step in the run's process."""
    create = dg.in_process_executor.executor_creation_fn
    assert create is not None
    return _CalmExecutor(create(context))
