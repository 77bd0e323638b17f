"""Workflows, scripts and the Dockerfile have no findings of the tools that know them, and call what there is."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from delivery.locks import ROOT

BIN = Path(sys.executable).parent
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
SCRIPTS = [path for name in (".ci", "deploy", "deploy/terraform") for path in sorted((ROOT / name).iterdir())]
SCRIPTS = [path for path in SCRIPTS if path.is_file() and path.read_bytes().startswith(b"#!")]
#: By name; actionlint is built by .ci/install-tools, the others are in the development lock.
COMMANDS = {
    "actionlint": [ROOT / ".cache/tools/actionlint", "-no-color", "-shellcheck", BIN / "shellcheck", *WORKFLOWS],
    "zizmor": [BIN / "zizmor", "--offline", "--persona=auditor", "--config=.github/zizmor.yml", ".github"],
    "shellcheck": [BIN / "shellcheck", "--external-sources", "--source-path=SCRIPTDIR", *SCRIPTS],
    "hadolint": [BIN / "hadolint", "deploy/Dockerfile"],
}


@pytest.mark.parametrize("tool", COMMANDS)
def test_the_tools_find_nothing(tool):
    answer = subprocess.run(COMMANDS[tool], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_every_command_of_a_workflow_is_a_target_of_the_makefile():
    jobs = [job for path in WORKFLOWS for job in yaml.safe_load(path.read_text())["jobs"].values()]
    commands = [step["run"] for job in jobs for step in job.get("steps", []) if "run" in step]
    assert commands
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for command in commands:
        make, *goals = shlex.split(command)
        assert make == "make", command
        # No shell, no variables: they come from the environment.
        assert goals, command
        assert set(goals) <= targets, command


def test_a_secret_is_handed_to_the_step_that_needs_it_and_to_no_foreign_action_besides():
    handed = 0
    for path in WORKFLOWS:
        workflow = yaml.safe_load(path.read_text())
        for name, job in workflow["jobs"].items():
            for step in job.get("steps", []):
                # A foreign action gets a secret as an input of its own; a variable is for commands of ours.
                assert "run" in step or "secrets." not in str(step.get("env", "")), (path.name, name)
                handed += "secrets." in str(step)
            rest = {key: value for key, value in job.items() if key != "steps"} | {"of all": workflow.get("env")}
            assert "secrets." not in str(rest), (path.name, name)
    assert handed


def test_only_jobs_of_an_environment_name_the_identities_that_change_something():
    jobs = yaml.safe_load((ROOT / ".github/workflows/deploy.yml").read_text())["jobs"]
    changing = {"vars.APPLY_ROLE", "vars.DATABRICKS_CLIENT_ID"}
    for name, job in jobs.items():
        named = {identity for identity in changing if identity in str(job)}
        assert not named or job["environment"] in ("staging", "production"), name
        # A plan has both of its own.
        planning = {identity for identity in ("_PLAN_ROLE", "_PLAN_CLIENT_ID") if identity in str(job)}
        assert bool(planning) == ("terraform-plan" in str(job["steps"])), name
        assert len(planning) in (0, 2), name
