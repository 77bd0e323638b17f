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
