"""A month as a Databricks job: one task that runs the wheel's entry point."""

from __future__ import annotations

from typing import Any

import dagster as dg
from dagster_databricks import PipesDatabricksClient
from dagster_databricks.pipes import PipesUnityCatalogVolumesContextInjector, PipesUnityCatalogVolumesMessageReader
from databricks.sdk import WorkspaceClient
from databricks.sdk.service import jobs

from cltv_assets.dagster_defs.remote.job import ENTRY_POINT, arguments_for
from cltv_assets.dagster_defs.remote.sessions import Heard
from cltv_assets.months import Month
from cltv_assets.settings.pipes import Pipes

_PACKAGE = "cltv_assets"


class DatabricksService:
    """Runs months through ``PipesDatabricksClient``.

    Parameters
    ----------
    pipes : Pipes
        The section ``pipes`` of the settings.
    workspace : WorkspaceClient, optional
        By default the one that the Databricks SDK finds (``DATABRICKS_HOST`` and so on).
    """

    def __init__(self, pipes: Pipes, workspace: Any = None) -> None:
        self._pipes = pipes
        self._workspace = workspace

    def run(
        self,
        context: dg.AssetExecutionContext,
        month: Month,
        extras: dict[str, Any],
        ends: tuple[dg.PipesContextInjector, Any],
    ) -> object:
        """Start the job and wait for its end."""
        client = PipesDatabricksClient(
            client=self._workspace or WorkspaceClient(),
            context_injector=ends[0],
            message_reader=ends[1],
            poll_interval_seconds=self._pipes.poll_seconds,
        )
        return client.run(context=context, task=self.task(month), submit_args=dict(self._pipes.job), extras=extras)

    def task(self, month: Month) -> jobs.SubmitTask:
        """Return the task for a month."""
        pipes = self._pipes
        spec: dict[str, Any] = {
            "task_key": f"{ENTRY_POINT}-{month}",
            "python_wheel_task": {
                "package_name": _PACKAGE,
                "entry_point": ENTRY_POINT,
                "parameters": arguments_for(month),
            },
        }
        wanted = [("requirements", pipes.requirements), ("whl", pipes.wheel)]
        if libraries := [{kind: place} for kind, place in wanted if place]:
            spec["libraries"] = libraries
        if pipes.cluster_id:
            spec["existing_cluster_id"] = pipes.cluster_id
        else:
            spec["new_cluster"] = pipes.new_cluster
        return jobs.SubmitTask.from_dict(spec)


def volume_ends(pipes: Pipes, workspace: Any = None) -> tuple[dg.PipesContextInjector, Any]:
    """Return the near ends on a Unity Catalog volume: the context injector and the message reader."""

    class Reader(Heard, PipesUnityCatalogVolumesMessageReader):  # type: ignore[misc]
        pass

    client = workspace or WorkspaceClient()
    reader = Reader(interval=pipes.poll_seconds, client=client, volume_path=pipes.volume)
    return PipesUnityCatalogVolumesContextInjector(client=client, volume_path=pipes.volume), reader
