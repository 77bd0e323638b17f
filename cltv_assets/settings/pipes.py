"""The section ``pipes``: how another service runs the first half of each month."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from cltv_assets.settings.section import Section

#: Parameters that Amazon requires for RunJobFlow.
_JOB_FLOW = ("ReleaseLabel", "Instances", "JobFlowRole", "ServiceRole")


class Pipes(Section):
    """Runs the first half of each month as a job of another service: docs/remote.md."""

    kind: Literal["databricks", "emr", "emr_serverless"] | None = Field(
        None, description="The service. Empty: everything runs in one place."
    )
    bucket: str | None = Field(
        None, description="S3 bucket for context and messages; both sides may read, write and delete there."
    )
    prefix: str = Field("cltv-pipes/", description="Prefix of their keys; nothing else is stored under it.")
    volume: str | None = Field(
        None, pattern=r"^/Volumes/", description="Databricks: a Unity Catalog volume instead of the bucket."
    )
    cluster_id: str | None = Field(None, description="Databricks: a cluster that runs already.")
    new_cluster: dict[str, Any] | None = Field(
        None, description="Databricks: the cluster to make for each month, instead of `cluster_id`."
    )
    wheel: str | None = Field(
        None, description="Databricks: where the package's wheel is; empty if the package is installed there."
    )
    requirements: str | None = Field(
        None,
        description="Databricks: a `requirements.txt` on a volume with what the wheel needs, in exact versions. "
        "Without it the newest versions are installed.",
    )
    application_id: str | None = Field(None, description="EMR Serverless: the application.")
    execution_role: str | None = Field(None, description="EMR Serverless: ARN of the job's role.")
    entry_point: str | None = Field(
        None, description="EMR and EMR Serverless: `s3://` address of your copy of `cltv_assets/cli/entry_point.py`."
    )
    spark_submit: str = Field(
        "", description="EMR and EMR Serverless: more arguments of spark-submit, such as `--archives`."
    )
    job: dict[str, Any] = Field(
        default_factory=dict,
        description="More parameters of `jobs.submit`, `RunJobFlow` or `StartJobRun`, passed on as they are.",
    )
    settings: dict[str, Any] = Field(
        default_factory=dict,
        description="Settings that differ there, such as `spark.master`; they override the others.",
    )
    poll_seconds: float = Field(10.0, gt=0, description="Seconds between two looks for messages.")

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.kind is None:
            return self
        if not self.bucket and not (self.kind == "databricks" and self.volume):
            raise ValueError("pipes needs bucket: context and messages pass through it (on Databricks volume will do)")
        problem = {"databricks": self._databricks, "emr": self._emr, "emr_serverless": self._serverless}[self.kind]()
        if problem:
            raise ValueError(problem)
        return self

    def _databricks(self) -> str | None:
        if (self.cluster_id is None) == (self.new_cluster is None):
            return "pipes of kind databricks needs either cluster_id or new_cluster"
        return None

    def _emr(self) -> str | None:
        missing = [name for name in _JOB_FLOW if name not in self.job] + ([] if self.entry_point else ["entry_point"])
        if missing:
            return f"pipes of kind emr lacks {', '.join(missing)} (all but entry_point under job)"
        return None

    def _serverless(self) -> str | None:
        needed = {
            "application_id": self.application_id,
            "execution_role": self.execution_role,
            "entry_point": self.entry_point,
        }
        missing = [name for name, value in needed.items() if not value]
        return f"pipes of kind emr_serverless lacks {', '.join(missing)}" if missing else None
