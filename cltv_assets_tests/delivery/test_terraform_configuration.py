"""deploy/terraform is what the real Terraform accepts, plans and applies, over the providers' own schemas."""

from __future__ import annotations

import re

import pytest

from cltv_assets_tests.delivery.terraform.workspace import DEPLOY, ROOTS, Workspace, said, terraform


def test_the_files_are_formatted():
    found = terraform(["fmt", "-check", "-recursive", str(DEPLOY)], DEPLOY)
    assert found.returncode == 0, f"run make terraform-format: {found.stdout}"


def test_the_versions_are_those_that_are_checked(stand_in):
    for root in ROOTS:
        text = (DEPLOY / root / "versions.tf").read_text()
        pinned = dict(re.findall(r'source +?= "\w+/(\w+)"\n +version = "([\d.]+)"', text))
        assert pinned
        assert pinned.items() <= stand_in["versions"].items()
    version = (DEPLOY / ".terraform-version").read_text().strip()
    assert f'"terraform_version": "{version}"' in terraform(["version", "-json"], DEPLOY).stdout


@pytest.mark.parametrize("root", ROOTS)
def test_a_root_is_valid_and_once_applied_has_nothing_left_to_do(workspace, root):
    own: Workspace = workspace(root)
    validated = own("validate")
    assert validated.returncode == 0, said(validated)
    # A deprecated argument is a warning.
    assert "Warning" not in validated.stdout
    own.applied()
    again = own("plan", "-detailed-exitcode")
    assert again.returncode == 0, again.stdout


TRUST = {"kind": "eks", "oidc_provider_arn": "arn:aws:iam::123456789012:oidc-provider/x", "namespace": "cltv", "service_account": "code"}  # fmt: skip
DATABRICKS_JOB = {"catalog_name": "main", "job_principal": "p", "deployer": "d", "managers": ["m"], "wheel": "cltv_assets-1.0.0-py3-none-any.whl"}  # fmt: skip

#: Values that would open something or break something later.
REFUSED = {
    "a bucket of production that is destroyed": ({"force_destroy": True}, "is not destroyed with what it holds"),
    "another environment": ({"environment": "test"}, "is staging or production"),
    "another kind of trust": ({"code_server_trust": {"kind": "lambda"}}, "trust.kind is"),
    "a service account of any name": ({"code_server_trust": TRUST | {"service_account": "*"}}, "without wildcards"),
    "a namespace that is missing": ({"code_server_trust": {**TRUST, "namespace": None}}, "without wildcards"),
    "analysts by wildcard": ({"analyst_role_arns": ["arn:aws:iam::123456789012:role/*"]}, "without wildcards"),
    "tables by wildcard": ({"analyst_tables": ["*"]}, "would open all tables"),
    "a source's prefix without a slash": ({"sources": [{"bucket": "b", "prefix": "orders"}]}, "ends with a slash"),
    "a short account": ({"account_id": "12345"}, "twelve digits"),
    "a name that S3 refuses": ({"name": "Acme"}, "lower-case"),
    "a name of what deploys": ({"name": "github-acme"}, "roles of that name deploy"),
    "Databricks without a host": ({"databricks_host": None}, "needs databricks_host"),
    "a job that nobody sees": ({"databricks": {**DATABRICKS_JOB, "managers": []}}, "allowed to look at the job"),
    "a job cluster without a role": ({"spark_trust": {"kind": "ecs"}}, "that role be of kind ec2"),
    "a wheel of something else": ({"databricks": DATABRICKS_JOB | {"wheel": "other.whl"}}, "The wheel is a file"),
    "an unknown compute": ({"databricks": DATABRICKS_JOB | {"compute": "local"}}, "job_cluster or serverless"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_value_that_would_open_or_break_something_is_refused(workspace, case):
    given, message = REFUSED[case]
    own: Workspace = workspace(**given)
    planned = own("plan", "-out=of.tfplan")
    if planned.returncode == 0:
        # Some is known only when the things before it are made.
        planned = own("apply", "of.tfplan")
    assert planned.returncode == 1
    assert message in said(planned)


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_the_example_of_values_is_complete(workspace, environment):
    own: Workspace = workspace()
    (own.folder / "values.auto.tfvars.json").unlink()
    planned = own("plan", f"-var-file={environment}.tfvars.example", f"-var=environment={environment}")
    assert planned.returncode == 0, said(planned)
    # A name that is spelled wrongly is a warning only.
    assert "undeclared variable" not in planned.stdout
    # Destroyed with what it holds: in staging alone.
    assert ("force_destroy               = true" in planned.stdout) == (environment == "staging")
