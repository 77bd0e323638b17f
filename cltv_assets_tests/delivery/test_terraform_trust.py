"""Who may take which role, and what GitHub's workflows may do with theirs."""

from __future__ import annotations

from typing import Any

import pytest

from cltv_assets_tests.delivery.terraform.rights import Rights, listed, statements, takes, trust_of
from cltv_assets_tests.delivery.terraform.workspace import ACCOUNT, DATABRICKS_ADMINISTRATION, KEYS, REGION, State

NAME = "acme-cltv-production"
LAKE, LOGS = f"arn:aws:s3:::{NAME}-lake", f"arn:aws:s3:::{NAME}-logs"
TABLE = f"{LAKE}/lake/purchase_days/month=2026-01-01/part-0.parquet"

TRUSTED_BY_KIND: dict[str, dict[str, Any]] = {
    "ecs": {"kind": "ecs"},
    "ec2": {"kind": "ec2"},
    "emr_serverless": {"kind": "emr_serverless"},
    "eks": {
        "kind": "eks",
        "oidc_provider_arn": f"arn:aws:iam::{ACCOUNT}:oidc-provider/oidc.eks.{REGION}.amazonaws.com/id/AB12",
        "namespace": "cltv",
        "service_account": "code-server",
    },
}


@pytest.mark.parametrize("kind", TRUSTED_BY_KIND)
def test_a_role_is_taken_by_what_its_kind_says_and_by_nothing_else(workspace, kind):
    state = workspace(code_server_trust=TRUSTED_BY_KIND[kind], databricks=None).applied()
    (statement,) = trust_of(state, f"{NAME}-code-server")
    source, other = {"aws:SourceAccount": ACCOUNT}, {"aws:SourceAccount": "999999999999"}
    if kind == "eks":
        issuer = f"oidc.eks.{REGION}.amazonaws.com/id/AB12"
        assert statement["Principal"] == {"Federated": TRUSTED_BY_KIND[kind]["oidc_provider_arn"]}
        token = {f"{issuer}:aud": "sts.amazonaws.com", f"{issuer}:sub": "system:serviceaccount:cltv:code-server"}
        assert takes(statement, "sts:AssumeRoleWithWebIdentity", token)
        for wrong in ({f"{issuer}:aud": "else"}, {f"{issuer}:sub": "system:serviceaccount:cltv:default"}):
            assert not takes(statement, "sts:AssumeRoleWithWebIdentity", token | wrong)
        return
    services = {"ecs": "ecs-tasks", "ec2": "ec2", "emr_serverless": "emr-serverless"}
    assert statement["Principal"] == {"Service": f"{services[kind]}.amazonaws.com"}
    assert bool(state.of("aws_iam_instance_profile", "code_server")) == (kind == "ec2")
    if kind == "ec2":
        return
    path = {"ecs": "ecs", "emr_serverless": "emr-serverless"}[kind]
    arn = {"aws:SourceArn": f"arn:aws:{path}:{REGION}:{ACCOUNT}:/applications/1"}
    assert takes(statement, "sts:AssumeRole", source | arn)
    assert not takes(statement, "sts:AssumeRole", other | arn)
    assert not takes(statement, "sts:AssumeRole", source | {"aws:SourceArn": f"arn:aws:{path}:{REGION}:999999999999:x"})
    assert not takes(statement, "sts:AssumeRole", {})


def test_unity_catalog_is_let_in_with_its_external_id_only(production):
    external, itself = trust_of(production, f"{NAME}-unity-catalog")
    (credential,) = production.one("databricks_storage_credential")["aws_iam_role"]
    assert external["Principal"] == {"AWS": credential["unity_catalog_iam_arn"]}
    right = {"sts:ExternalId": credential["external_id"]}
    assert takes(external, "sts:AssumeRole", right)
    assert not takes(external, "sts:AssumeRole", {"sts:ExternalId": "other"})
    assert not takes(external, "sts:AssumeRole", {})
    own = {"aws:PrincipalArn": credential["role_arn"]}
    assert takes(itself, "sts:AssumeRole", own | right)
    assert not takes(itself, "sts:AssumeRole", {"aws:PrincipalArn": f"arn:aws:iam::{ACCOUNT}:role/other"} | right)


# --- who deploys -----------------------------------------------------------------------------


def workflow(bootstrap: State, role: str) -> tuple[dict[str, Any], Rights]:
    name = f"github-{role}-{NAME}"
    (statement,) = trust_of(bootstrap, name)
    (policy,) = [p["policy"] for p in bootstrap.of("aws_iam_role_policy").values() if p["role"] == name]
    return statement, Rights((policy,))


KINDS_OF_RUNS = [
    ("plan", "repo:acme/cltv:pull_request", True),
    ("plan", "repo:acme/cltv:ref:refs/heads/main", True),
    ("plan", "repo:acme/cltv:ref:refs/heads/other", False),
    ("plan", "repo:acme/other:pull_request", False),
    ("apply", "repo:acme/cltv:environment:production", True),
    ("apply", "repo:acme/cltv:environment:staging", False),
    ("apply", "repo:acme/cltv:pull_request", False),
    ("apply", "repo:acme/cltv:ref:refs/heads/main", False),
    ("apply", "repo:evil/cltv:environment:production", False),
]


@pytest.mark.parametrize(("role", "subject", "let_in"), KINDS_OF_RUNS)
def test_a_workflow_takes_a_role_only_for_its_own_kind_of_run(bootstrap, role, subject, let_in):
    statement, _ = workflow(bootstrap, role)
    token = {
        "token.actions.githubusercontent.com:aud": "sts.amazonaws.com",
        "token.actions.githubusercontent.com:sub": subject,
    }
    assert statement["Principal"] == {"Federated": bootstrap.one("aws_iam_openid_connect_provider")["arn"]}
    assert takes(statement, "sts:AssumeRoleWithWebIdentity", token) == let_in
    assert not takes(
        statement, "sts:AssumeRoleWithWebIdentity", token | {"token.actions.githubusercontent.com:aud": "x"}
    )


@pytest.mark.parametrize(("who", "subject", "let_in"), KINDS_OF_RUNS)
def test_on_databricks_a_service_principal_takes_the_same_runs(bootstrap, who, subject, let_in):
    principal = bootstrap.one("databricks_service_principal", f'["{who}"]')
    assert principal["display_name"] == f"github-{who}-{NAME}"
    policies = [
        policy["oidc_policy"]
        for policy in bootstrap.of("databricks_service_principal_federation_policy").values()
        if str(policy["service_principal_id"]) == principal["id"]
    ]
    for policy in policies:
        assert policy["issuer"] == "https://token.actions.githubusercontent.com"
        # A token that was made out to Amazon opens nothing here.
        assert policy["audiences"] == [DATABRICKS_ADMINISTRATION["account_id"]]
    # Databricks compares the whole subject.
    assert (subject in {policy["subject"] for policy in policies}) == let_in


def test_a_plan_reads_and_changes_nothing(bootstrap):
    policy = bootstrap.one("aws_iam_role_policy", '["plan"]')["policy"]
    actions = {action for statement in statements(policy) for action in listed(statement["Action"])}
    assert all(action.split(":")[1].startswith(("Get", "List", "Describe")) for action in actions)
    _, rights = workflow(bootstrap, "plan")
    assert rights.may("s3:GetObject", f"arn:aws:s3:::{NAME}-state/production.tfstate")
    for action in "s3:PutObject", "s3:DeleteObject":
        assert not rights.may(action, f"arn:aws:s3:::{NAME}-state/production.tfstate")


def test_an_entry_is_made_under_the_key_that_no_workflow_may_use_and_never_deleted_at_once(bootstrap, production):
    _, rights = workflow(bootstrap, "apply")
    for entry in production.of("aws_secretsmanager_secret").values():
        # As the provider asks for it.
        assert rights.may("secretsmanager:CreateSecret", entry["arn"], {"secretsmanager:KmsKeyId": entry["kms_key_id"]})
        days = {"secretsmanager:RecoveryWindowInDays": str(entry["recovery_window_in_days"])}
        assert rights.may("secretsmanager:DeleteSecret", entry["arn"], days)
        # Amazon's own key, and one that carries a value: what encrypts it needs a right on the key.
        assert not rights.may("secretsmanager:CreateSecret", entry["arn"])
        assert not rights.may("secretsmanager:CreateSecret", entry["arn"], {"secretsmanager:KmsKeyId": "alias/mine"})
        for action in "kms:GenerateDataKey", "kms:Encrypt":
            assert not rights.may(action, entry["kms_key_id"])
        forced = {"secretsmanager:ForceDeleteWithoutRecovery": "true"}
        assert not rights.may("secretsmanager:DeleteSecret", entry["arn"], forced)


@pytest.mark.parametrize("role", ["plan", "apply"])
def test_who_deploys_sees_neither_data_nor_secrets(bootstrap, role):
    _, rights = workflow(bootstrap, role)
    secret = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:{NAME}/webhook_url-AbCdEf"
    assert rights.may("secretsmanager:DescribeSecret", secret)
    for action in "GetSecretValue", "PutSecretValue", "UpdateSecret", "UpdateSecretVersionStage":
        assert not rights.may(f"secretsmanager:{action}", secret)
    for action in "s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:DeleteBucket":
        for resource in TABLE, LAKE, f"{LOGS}/runs/a":
            assert not rights.may(action, resource)
    for key in KEYS.values():
        assert not rights.may("kms:Decrypt", key, {"kms:ViaService": f"s3.{REGION}.amazonaws.com"})


def test_the_apply_role_makes_roles_under_the_boundary_only_and_cannot_raise_itself(bootstrap):
    _, rights = workflow(bootstrap, "apply")
    boundary, made = bootstrap.one("aws_iam_policy")["arn"], f"arn:aws:iam::{ACCOUNT}:role/{NAME}-spark"
    bounded = {"iam:PermissionsBoundary": boundary}
    for action in "iam:CreateRole", "iam:PutRolePolicy":
        assert rights.may(action, made, bounded)
        assert not rights.may(action, made)
        assert not rights.may(action, made, {"iam:PermissionsBoundary": f"arn:aws:iam::{ACCOUNT}:policy/other"})
    own = [f"arn:aws:iam::{ACCOUNT}:role/github-{role}-{NAME}" for role in ("plan", "apply")]
    for action in "iam:PutRolePolicy", "iam:UpdateAssumeRolePolicy", "iam:PassRole", "iam:DeleteRole":
        for resource in own:
            assert not rights.may(action, resource, bounded)
    for action in "iam:CreatePolicyVersion", "iam:DeletePolicy", "iam:SetDefaultPolicyVersion":
        assert not rights.may(action, boundary)
    for action in "iam:DeleteRolePermissionsBoundary", "iam:AttachRolePolicy", "iam:CreateUser", "iam:CreateAccessKey":
        assert not rights.may(action, made, bounded)
    assert rights.may("iam:PassRole", made, {"iam:PassedToService": "ec2.amazonaws.com"})
    assert not rights.may("iam:PassRole", made, {"iam:PassedToService": "lambda.amazonaws.com"})


def test_the_apply_role_may_make_all_that_the_environment_has(bootstrap, production):
    _, rights = workflow(bootstrap, "apply")
    made = {
        "aws_s3_bucket": ("s3:CreateBucket", "arn"),
        "aws_iam_role": ("iam:CreateRole", "arn"),
        "aws_iam_instance_profile": ("iam:CreateInstanceProfile", "arn"),
        "aws_secretsmanager_secret": ("secretsmanager:CreateSecret", "arn"),
        "aws_cloudwatch_log_group": ("logs:CreateLogGroup", "arn"),
    }
    asked = {"iam:PermissionsBoundary": bootstrap.one("aws_iam_policy")["arn"]}
    asked |= {"secretsmanager:KmsKeyId": KEYS["operations"]}
    for type_, (action, key) in made.items():
        for item in production.of(type_).values():
            assert rights.may(action, item[key], asked), (action, item[key])
    # Keys are the administrator's: one that was deleted takes with it what is encrypted.
    actions = {a for s in statements(rights.identity[0]) for a in listed(s["Action"])}
    assert not {action for action in actions if action.startswith("kms:")}
    assert not production.of("aws_kms_key")
