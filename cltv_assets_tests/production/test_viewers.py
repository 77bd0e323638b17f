"""What the viewers' webserver holds: a role that reads Dagster's tables, a key that reads the logs of runs."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any

import psycopg2
import pytest
from botocore.exceptions import ClientError

from cltv_assets.cli.deployment.viewers_database import CACHE, ROLE, SECONDS
from cltv_assets.cli.deployment.viewers_logs import SID
from cltv_assets_tests.cluster.server_process import wait_until
from cltv_assets_tests.production.client import Client, first_message
from cltv_assets_tests.production.local_deployment import DEPLOY, LocalDeployment
from cltv_assets_tests.production.shop import MONTHS
from cltv_assets_tests.production.test_access import SUBSCRIPTION
from cltv_assets_tests.production.test_backfill import all_runs

#: What the pages ask for: runs, assets with their partitions and checks, automation, instance, backfills.
QUESTIONS = {
    "runs": """runsOrError {
        ... on Runs { results { runId status stats { ... on RunStatsSnapshot { stepsSucceeded } } } }
    }""",
    "assets": """assetNodes {
        assetKey { path } partitionStats { numMaterialized numPartitions } staleStatus
        assetMaterializations(limit: 2) { runId }
        assetPartitionStatuses { ... on TimePartitionStatuses { ranges { startKey status } } }
        assetChecksOrError { ... on AssetChecks { checks { name executionForLatestMaterialization { status } } } }
    }""",
    "automation": """workspaceOrError { ... on Workspace { locationEntries { locationOrLoadError {
        ... on RepositoryLocation { repositories {
            sensors { name sensorState { status ticks(limit: 3) { status } } }
            schedules { name scheduleState { status ticks(limit: 3) { status } } }
        } }
    } } } }""",
    "instance": """instance {
        concurrencyLimits { concurrencyKey slotCount } daemonHealth { allDaemonStatuses { daemonType healthy } }
    }""",
    "backfills": "partitionBackfillsOrError { ... on PartitionBackfills { results { id status numPartitions } } }",
}
LOGS = """query ($key: [String!]!) { capturedLogs(logKey: $key) { stderr stdout } }"""


@pytest.fixture(scope="module")
def run_id(deployment: LocalDeployment, operator: Client) -> str:
    """Return a run that has ended, so that tables and logs hold something."""
    known = {run["runId"] for run in all_runs(operator)}
    assert operator.launch(["raw_transactions"], [MONTHS[0]])["__typename"] == "LaunchBackfillSuccess"

    def ended() -> list[str]:
        return [r["runId"] for r in all_runs(operator) if r["runId"] not in known and r["status"] == "SUCCESS"]

    wait_until(lambda: bool(ended()), 120, "the run has ended")
    return ended()[0]


@pytest.fixture
def database(deployment: LocalDeployment) -> Iterator[Any]:
    """Return a cursor with what the viewers' webserver has."""
    given = deployment.environment("viewer")
    connection = psycopg2.connect(
        host=given["DAGSTER_POSTGRES_HOST"],
        port=given["DAGSTER_POSTGRES_PORT"],
        dbname=given["DAGSTER_POSTGRES_DB"],
        user=given["DAGSTER_POSTGRES_USER"],
        password=(deployment.secrets / "postgres_viewer_password").read_text().strip(),
    )
    connection.autocommit = True
    yield connection.cursor()
    connection.close()


def test_what_the_pages_ask_for_is_answered(deployment: LocalDeployment, viewer: Client, operator: Client, run_id: str):
    for name, question in QUESTIONS.items():
        assert viewer.ask(f"query {{ {question} }}") == operator.ask(f"query {{ {question} }}"), name
    with viewer.websocket() as socket:
        message = first_message(socket, SUBSCRIPTION, {"id": run_id})
        assert message["payload"]["data"]["pipelineRunLogs"]["__typename"] == "PipelineRunLogsSubscriptionSuccess"
    assert viewer.get("/").status_code == 200
    # An answer may hide what was refused.
    assert "permission denied" not in (deployment.folder / "viewer.log").read_text()


def test_the_role_writes_nothing_but_what_a_question_for_partitions_keeps(database: Any, run_id: str):
    database.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
    tables = [name for (name,) in database.fetchall()]
    assert {"runs", "event_logs", "asset_keys", "kvs", "instigators"} <= set(tables)
    for table in tables:
        database.execute(f'SELECT count(*) FROM "{table}"')
        rights = "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER"
        database.execute("SELECT " + ", ".join(f"has_table_privilege('{table}', '{right}')" for right in rights))
        assert database.fetchone() == (False,) * len(rights), table
        database.execute(
            "SELECT column_name FROM information_schema.columns WHERE table_name = %s AND table_schema = 'public'"
            " AND has_column_privilege(%s, column_name, 'UPDATE')",
            (table, table),
        )
        assert database.fetchall() == ([(CACHE[1],)] if table == CACHE[0] else []), table
    for statement in (
        "DELETE FROM runs",
        "UPDATE asset_keys SET wipe_timestamp = now()",
        "INSERT INTO kvs (key, value) VALUES ('a', 'b')",
        "CREATE TABLE mine (a int)",
        "CREATE ROLE another",
        "COPY runs TO PROGRAM 'cat'",
    ):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            database.execute(statement)


RIGHTS = """
    SELECT table_name, '', privilege_type FROM information_schema.role_table_grants WHERE grantee = '{role}'
    UNION SELECT table_name, column_name, privilege_type FROM information_schema.column_privileges
        WHERE grantee = '{role}'
    UNION SELECT 'later', '', privilege_type FROM pg_default_acl, aclexplode(defaclacl)
        WHERE grantee = '{role}'::regrole
    UNION SELECT 'setting', '', unnest(rolconfig) FROM pg_roles WHERE rolname = '{role}'
    ORDER BY 1, 2, 3
"""


def test_on_kubernetes_the_role_gets_the_same_by_hand(deployment: LocalDeployment):
    def in_database(statement: str) -> bytes:
        return deployment.in_postgres("psql", "-d", "dagster", "-v", "ON_ERROR_STOP=1", "-tAc", statement)

    (by_hand,) = re.findall(r"```sql\n(.*?)```", (DEPLOY / "kubernetes/README.md").read_text(), re.DOTALL)
    in_database(by_hand.replace(ROLE, "by_hand"))
    try:
        assert in_database(RIGHTS.format(role="by_hand")) == in_database(RIGHTS.format(role=ROLE))
    finally:
        in_database("DROP OWNED BY by_hand; DROP ROLE by_hand")


def test_a_table_that_an_upgrade_adds_is_read(deployment: LocalDeployment, database: Any):
    deployment.in_postgres("psql", "-d", "dagster", "-c", "CREATE TABLE added_later (a int)")
    try:
        database.execute("SELECT * FROM added_later")
    finally:
        deployment.in_postgres("psql", "-d", "dagster", "-c", "DROP TABLE added_later")


def test_the_password_is_renewed_by_the_next_start(deployment: LocalDeployment, database: Any):
    # Nothing changes otherwise, and what runs goes on.
    deployment.run_once("setup", capture_output=True)
    database.execute("SELECT rolsuper, rolcreatedb, rolcreaterole FROM pg_roles WHERE rolname = %s", (ROLE,))
    assert database.fetchone() == (False, False, False)


def test_a_query_of_a_viewer_ends_in_time(deployment: LocalDeployment, viewer: Client, database: Any, run_id: str):
    database.execute("SHOW statement_timeout")
    assert database.fetchone() == (f"{SECONDS}s",)
    # What somebody locks keeps any question for it waiting; the webserver sets a bound of its own.
    owner = psycopg2.connect(
        host="127.0.0.1",
        port=deployment.ports["postgres"],
        dbname="dagster",
        user="dagster",
        password=(deployment.secrets / "postgres_password").read_text().strip(),
    )
    with owner, owner.cursor() as cursor:
        cursor.execute("LOCK TABLE kvs, daemon_heartbeats IN ACCESS EXCLUSIVE MODE")
        began = time.monotonic()
        answer = viewer.post("query { instance { daemonHealth { allDaemonStatuses { daemonType healthy } } } }")
        took = time.monotonic() - began
    owner.close()
    assert "canceling statement due to statement timeout" in answer.text
    assert took < SECONDS + 5


# --- the store ---------------------------------------------------------------------------------


def test_a_viewer_sees_the_logs_of_a_run(viewer: Client, operator: Client, run_id: str):
    events = operator.ask(
        "query ($id: ID!) { logsForRun(runId: $id) { ... on EventConnection { events {"
        " ... on LogsCapturedEvent { fileKey } } } } }",
        id=run_id,
    )["logsForRun"]["events"]
    (file_key, *_) = [event["fileKey"] for event in events if event]
    key = [run_id, "compute_logs", file_key]
    seen = viewer.ask(LOGS, key=key)["capturedLogs"]
    assert seen["stderr"]
    assert seen == operator.ask(LOGS, key=key)["capturedLogs"]


def test_the_viewers_key_reads_no_more_than_that(deployment: LocalDeployment, run_id: str):
    store, bucket = deployment.store, deployment.bucket
    client = store.client(deployment.viewers_keys)
    log, table = store.keys(bucket, "logs/")[0], store.keys(bucket, "lake/raw_transactions/")[0]
    assert client.get_object(Bucket=bucket, Key=log)["Body"].read()
    refused = [
        lambda: client.get_object(Bucket=bucket, Key=table),
        lambda: client.list_objects_v2(Bucket=bucket, Prefix="lake/"),
        lambda: client.put_object(Bucket=bucket, Key=log, Body=b""),
        lambda: client.put_object(Bucket=bucket, Key=table, Body=b""),
        lambda: client.delete_object(Bucket=bucket, Key=log),
        lambda: client.delete_object(Bucket=bucket, Key=table),
        lambda: client.put_bucket_policy(Bucket=bucket, Policy="{}"),
    ]
    for request in refused:
        with pytest.raises(ClientError, match="AccessDenied"):
            request()


def test_other_statements_of_the_buckets_policy_stay(deployment: LocalDeployment):
    client, bucket = deployment.store.client(), deployment.bucket
    before = json.loads(client.get_bucket_policy(Bucket=bucket)["Policy"])
    other = {
        "Sid": "Other",
        "Effect": "Deny",
        "Principal": {"AWS": [f"arn:aws:iam:::user/{deployment.viewers_keys.user}"]},
        "Action": ["s3:PutObject"],
        "Resource": [f"arn:aws:s3:::{bucket}/other/*"],
    }
    client.put_bucket_policy(Bucket=bucket, Policy=json.dumps(before | {"Statement": [*before["Statement"], other]}))
    try:
        deployment.run_once("store-rights")
        after = json.loads(client.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"]
        assert sorted(one["Sid"] for one in after) == sorted(["Other", SID])
    finally:
        client.put_bucket_policy(Bucket=bucket, Policy=json.dumps(before))


def test_the_service_is_given_nothing_else(deployment: LocalDeployment):
    given = {secret["source"] for secret in deployment.services["viewer"]["secrets"]}
    assert given == {"postgres_viewer_password", "store_viewer_credentials"}
    shown = json.dumps(deployment.environment("viewer"))
    for name in "postgres_password", "store_credentials", "webhook_url":
        assert f"/{name}" not in shown
