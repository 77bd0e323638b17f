"""deploy/terraform is what the real Terraform accepts, plans and applies, over the providers' own schemas."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from cltv_assets_tests.delivery.terraform.workspace import DEPLOY, ROOTS, Workspace, said, terraform

MODULES = sorted(path.name for path in (DEPLOY / "modules").iterdir())
FOLDERS = [*ROOTS, *(f"modules/{name}" for name in MODULES)]


def text_of(folder: Path) -> str:
    return "\n".join(path.read_text() for path in sorted(folder.glob("*.tf")))


def names(kind: str, folder: Path) -> set[str]:
    return set(re.findall(rf'^{kind} "(\w+)" \{{', text_of(folder), re.MULTILINE))


def test_the_files_are_formatted():
    found = terraform(["fmt", "-check", "-recursive", str(DEPLOY)], DEPLOY)
    assert found.returncode == 0, f"run make terraform-format: {found.stdout}"


def test_the_versions_are_those_that_are_checked(stand_in):
    for root in ROOTS:
        pinned = dict(
            re.findall(r'source +?= "\w+/(\w+)"\n +version = "([\d.]+)"', (DEPLOY / root / "versions.tf").read_text())
        )
        assert pinned
        assert pinned.items() <= stand_in["versions"].items()
    version = (DEPLOY / ".terraform-version").read_text().strip()
    assert f'"terraform_version": "{version}"' in terraform(["version", "-json"], DEPLOY).stdout
    readme = (DEPLOY / "README.md").read_text()
    for told in version, *stand_in["versions"].values():
        assert told in readme


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


#: Faults planted one by one, and what Terraform says of each: where the file, the text and its replacement.
FAULTS = {
    "a misspelled attribute": ("modules/bucket/main.tf", "block_public_acls ", "block_public_acl ", 'named "block_public_acl" is not expected'),
    "an attribute of no block": ("modules/databricks_job/main.tf", "package_name =", "packages =", 'named "packages" is not expected'),
    "a missing attribute": ("modules/bucket/main.tf", "      noncurrent_days = var.noncurrent_days\n", "", '"noncurrent_days" is required'),
    "a missing block": ("modules/bucket/main.tf", "  versioning_configuration {\n    status = \"Enabled\"\n  }\n", "", "versioning_configuration"),
    "a block where there is none": ("modules/secrets/main.tf", "  recovery_window_in_days", "  rotation {}\n  recovery_window_in_days", 'type "rotation" are not expected'),
    "a value of another type": ("modules/logs/main.tf", "retention_in_days = var.retention_days", 'retention_in_days = "a month"', "a number is required"),
    "an unknown type of resource": ("modules/logs/main.tf", '"aws_cloudwatch_log_group"', '"aws_cloudwatch_logs"', 'does not support resource type'),
    "an undeclared variable": ("modules/role/main.tf", "name   = \"rights\"", "name   = var.rights", "has not been declared"),
    "an unknown argument of a module": ("modules/platform/main.tf", "  recovery_days = ", "  recovered = 1\n  recovery_days = ", 'named "recovered" is not expected'),
    "a missing argument of a module": ("modules/platform/main.tf", "  recovery_days = var.retention.secret_days\n", "", '"recovery_days" is required'),
    "an output that is not there": ("modules/platform/outputs.tf", "module.access.role_arns", "module.access.roles", "does not have an attribute named"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_found(workspace, fault):
    file, old, new, message = FAULTS[fault]
    own: Workspace = workspace(changed={file: (old, new)})
    validated = own("validate")
    assert validated.returncode == 1
    assert message in said(validated)


TRUST = {"kind": "eks", "oidc_provider_arn": "arn:aws:iam::123456789012:oidc-provider/x", "namespace": "cltv", "service_account": "code"}  # fmt: skip
DATABRICKS_JOB = {"catalog_name": "main", "job_principal": "p", "deployer": "d", "managers": ["m"], "wheel": "cltv_assets-1.0.0-py3-none-any.whl"}  # fmt: skip

#: Values that would open something or break something later.
REFUSED = {
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


@pytest.mark.parametrize("folder", FOLDERS)
def test_what_is_declared_is_used(folder):
    text = text_of(DEPLOY / folder)
    # A variable that only its own validation looks at does nothing.
    elsewhere = re.sub(r"(?ms)^variable .*?^\}\n", "", text)
    assert not {name for name in names("variable", DEPLOY / folder) if not re.search(rf"\bvar\.{name}\b", elsewhere)}
    declared = set(re.findall(r"^  (\w+) += ", "".join(re.findall(r"(?ms)^locals \{\n(.*?)^\}", text)), re.MULTILINE))
    assert not {name for name in declared if not re.search(rf"\blocal\.{name}\b", text)}


@pytest.mark.parametrize("name", MODULES)
def test_every_output_of_a_module_is_taken_by_somebody(name):
    callers = "".join(text_of(DEPLOY / folder) for folder in FOLDERS)
    calls = set(re.findall(rf'module "(\w+)" \{{\n  source +?= "[./a-z]*/{name}"', callers))
    assert calls, f"nobody calls {name}"
    for output in names("output", DEPLOY / "modules" / name):
        assert any(
            re.search(
                rf"module\.{call}\S*\.{output}\b|for (role|job) in module\.{call}\b.*?(role|job)\.{output}\b",
                callers,
                re.DOTALL,
            )
            for call in calls
        ), output


def test_staging_and_production_are_described_by_the_same_variables():
    staging, production = (DEPLOY / "environments" / name for name in ("staging", "production"))
    for name in ("variables.tf", "outputs.tf", "versions.tf"):
        assert (staging / name).read_text() == (production / name).read_text()
    for name in ("providers.tf", "backend.hcl.example", "terraform.tfvars.example"):
        assert (staging / name).read_text().replace("staging", "production") == (production / name).read_text()


def documented(section: str) -> dict[str, str]:
    readme = (DEPLOY / "README.md").read_text()
    part = readme.split(f"\n### {section}\n", 1)[1].split("\n#", 1)[0]
    return dict(re.findall(r"^\| `(\w+)` \| (.*?) \|$", part, re.MULTILINE))


@pytest.mark.parametrize(
    ("section", "root"),
    [("Variables of bootstrap", "bootstrap"), ("Variables of an environment", "environments/production")],
)
def test_the_readme_has_every_variable_as_it_is_declared(section, root):
    text = (DEPLOY / root / "variables.tf").read_text()
    declared = {}
    for name, body in re.findall(r'(?ms)^variable "(\w+)" \{\n(.*?)^\}', text):
        description = re.search(r'description = "(.*)"\n', body).group(1)
        default = re.search(r"^  default +=", body, re.MULTILINE)
        declared[name] = f"{description} | {'required' if default is None else 'optional'}"
    assert documented(section) == declared


@pytest.mark.parametrize(
    ("section", "root"),
    [("Outputs of bootstrap", "bootstrap"), ("Outputs of an environment", "environments/production")],
)
def test_the_readme_has_every_output_as_it_is_declared(section, root):
    text = (DEPLOY / root / "outputs.tf").read_text()
    assert documented(section) == dict(re.findall(r'output "(\w+)" \{\n  description = "(.*)"', text))


@pytest.mark.parametrize("environment", ["staging", "production"])
def test_the_example_of_values_is_complete(workspace, environment):
    own: Workspace = workspace(f"environments/{environment}")
    (own.folder / "values.auto.tfvars.json").unlink()
    (own.folder / "terraform.tfvars").write_text((own.folder / "terraform.tfvars.example").read_text())
    planned = own("plan")
    assert planned.returncode == 0, said(planned)
    # A name that is spelled wrongly is a warning only.
    assert "undeclared variable" not in planned.stdout


def test_the_state_is_locked_encrypted_and_somewhere_else_for_each_environment():
    places = set()
    for environment in ("staging", "production"):
        backend = re.search(
            r'backend "s3" \{(.*?)\n  \}',
            (DEPLOY / "environments" / environment / "versions.tf").read_text(),
            re.DOTALL,
        ).group(1)
        assert "use_lockfile = true" in backend
        assert re.search(r"encrypt +?= true", backend)
        # Which bucket is said when it is initialised: nobody's is in the repository.
        assert not re.search(r"\b(bucket|key|region|access_key|secret_key)\b", backend)
        example = (DEPLOY / "environments" / environment / "backend.hcl.example").read_text()
        assert set(re.findall(r"^(\w+)", example, re.MULTILINE)) == {"bucket", "key", "region"}
        places.add(example)
    assert len(places) == 2
