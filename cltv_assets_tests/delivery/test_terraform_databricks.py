"""The job and the catalog on Databricks as Terraform would make them, held against how Dagster runs months there."""

from __future__ import annotations

import tomllib

import pytest

from cltv_assets.cli.app import app
from cltv_assets.dagster_defs.remote import databricks
from cltv_assets.dagster_defs.remote.job import ENTRY_POINT, arguments_for
from cltv_assets.engines.spark_config import PINNED
from cltv_assets.months import Month
from cltv_assets_tests.delivery.terraform.workspace import DATABRICKS, DATABRICKS_ADMINISTRATION, REPOSITORY

NAME = "acme-cltv-production"
VOLUME = "/Volumes/main/cltv/wheels"
WHEEL = f"{VOLUME}/{DATABRICKS['wheel']}"


@pytest.fixture(scope="session")
def job(production):
    return production.one("databricks_job")


@pytest.fixture
def serverless(workspace):
    state = workspace(
        databricks=DATABRICKS | {"compute": "serverless"}, spark_trust={"kind": "emr_serverless"}
    ).applied()
    return state.one("databricks_job"), state


def test_the_job_prepares_a_month_and_then_models_it(job):
    first, second = job["task"]
    assert [task["task_key"] for task in (first, second)] == ["preprocess", "model"]
    assert first["depends_on"] == []
    assert [on["task_key"] for on in second["depends_on"]] == ["preprocess"]
    # A model of a month whose preparation failed would be one of the month before.
    assert second["run_if"] in (None, "ALL_SUCCESS")


def test_the_tasks_are_the_wheels_entry_points(job):
    scripts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["scripts"]
    for task in job["task"]:
        (wheel,) = task["python_wheel_task"]
        assert wheel["entry_point"] in scripts
        # As Dagster Pipes names it.
        assert wheel["package_name"] == databricks._PACKAGE
    assert job["task"][0]["python_wheel_task"][0]["entry_point"] == ENTRY_POINT


def test_each_task_is_told_settings_and_month_in_the_words_of_the_command_line(job):
    (month,) = job["parameter"]
    for task in job["task"]:
        parameters = task["python_wheel_task"][0]["parameters"]
        told = [p.replace("{{job.parameters.month}}", "2026-01") for p in parameters]
        assert told == ["--config", f"{VOLUME}/cltv.yaml", *arguments_for(Month.parse("2026-01"))]
        command = {"cltv-preprocess": "preprocess", "cltv-model": "model"}[task["python_wheel_task"][0]["entry_point"]]
        (found,) = [c for c in app.registered_commands if c.callback.__name__ == command]
        assert {"config", "first", "last"} <= set(found.callback.__annotations__)
    assert month["name"] == "month"
    assert month["default"] == "latest"


def test_the_schedule_stands_paused_and_one_run_goes_at_a_time(job):
    (schedule,) = job["schedule"]
    assert schedule["pause_status"] == "PAUSED"
    assert job["max_concurrent_runs"] == 1
    # Dagster decides about another try.
    assert {task["max_retries"] for task in job["task"]} == {0}


def test_the_job_cluster_has_sparks_role_and_the_packages_from_the_volume(job, production):
    (cluster,) = job["job_cluster"]
    assert {task["job_cluster_key"] for task in job["task"]} == {cluster["job_cluster_key"]}
    (new,) = cluster["new_cluster"]
    (attributes,) = new["aws_attributes"]
    assert attributes["instance_profile_arn"] == production.one("aws_iam_instance_profile", "module.spark")["arn"]
    # Credentials come from the profile; nothing of them stands in the job.
    assert set(new["spark_env_vars"]) == {"AWS_REGION", "AWS_DEFAULT_REGION"}
    for task in job["task"]:
        named = [{key: value for key, value in library.items() if value} for library in task["library"]]
        assert named == [{"requirements": f"{VOLUME}/requirements.txt"}, {"whl": WHEEL}]
        assert task["environment_key"] is None


def test_the_clusters_spark_settings_are_ones_that_the_numbers_allow(job):
    conf = job["job_cluster"][0]["new_cluster"][0]["spark_conf"]
    assert conf
    for key, value in conf.items():
        assert PINNED[key] == value


def test_the_cluster_is_the_same_whoever_starts_the_month(job, production):
    """What Pipes makes a cluster from is what the job has, so that a month is not another one by its starter."""
    (new,) = job["job_cluster"][0]["new_cluster"]
    pipes = production.outputs["pipes"]

    def plain(value):
        """Blocks are lists of one in Terraform's state and objects for Databricks."""
        if isinstance(value, list):
            return plain(value[0]) if value else None
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items() if v not in (None, [], {}, False)}
        return value

    assert plain(pipes["new_cluster"]) == plain({k: v for k, v in new.items() if not k.startswith("__")})
    assert (pipes["wheel"], pipes["requirements"]) == (WHEEL, f"{VOLUME}/requirements.txt")


def test_serverless_has_an_environment_in_place_of_a_cluster(serverless):
    job, state = serverless
    assert not job["job_cluster"]
    (environment,) = job["environment"]
    (spec,) = environment["spec"]
    assert spec["dependencies"] == [f"-r {VOLUME}/requirements.txt", WHEEL]
    assert spec["environment_version"] == "4"
    for task in job["task"]:
        assert task["environment_key"] == environment["environment_key"]
        assert task["job_cluster_key"] is None
        assert not task["library"]
    # Pipes starts clusters only.
    assert state.outputs.get("pipes") is None


def test_the_job_runs_as_a_service_principal_and_others_start_it_or_look(job, production):
    assert job["run_as"][0]["service_principal_name"] == DATABRICKS["job_principal"]
    permissions = production.one("databricks_permissions")
    granted = {
        entry["group_name"] or entry["service_principal_name"]: entry["permission_level"]
        for entry in permissions["access_control"]
    }
    planner = DATABRICKS["plan_principal"]
    assert granted == {"platform-engineers": "CAN_MANAGE_RUN", "analysts": "CAN_VIEW", planner: "CAN_VIEW"}


def grants(production, name):
    granted = production.one("databricks_grants", f"databricks_grants.{name}")["grant"]
    return {grant["principal"]: set(grant["privileges"]) for grant in granted}


def test_who_may_do_what_in_the_catalog(production):
    runner, deployer, planner = (DATABRICKS[who] for who in ("job_principal", "deployer", "plan_principal"))
    expected = {runner: {"READ_FILES", "WRITE_FILES"}, "analysts": {"READ_FILES"}, planner: {"BROWSE"}}
    assert grants(production, "lake") == expected
    # The job cannot change the wheel that it runs.
    expected = {runner: {"READ_VOLUME"}, deployer: {"READ_VOLUME", "WRITE_VOLUME"}, planner: {"READ_VOLUME"}}
    assert grants(production, "volume") == expected
    assert grants(production, "schema") == {who: {"USE_SCHEMA"} for who in (runner, deployer, planner)}


#: Rights that show what is there; none of them reads the lake or changes anything. The one on the credential makes
#: an external location only together with the same right on the metastore.
LOOKS = {"USE_CATALOG", "USE_SCHEMA", "BROWSE", "READ_VOLUME", "CREATE_EXTERNAL_LOCATION", "CAN_VIEW", "USER"}


def test_who_plans_looks_and_no_more(production, bootstrap):
    planner = bootstrap.outputs["databricks_client_ids"]["plan"]
    given = []
    for state, principal in (production, DATABRICKS["plan_principal"]), (bootstrap, planner):
        for granted in state.of("databricks_grants").values():
            given += [p for grant in granted["grant"] if grant["principal"] == principal for p in grant["privileges"]]
        for grant in state.of("databricks_grant").values():
            assert principal != grant["principal"] or grant["metastore"] is None
            given += grant["privileges"] if grant["principal"] == principal else []
        for permissions in state.of("databricks_permissions").values():
            entries = permissions["access_control"]
            given += [e["permission_level"] for e in entries if e["service_principal_name"] == principal]
    for assigned in bootstrap.of("databricks_mws_permission_assignment").values():
        given += assigned["permissions"]
    assert set(given) == LOOKS


def test_who_applies_is_no_metastore_administrator(bootstrap):
    applier = bootstrap.outputs["databricks_client_ids"]["apply"]
    granted = [g for g in bootstrap.of("databricks_grant").values() if g["principal"] == applier]
    assert {g["metastore"] or g["catalog"]: set(g["privileges"]) for g in granted} == {
        DATABRICKS_ADMINISTRATION["metastore_id"]: {"CREATE_STORAGE_CREDENTIAL", "CREATE_EXTERNAL_LOCATION"},
        "main": {"USE_CATALOG", "CREATE_SCHEMA"},
    }


#: What makes each kind of thing, and on what: metastore, catalog, or what was made here and is one's own.
MADE_BY = {
    "databricks_storage_credential": ("CREATE_STORAGE_CREDENTIAL", "metastore"),
    "databricks_external_location": ("CREATE_EXTERNAL_LOCATION", "metastore"),
    "databricks_schema": ("CREATE_SCHEMA", "catalog"),
    "databricks_volume": ("", "its own schema and location"),
    "databricks_grants": ("", "its own"),
    "databricks_job": ("", "the workspace"),
    "databricks_permissions": ("", "its own"),
}


def test_the_environment_needs_no_right_on_what_others_own(production, bootstrap):
    applier = bootstrap.outputs["databricks_client_ids"]["apply"]
    granted = [g for g in bootstrap.of("databricks_grant").values() if g["principal"] == applier]
    # A right on the catalog itself would be its owner's to give.
    assert {type_ for type_ in production.types() if type_.startswith("databricks_")} == set(MADE_BY)
    for type_, (privilege, on) in MADE_BY.items():
        assert not privilege or any(privilege in g["privileges"] and g[on] for g in granted), type_
    for grants_ in production.of("databricks_grants").values():
        assert grants_["catalog"] is None
        assert grants_["metastore"] is None
    # Who else uses the catalog got that from whoever administers it.
    users = {g["principal"] for g in bootstrap.of("databricks_grant").values() if g["catalog"] == "main"}
    assert users >= {DATABRICKS["job_principal"], DATABRICKS["deployer"]}


def test_without_a_principal_that_plans_nobody_gets_its_rights(workspace):
    state = workspace(databricks={**DATABRICKS, "plan_principal": None}).applied()
    assert not state.of("databricks_grants", "databricks_grants.credential")
    assert all(
        e["permission_level"] != "CAN_VIEW" or e["group_name"]
        for e in state.one("databricks_permissions")["access_control"]
    )


def test_without_databricks_nothing_of_it_is_made(workspace):
    state = workspace(databricks=None, databricks_host=None).applied()
    assert not [type_ for type_ in state.types() if type_.startswith("databricks_")]
    assert state.outputs.get("job_id") is None
    assert len(state.of("aws_iam_role", "databricks")) == 0
