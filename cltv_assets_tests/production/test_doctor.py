"""``cltv doctor --environment production`` on a real deployment: PostgreSQL, and buckets that are right or wrong."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from cltv_assets.cli.doctor import Finding, State
from cltv_assets.cli.doctor.bucket import look_at_store
from cltv_assets.dagster_defs.resources import object_store_for
from cltv_assets.files.object_store import ObjectStore
from cltv_assets.settings import Settings
from cltv_assets_tests.cluster.radosgw import Radosgw
from cltv_assets_tests.cluster.server_process import free_port, wait_until
from cltv_assets_tests.production.local_deployment import LocalDeployment

COMMAND = ["cltv", "doctor", "--environment", "production", "--json"]


def examined(deployment: LocalDeployment, *before: str) -> tuple[int, dict[str, dict[str, str]]]:
    """Run the doctor beside the code server; return its exit code and its findings by name."""
    answer: subprocess.CompletedProcess[Any] = deployment.run_once(
        "code", [*before, *COMMAND], check=False, capture_output=True
    )
    document = json.loads(answer.stdout)
    assert document["ok"] == (answer.returncode == 0), answer.stderr
    return answer.returncode, {one["name"]: one for one in document["findings"]}


def test_a_deployment_that_is_in_order(deployment: LocalDeployment) -> None:
    heartbeats = "SELECT count(*) > 3 FROM daemon_heartbeats"
    wait_until(
        lambda: b"t" in deployment.in_postgres("psql", "-d", "dagster", "-tAc", heartbeats), 90, "the daemon lives"
    )
    code, found = examined(deployment)
    assert code == 0, found
    assert {name for name, one in found.items() if one["state"] == "failed"} == set()
    # The option counts more than the service's variable, with which the tests keep everything still.
    assert "; production;" in found["configuration"]["text"]
    assert found["database"]["state"] == "ok"
    assert found["database"]["text"].startswith("Postgres, ")
    assert found["schema"]["state"] == found["lake"]["state"] == "ok"
    # Closed, though nothing keeps a policy from opening it.
    assert found["public access"]["text"].startswith("strangers can neither list cltv nor read from ")
    assert found["daemon"]["text"] == "alive"
    assert found["credentials"]["text"].startswith(f"key …{deployment.store.access_key[-4:]} at ")
    assert "cltv_automation" in found["automation"]["text"]
    # Neither the password of the database nor the store's key.
    shown = json.dumps(found)
    assert (deployment.secrets / "postgres_password").read_text().strip() not in shown
    assert deployment.store.secret_key not in shown
    assert deployment.store.access_key not in shown


def test_a_database_that_does_not_answer_fails_and_the_rest_is_looked_at(deployment: LocalDeployment) -> None:
    code, found = examined(deployment, "env", f"DAGSTER_POSTGRES_PORT={free_port()}")
    assert code == 2
    assert found["database"]["state"] == "failed"
    assert "whether the database answers" in found["database"]["remedy"]
    assert found["lake"]["state"] == found["version"]["state"] == "ok"
    assert (deployment.secrets / "postgres_password").read_text().strip() not in json.dumps(found)


def test_a_database_of_another_dagster_fails(deployment: LocalDeployment) -> None:
    def revision(sql: str) -> str:
        return deployment.in_postgres("psql", "-d", "dagster", "-tAc", sql).decode().strip()

    current = revision("SELECT version_num FROM alembic_version")
    revision("UPDATE alembic_version SET version_num = '6860f830e40c'")
    try:
        code, found = examined(deployment)
    finally:
        revision(f"UPDATE alembic_version SET version_num = '{current}'")
    assert code == 2
    assert found["schema"]["state"] == "failed"
    assert f"runs 6860f830e40c instead of {current}" in found["schema"]["text"]
    assert "dagster instance migrate" in found["schema"]["remedy"]


# --- buckets ---------------------------------------------------------------------------------


@pytest.fixture
def store(s3_environment: Radosgw, bucket: str) -> ObjectStore:
    settings = Settings.model_validate(
        {"lake_uri": f"s3://{bucket}/lake", "s3": {"endpoint_url": s3_environment.endpoint_url}}
    )
    found = object_store_for(settings)
    assert found is not None
    return found


def seen(store: ObjectStore, bucket: str) -> dict[str, Finding]:
    return {finding.name: finding for finding in look_at_store(store, f"s3://{bucket}/lake", production=True)}


def test_a_bucket_that_somebody_opened_fails(store: ObjectStore, bucket: str) -> None:
    client = store.client()
    before = seen(store, bucket)["public access"]
    assert before.state is State.WARNING
    assert "public access block" in before.remedy
    client.put_bucket_acl(Bucket=bucket, ACL="public-read")
    found = seen(store, bucket)["public access"]
    assert found.state is State.FAILED
    assert "anybody can list it" in found.text
    client.put_bucket_acl(Bucket=bucket, ACL="private")
    # Objects that can be read by who knows their names are open, too.
    statement = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{bucket}/*"}
    client.put_bucket_policy(Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))
    found = seen(store, bucket)["public access"]
    assert found.state is State.FAILED
    assert "anybody can read its objects" in found.text
    assert found.exit_code == 4
    client.delete_bucket_policy(Bucket=bucket)
    assert seen(store, bucket)["public access"].state is not State.FAILED
    assert not client.list_objects_v2(Bucket=bucket).get("Contents")


def test_what_a_bucket_keeps_is_advice(store: ObjectStore, bucket: str) -> None:
    client = store.client()
    found = seen(store, bucket)["retention"]
    assert found.state is State.WARNING
    assert found.remedy == "Turn versioning on and abort incomplete uploads by a lifecycle rule."
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    assert "old versions stay for ever" in seen(store, bucket)["retention"].text
    rule = {
        "ID": "old",
        "Status": "Enabled",
        "Filter": {"Prefix": ""},
        "NoncurrentVersionExpiration": {"NoncurrentDays": 30},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": 7},
    }
    client.put_bucket_lifecycle_configuration(Bucket=bucket, LifecycleConfiguration={"Rules": [rule]})
    assert seen(store, bucket)["retention"] == Finding(
        "retention", State.OK, "old versions and incomplete uploads expire"
    )
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    versions = client.list_object_versions(Bucket=bucket)
    for one in (*versions.get("Versions", ()), *versions.get("DeleteMarkers", ())):
        client.delete_object(Bucket=bucket, Key=one["Key"], VersionId=one["VersionId"])


def test_a_bucket_or_key_that_does_not_exist_fails(
    store: ObjectStore, bucket: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "does not exist" in seen(store, "never-made")["bucket"].text
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    settings = Settings.model_validate({"lake_uri": f"s3://{bucket}/lake", "s3": {"endpoint_url": store.endpoint_url}})
    other = object_store_for(settings)
    assert other is not None
    found = seen(other, bucket)["bucket"]
    assert found.state is State.FAILED
    assert "denies access" in found.text
