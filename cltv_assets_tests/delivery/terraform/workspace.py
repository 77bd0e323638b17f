"""A copy of deploy/terraform in which the real Terraform works, over providers that the stand-in plays."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).parents[3]
DEPLOY = REPOSITORY / "deploy" / "terraform"
TOOLS = REPOSITORY / ".cache" / "terraform-tools"
PYTHON = TOOLS / "bin" / "python"

#: The roots, each with a state of its own.
ROOTS = ("bootstrap", "environment")

#: Values of the roots' variables.
ACCOUNT, REGION = "123456789012", "eu-central-1"
KEYS = {name: f"arn:aws:kms:{REGION}:{ACCOUNT}:key/{name}" for name in ("lake", "operations", "orders")}
DATABRICKS = {
    "catalog_name": "main",
    "job_principal": "11111111-2222-3333-4444-555555555555",
    "deployer": "platform-engineers",
    "plan_principal": "44444444-5555-6666-7777-888888888888",
    "analyst_groups": ["analysts"],
    "managers": ["platform-engineers"],
    "viewers": ["analysts"],
    "failure_emails": ["data@example.com"],
    "wheel": "cltv_assets-1.0.0-py3-none-any.whl",
}
DATABRICKS_ADMINISTRATION = {
    "host": "https://acme.cloud.databricks.com",
    "account_id": "22222222-3333-4444-5555-666666666666",
    "workspace_id": 1234567890123456,
    "metastore_id": "33333333-4444-5555-6666-777777777777",
    "catalog_name": DATABRICKS["catalog_name"],
    "catalog_users": [DATABRICKS["job_principal"], DATABRICKS["deployer"]],
}


def values(root: str) -> dict[str, Any]:
    """Return values for every variable of a root that has no default, and for some that have."""
    if root == "bootstrap":
        return {
            "name": "acme-cltv-production",
            "account_id": ACCOUNT,
            "region": REGION,
            "environment": "production",
            "github_repository": "acme/cltv",
            "source_bucket_arns": ["arn:aws:s3:::acme-orders"],
            "source_key_arns": [KEYS["orders"]],
            "databricks": DATABRICKS_ADMINISTRATION,
        }
    name = "acme-cltv-production"
    return {
        "environment": "production",
        "name": name,
        "account_id": ACCOUNT,
        "region": REGION,
        "permissions_boundary_arn": f"arn:aws:iam::{ACCOUNT}:policy/{name}-boundary",
        "lake_key_arn": KEYS["lake"],
        "operations_key_arn": KEYS["operations"],
        "sources": [{"bucket": "acme-orders", "prefix": "orders/", "key_arn": KEYS["orders"]}],
        "code_server_trust": {"kind": "ecs"},
        "analyst_role_arns": [f"arn:aws:iam::{ACCOUNT}:role/sso/analysts"],
        "databricks_host": "https://acme.cloud.databricks.com",
        "databricks": DATABRICKS,
    }


def terraform(
    arguments: Sequence[str], folder: Path, providers: Mapping[str, Any] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run Terraform; the caller looks at the exit code."""
    surroundings = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(REPOSITORY)}
    # Neither asks for newer versions nor waits for an answer.
    surroundings |= {"CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1", "TF_INPUT": "0"}
    if providers is not None:
        surroundings["TF_REATTACH_PROVIDERS"] = json.dumps(providers)
    command = [PYTHON, "-m", "cltv_assets_tests.delivery.terraform.command", *arguments]
    return subprocess.run(
        command, cwd=folder, env=surroundings, capture_output=True, text=True, check=False, timeout=120
    )


def prepare(root: str, folder: Path, providers: Mapping[str, Any]) -> Path:
    """Copy the configuration and initialise a root, with its state on disk in place of S3; return the copy."""
    unwanted = shutil.ignore_patterns(".terraform", "*.tfstate*", "*.tfplan", "*.tfvars")
    shutil.copytree(DEPLOY, folder, ignore=unwanted, dirs_exist_ok=True)
    (folder / root / "backend_override.tf").write_text('terraform {\n  backend "local" {}\n}\n')
    ran = terraform(["init", "-no-color"], folder / root, providers)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return folder


@dataclass(frozen=True)
class Workspace:
    """A root in a copy of its own.

    Parameters
    ----------
    folder : Path
    providers : mapping
    """

    folder: Path
    providers: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        root: str,
        prepared: Path,
        folder: Path,
        providers: Mapping[str, Any],
        **variables: Any,
    ) -> Workspace:
        """Copy what was prepared, with variables set."""
        copy = folder / "terraform"
        shutil.copytree(prepared, copy)
        (copy / root / "values.auto.tfvars.json").write_text(json.dumps(values(root) | variables))
        return cls(copy / root, providers)

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run Terraform here."""
        return terraform([arguments[0], "-no-color", *arguments[1:]], self.folder, self.providers)

    def applied(self) -> State:
        """Make everything and return the state."""
        ran = self("apply", "-auto-approve")
        assert ran.returncode == 0, said(ran)
        shown = self("show", "-json")
        assert shown.returncode == 0, shown.stderr
        return State(json.loads(shown.stdout)["values"])


def said(ran: subprocess.CompletedProcess[str]) -> str:
    """Return the errors and warnings of a run as one line, without the frames and breaks of a terminal."""
    found = re.split(r"(?=\b(?:Error|Warning): )", ran.stdout + ran.stderr)
    return " ".join(" ".join(found[1:]).translate(str.maketrans("│╷╵", "   ")).split())


class State:
    """What Terraform made: resources by type and address, and outputs."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.outputs = {name: output["value"] for name, output in values.get("outputs", {}).items()}
        self._resources = list(_resources(values["root_module"]))

    def of(self, type_: str, within: str = "") -> dict[str, dict[str, Any]]:
        """Return resources of a type whose address has ``within``: address to values."""
        return {r["address"]: r["values"] for r in self._resources if r["type"] == type_ and within in r["address"]}

    def one(self, type_: str, within: str = "") -> dict[str, Any]:
        """Return the only such resource."""
        (only,) = self.of(type_, within).values()
        return only

    def types(self) -> set[str]:
        """Return the types of all resources."""
        return {r["type"] for r in self._resources}


def _resources(module: Mapping[str, Any]) -> Any:
    yield from module.get("resources", [])
    for child in module.get("child_modules", []):
        yield from _resources(child)
