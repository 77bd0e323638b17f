"""A month as a job of EMR, on a cluster of its own, or of EMR Serverless."""

from __future__ import annotations

import copy
import shlex
from typing import Any

import dagster as dg
from dagster_aws.pipes import PipesEMRClient, PipesEMRServerlessClient

from cltv_assets.dagster_defs.remote.job import ENTRY_POINT, arguments_for
from cltv_assets.months import Month
from cltv_assets.settings.pipes import Pipes


class _Emr:
    """What both kinds of EMR need.

    Parameters
    ----------
    pipes : Pipes
        The section ``pipes`` of the settings.
    region : str, optional
        By default what AWS's own chain finds.
    client : boto3 client, optional
        The service's client; by default one for ``region``.
    """

    def __init__(self, pipes: Pipes, region: str | None = None, client: Any = None) -> None:
        self._pipes = pipes
        self._region = region
        self._client = client


class EmrService(_Emr):
    """Runs each month on an EMR cluster that ends with it, through ``PipesEMRClient``."""

    def run(
        self,
        context: dg.AssetExecutionContext,
        month: Month,
        extras: dict[str, Any],
        ends: tuple[dg.PipesContextInjector, Any],
    ) -> object:
        """Start the cluster and wait for its end."""
        client = PipesEMRClient(
            client=self._client or _boto3_client("emr", self._region), context_injector=ends[0], message_reader=ends[1]
        )
        return client.run(context=context, run_job_flow_params=self.job_flow(month), extras=extras)

    def job_flow(self, month: Month) -> dict[str, Any]:
        """Return the parameters of RunJobFlow for a month."""
        flow = copy.deepcopy(self._pipes.job)
        # The client waits until the cluster ends, so the cluster must not stay alive.
        flow["Instances"] = {**flow["Instances"], "KeepJobFlowAliveWhenNoSteps": False}
        # Client mode runs the driver in the master's process tree, where it gets what the client exports.
        command = ["spark-submit", "--deploy-mode", "client", *shlex.split(self._pipes.spark_submit)]
        step = {
            "Name": f"{ENTRY_POINT} {month}",
            "ActionOnFailure": "TERMINATE_CLUSTER",
            "HadoopJarStep": {
                "Jar": "command-runner.jar",
                "Args": [*command, self._pipes.entry_point, *arguments_for(month)],
            },
        }
        return {"Name": f"{ENTRY_POINT}-{month}", **flow, "Steps": [*flow.get("Steps", []), step]}


class EmrServerlessService(_Emr):
    """Runs each month as a job run of an EMR Serverless application, by ``PipesEMRServerlessClient``."""

    def run(
        self,
        context: dg.AssetExecutionContext,
        month: Month,
        extras: dict[str, Any],
        ends: tuple[dg.PipesContextInjector, Any],
    ) -> object:
        """Start the job run and wait for its end."""
        client = PipesEMRServerlessClient(
            client=self._client or _boto3_client("emr-serverless", self._region),
            context_injector=ends[0],
            message_reader=ends[1],
            poll_interval=self._pipes.poll_seconds,
        )
        return client.run(context=context, start_job_run_params=self.job_run(month), extras=extras)

    def job_run(self, month: Month) -> dict[str, Any]:
        """Return the parameters of StartJobRun for a month."""
        pipes = self._pipes
        driver = {
            "entryPoint": pipes.entry_point,
            "entryPointArguments": arguments_for(month),
            "sparkSubmitParameters": pipes.spark_submit,
        }
        return {
            "name": f"{ENTRY_POINT}-{month}",
            **copy.deepcopy(pipes.job),
            "applicationId": pipes.application_id,
            "executionRoleArn": pipes.execution_role,
            "jobDriver": {"sparkSubmit": driver},
        }


def _boto3_client(service: str, region: str | None) -> Any:
    import boto3

    return boto3.client(service, region_name=region)
