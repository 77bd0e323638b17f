"""Buckets, keys, secrets and logs as Terraform would make them, beyond what checkov looks at."""

from __future__ import annotations

import pytest

from cltv_assets.settings import Settings
from cltv_assets.settings.pipes import Pipes
from cltv_assets_tests.delivery.terraform.rights import effects, statements
from cltv_assets_tests.delivery.terraform.workspace import ACCOUNT, KEYS

NAME = "acme-cltv-production"
BUCKETS = ("lake", "run_logs", "access_logs")
BY_TLS = {"aws:SecureTransport": "true", "s3:TlsVersion": "1.2"}


@pytest.fixture(scope="session", params=[*BUCKETS, "state"])
def bucket(request, production, bootstrap):
    """Return the values of a bucket's resources by type."""
    state = bootstrap if request.param == "state" else production
    within = f"module.{request.param}."

    def one(type_):
        return state.one(f"aws_s3_bucket{type_}", within)

    one.kind = request.param
    return one


def rules(bucket):
    return {rule["id"]: rule for rule in bucket("_lifecycle_configuration")["rule"]}


def test_nothing_of_the_lake_expires_but_conversations_with_jobs(bucket):
    expiring = {}
    for name, rule in rules(bucket).items():
        if name.startswith("expire-"):
            expiring[rule["filter"][0]["prefix"]] = rule["expiration"][0]["days"]
    assert (
        expiring
        == {"lake": {"cltv-pipes/": 7}, "run_logs": {"": 180}, "access_logs": {"": 365}, "state": {}}[bucket.kind]
    )


def test_the_prefix_that_expires_is_the_one_that_pipes_uses(production):
    # The default of `pipes.prefix`: who does not set it is cleaned up after, too.
    assert production.outputs["pipes"]["prefix"] == Pipes().prefix


def denied(bucket, action="s3:GetObject", **context):
    name = bucket("")["bucket"]
    spelled = {key.replace("__", ":").replace("_", "-"): value for key, value in context.items()}
    return "Deny" in effects([bucket("_policy")["policy"]], action, f"arn:aws:s3:::{name}/a", BY_TLS | spelled)


def test_every_bucket_takes_tls_only(bucket):
    for action in "s3:GetObject", "s3:PutObject", "s3:ListBucket":
        assert not denied(bucket, action)
        assert denied(bucket, action, aws__SecureTransport="false")
        assert denied(bucket, action, s3__TlsVersion="1.1")


def test_a_bucket_with_a_key_takes_no_object_under_another_one(bucket):
    # What delta-rs and Spark send: nothing, and the bucket's own encryption is taken.
    assert not denied(bucket, "s3:PutObject")
    if bucket.kind not in ("lake", "run_logs"):
        return
    key = {"s3__x_amz_server_side_encryption_aws_kms_key_id": KEYS["lake"]}
    kms = {"s3__x_amz_server_side_encryption": "aws:kms"}
    assert not denied(bucket, "s3:PutObject", **kms, **key)
    assert denied(bucket, "s3:PutObject", s3__x_amz_server_side_encryption="AES256")
    assert denied(bucket, "s3:PutObject", **kms, **{next(iter(key)): "arn:aws:kms:eu-central-1:999999999999:key/x"})


def test_s3_alone_writes_the_record_of_requests(production):
    policy = production.one("aws_s3_bucket_policy", "module.access_logs.")["policy"]
    (delivery,) = [s for s in statements(policy) if s["Effect"] == "Allow"]
    assert delivery["Principal"] == {"Service": "logging.s3.amazonaws.com"}
    context = {"aws:SourceAccount": ACCOUNT, "aws:SourceArn": f"arn:aws:s3:::{NAME}-lake"}
    place = f"arn:aws:s3:::{NAME}-access/x"
    assert effects([policy], "s3:PutObject", place, BY_TLS | context) == {"Allow"}
    assert not effects([policy], "s3:PutObject", place, BY_TLS | context | {"aws:SourceArn": "arn:aws:s3:::other"})
    assert not effects([policy], "s3:GetObject", place, BY_TLS | context)


def test_the_keys_are_the_accounts_alone(bootstrap):
    keys = bootstrap.of("aws_kms_key")
    assert {key["arn"] for key in keys.values()} == {KEYS["lake"], KEYS["operations"]}
    assert bootstrap.outputs["lake_key_arn"] == KEYS["lake"]
    assert bootstrap.outputs["operations_key_arn"] == KEYS["operations"]
    for key in keys.values():
        owner, *others = statements(key["policy"])
        assert owner["Principal"] == {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
        assert not [action for action in owner["Action"] if "*" in action]
        # Without it nobody could ever mend the policy.
        assert "kms:PutKeyPolicy" in owner["Action"]
        assert all("Service" in other["Principal"] and other["Condition"] for other in others)


def test_cloudwatch_uses_the_key_for_these_log_groups_only(production, bootstrap):
    policy = bootstrap.one("aws_kms_key", "key.operations")["policy"]

    def used_for(group):
        context = {"kms:EncryptionContext:aws:logs:arn": f"arn:aws:logs:eu-central-1:{ACCOUNT}:log-group:{group}"}
        service = [s for s in statements(policy) if "Service" in s["Principal"]]
        return effects([{"Version": "2012-10-17", "Statement": service}], "kms:GenerateDataKey", "", context)

    groups = production.of("aws_cloudwatch_log_group")
    assert {group["name"] for group in groups.values()} == {
        f"/{NAME}/{service}" for service in ("code-server", "daemon", "webserver")
    }
    for group in groups.values():
        assert used_for(group["name"]) == {"Allow"}
        assert group["kms_key_id"] == KEYS["operations"]
    assert not used_for("/other/code-server")


def test_secrets_are_entries_without_values(production):
    secrets = production.of("aws_secretsmanager_secret")
    assert {secret["name"] for secret in secrets.values()} == {f"{NAME}/postgres_password", f"{NAME}/webhook_url"}
    for secret in secrets.values():
        assert secret["kms_key_id"] == KEYS["operations"]
    # Whatever makes or holds a value would have it in the state.
    assert not {
        t
        for t in production.types()
        if "secret_version" in t or t.startswith(("random_", "tls_", "aws_iam_access_key"))
    }


def test_the_outputs_are_settings(production):
    columns = {"customer_id": "c", "transacted_at": "t", "amount": "a"}
    source = {"kind": "parquet", "path": "s3://acme-orders/orders", "columns": columns}
    given = {name: production.outputs[name] for name in ("lake_uri", "pipes")}
    settings = Settings.model_validate(given | {"source": source, "start_month": "2024-01"})
    assert settings.lake_root == f"s3://{NAME}-lake/lake"
    assert settings.pipes.kind == "databricks"
    assert production.outputs["run_logs"] == {"CLTV_LOGS_BUCKET": f"{NAME}-logs", "CLTV_LOGS_PREFIX": "runs"}
