"""What each service is asked to run; the services' answers here are made up.

The clients are Dagster's own, over service clients that record what they are asked. Among the
cluster's tests because they need its packages.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from cltv_assets import __version__
from cltv_assets.dagster_defs.remote.launching import PipesLauncher, Told, extras_for
from cltv_assets.months import Month
from cltv_assets.settings import Settings

MONTH = Month.parse("2011-01")
LAKE = {"lake_uri": "s3://lake/cltv", "s3": {"region": "eu-west-1"}}


def settings(**pipes: Any) -> Settings:
    return Settings.model_validate(LAKE | {"pipes": {"bucket": "passage", **pipes}})


class Ends(dg.PipesContextInjector, dg.PipesMessageReader):
    """Both ends in memory: keeps what is handed over and hears what is said."""

    def __init__(self, *said: dict[str, Any]) -> None:
        self.said = said
        self.given: Any = None
        self.handler: Any = None

    @contextlib.contextmanager
    def inject_context(self, context_data: Any) -> Iterator[dict[str, Any]]:
        self.given = context_data
        yield {"bucket": "passage", "key": "k"}

    @contextlib.contextmanager
    def read_messages(self, handler: Any) -> Iterator[dict[str, Any]]:
        self.handler = handler
        yield {"bucket": "passage", "key_prefix": "p"}
        for message in self.said:
            handler.handle_message(message)

    def no_messages_debug_text(self) -> str:
        return ""


def message(method: str, **params: Any) -> dict[str, Any]:
    return {"__dagster_pipes_version": "0.1", "method": method, "params": params}


def launched(launcher: PipesLauncher, ends: Ends, monkeypatch: pytest.MonkeyPatch) -> Told:
    """Launch from within an asset, as the clients require."""
    monkeypatch.setattr(launcher, "_ends", lambda: (ends, ends))
    got: list[Told] = []

    @dg.asset(partitions_def=dg.StaticPartitionsDefinition([MONTH.key]))
    def raw_transactions(context) -> Iterator[dg.MaterializeResult[None]]:  # type: ignore[no-untyped-def]
        got.append(launcher.launch(context, MONTH))
        yield dg.MaterializeResult()

    assert dg.materialize([raw_transactions], partition_key=MONTH.key).success
    return got[0]


class Workspace:
    """A Databricks workspace that records the one job it is given."""

    def __init__(self, result: str = "SUCCESS") -> None:
        from databricks.sdk.service import jobs

        self.submitted: dict[str, Any] = {}
        self.jobs = self
        self._state = jobs.RunState(
            life_cycle_state=jobs.RunLifeCycleState.TERMINATED,
            result_state=jobs.RunResultState(result),
            state_message="as made up",
        )

    def submit(self, tasks: list[Any], **more: Any) -> Any:
        self.submitted = {"tasks": [task.as_dict() for task in tasks], **more}
        return SimpleNamespace(bind=lambda: {"run_id": 7})

    def get_run(self, _run_id: int) -> Any:
        return SimpleNamespace(state=self._state, run_page_url=None)


def test_databricks_runs_the_wheels_entry_point_on_a_cluster_that_exists(monkeypatch: pytest.MonkeyPatch) -> None:
    from cltv_assets.dagster_defs.remote.databricks import DatabricksService

    chosen = settings(
        kind="databricks", cluster_id="c-1", wheel="/Volumes/a/b/c.whl", job={"timeout_seconds": 9}, poll_seconds=0.01
    )
    workspace, ends = Workspace(), Ends()
    told = launched(PipesLauncher(chosen, DatabricksService(chosen.pipes, workspace)), ends, monkeypatch)
    assert told.fault is None
    (task,) = workspace.submitted["tasks"]
    assert workspace.submitted["timeout_seconds"] == 9
    assert task["existing_cluster_id"] == "c-1"
    assert task["libraries"] == [{"whl": "/Volumes/a/b/c.whl"}]
    wheel = task["python_wheel_task"]
    assert (wheel["package_name"], wheel["entry_point"]) == ("cltv_assets", "cltv-preprocess")
    # Variables cannot be set on a cluster that runs already.
    assert wheel["parameters"][:4] == ["--from", "2011-01", "--to", "2011-01"]
    assert wheel["parameters"][4::2] == ["--dagster-pipes-context", "--dagster-pipes-messages"]
    assert ends.given["extras"] == {"settings": LAKE, "version": __version__}


def test_databricks_sets_variables_on_a_new_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    from cltv_assets.dagster_defs.remote.databricks import DatabricksService

    cluster = {"spark_version": "16.4.x-scala2.13", "node_type_id": "m5.large", "num_workers": 2}
    cluster["spark_env_vars"] = {"AWS_REGION": "eu-central-1"}
    cluster["aws_attributes"] = {"instance_profile_arn": "arn:aws:iam::123456789012:instance-profile/spark"}
    place = "/Volumes/a/b"
    chosen = settings(
        kind="databricks",
        new_cluster=cluster,
        wheel=f"{place}/c.whl",
        requirements=f"{place}/requirements.txt",
        poll_seconds=0.01,
    )
    workspace = Workspace()
    launched(PipesLauncher(chosen, DatabricksService(chosen.pipes, workspace)), Ends(), monkeypatch)
    (task,) = workspace.submitted["tasks"]
    assert task["new_cluster"]["num_workers"] == 2
    own = task["new_cluster"]["spark_env_vars"]
    assert set(own) == {"AWS_REGION", "DAGSTER_PIPES_CONTEXT", "DAGSTER_PIPES_MESSAGES"}
    assert task["new_cluster"]["aws_attributes"] == cluster["aws_attributes"]
    # Exact versions first: the wheel then finds what it needs.
    assert task["libraries"] == [{"requirements": f"{place}/requirements.txt"}, {"whl": f"{place}/c.whl"}]
    assert task["python_wheel_task"]["parameters"] == ["--from", "2011-01", "--to", "2011-01"]


def test_what_was_told_before_a_job_failed_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    from cltv_assets.dagster_defs.remote.databricks import DatabricksService

    chosen = settings(kind="databricks", cluster_id="c-1", poll_seconds=0.01)
    ends = Ends(
        message("opened"),
        message("report_asset_materialization", asset_key="raw_transactions", metadata={}, data_version=None),
        message("report_custom_message", payload={"errors": ["2011-01 is not published."]}),
        message("closed"),
    )
    service = DatabricksService(chosen.pipes, Workspace("FAILED"))
    # The ends are read on leaving the session, which an exception leaves too.
    monkeypatch.setattr(Ends, "read_messages", _reading_at_once)
    told = launched(PipesLauncher(chosen, service), ends, monkeypatch)
    assert told.fault is not None
    assert "as made up" in told.fault
    assert told.errors == ["2011-01 is not published."]
    assert [result.asset_key for result in told.results] == [dg.AssetKey("raw_transactions")]


@contextlib.contextmanager
def _reading_at_once(self: Ends, handler: Any) -> Iterator[dict[str, Any]]:
    self.handler = handler
    for said in self.said:
        handler.handle_message(said)
    yield {"bucket": "passage", "key_prefix": "p"}


class Serverless:
    """An EMR Serverless that records the one job it is given."""

    def __init__(self) -> None:
        self.started: dict[str, Any] = {}

    def start_job_run(self, **params: Any) -> dict[str, str]:
        self.started = params
        return {"jobRunId": "j", "applicationId": params["applicationId"]}

    def get_job_run(self, **_: Any) -> dict[str, Any]:
        return {"jobRun": {"state": "SUCCESS", "applicationId": "a", "jobRunId": "j"}}

    def get_dashboard_for_job_run(self, **_: Any) -> dict[str, str]:
        return {"url": "none"}

    def get_application(self, **_: Any) -> dict[str, Any]:
        return {"application": {"type": "Spark"}}

    meta = SimpleNamespace(region_name="eu-west-1")


def test_emr_serverless_runs_the_entry_point_with_variables_of_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    from cltv_assets.dagster_defs.remote.emr import EmrServerlessService

    chosen = settings(
        kind="emr_serverless",
        application_id="app",
        execution_role="arn:aws:iam::1:role/r",
        entry_point="s3://code/entry_point.py",
        spark_submit="--archives s3://code/environment.tar.gz#environment",
        job={"executionTimeoutMinutes": 60},
        poll_seconds=0.01,
    )
    service = Serverless()
    told = launched(PipesLauncher(chosen, EmrServerlessService(chosen.pipes, None, service)), Ends(), monkeypatch)
    assert told.fault is None
    assert service.started["applicationId"] == "app"
    assert service.started["executionRoleArn"] == "arn:aws:iam::1:role/r"
    assert service.started["executionTimeoutMinutes"] == 60
    driver = service.started["jobDriver"]["sparkSubmit"]
    assert driver["entryPoint"] == "s3://code/entry_point.py"
    assert driver["entryPointArguments"] == ["--from", "2011-01", "--to", "2011-01"]
    assert driver["sparkSubmitParameters"].startswith("--archives s3://code/environment.tar.gz#environment --conf ")
    for name in ("DAGSTER_PIPES_CONTEXT", "DAGSTER_PIPES_MESSAGES"):
        assert f"spark.emr-serverless.driverEnv.{name}=" in driver["sparkSubmitParameters"]


class Emr:
    """An EMR that records the one cluster it is asked for."""

    def __init__(self, state: str) -> None:
        self.flow: dict[str, Any] = {}
        self._state = state

    def run_job_flow(self, **params: Any) -> dict[str, str]:
        self.flow = params
        return {"JobFlowId": "j-1"}

    def get_waiter(self, _name: str) -> Any:
        return SimpleNamespace(wait=lambda **_: None)

    def describe_cluster(self, **_: Any) -> dict[str, Any]:
        return {"Cluster": {"Id": "j-1", "Status": {"State": self._state}}}

    meta = SimpleNamespace(region_name="eu-west-1")


def test_emr_makes_a_cluster_that_ends_with_its_month(monkeypatch: pytest.MonkeyPatch) -> None:
    from cltv_assets.dagster_defs.remote.emr import EmrService

    flow = {
        "ReleaseLabel": "emr-7.9.0",
        "Instances": {"InstanceCount": 3, "KeepJobFlowAliveWhenNoSteps": True},
        "JobFlowRole": "EMR_EC2_DefaultRole",
        "ServiceRole": "EMR_DefaultRole",
    }
    chosen = settings(kind="emr", entry_point="s3://code/entry_point.py", spark_submit="--conf 'a=b c'", job=flow)
    service = Emr("TERMINATED")
    launched(PipesLauncher(chosen, EmrService(chosen.pipes, None, service)), Ends(), monkeypatch)
    assert service.flow["Instances"] == {"InstanceCount": 3, "KeepJobFlowAliveWhenNoSteps": False}
    (step,) = service.flow["Steps"]
    assert step["HadoopJarStep"]["Args"] == [
        *("spark-submit", "--deploy-mode", "client", "--conf", "a=b c"),
        *("s3://code/entry_point.py", "--from", "2011-01", "--to", "2011-01"),
    ]
    assert "DAGSTER_PIPES_CONTEXT" in json.dumps(service.flow["Configurations"])


def test_the_far_end_is_sent_the_settings_without_this_machines_own() -> None:
    chosen = Settings.model_validate(
        LAKE
        | {
            "engine": "spark",
            "spark": {"master": "spark://here:7077", "conf": {"a": "1"}},
            "pipes": {
                "kind": "databricks",
                "cluster_id": "c",
                "bucket": "b",
                "settings": {"spark": {"master": None, "conf": {"b": "2"}}},
            },
        }
    )
    sent = extras_for(chosen)["settings"]
    assert sent == LAKE | {"engine": "spark", "spark": {"master": None, "conf": {"a": "1", "b": "2"}}}
    assert Settings.model_validate(sent).pipes.kind is None
