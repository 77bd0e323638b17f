"""`make terraform-plan` and `make terraform-apply`, with a program that only writes down what it was asked."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from cltv_assets_tests.delivery.terraform.workspace import DEPLOY


@pytest.fixture
def run(tmp_path):
    """Return what runs the script in a copy; the program appends its arguments to the file ``asked``."""
    copy = tmp_path / "terraform"
    shutil.copytree(DEPLOY, copy, ignore=shutil.ignore_patterns(".terraform"))
    program = tmp_path / "terraform-program"
    program.write_text(
        "#!/usr/bin/env bash\n"
        'echo "$TF_DATA_DIR $*" >> "$ASKED"\n'
        'if [ -e "$FAIL" ]; then exit 1; fi\n'
        'for argument in "$@"; do case $argument in -out=*) echo planned > "${argument#-out=}" ;; esac; done\n'
    )
    program.chmod(0o755)

    def go(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        surroundings = {"PATH": os.environ["PATH"], "TERRAFORM": str(program)}
        surroundings |= {"ASKED": str(tmp_path / "asked"), "FAIL": str(tmp_path / "fail")} | more
        return subprocess.run([copy / "run", *arguments], env=surroundings, capture_output=True, text=True, check=False)

    go.folder, go.asked, go.fail = copy / "environment", tmp_path / "asked", tmp_path / "fail"
    shutil.copy(go.folder / "staging.tfvars.example", go.folder / "staging.tfvars")
    shutil.copy(go.folder / "backend.hcl.example", go.folder / "staging.backend.hcl")
    return go


def test_what_is_applied_is_the_file_that_was_planned(run):
    assert run("plan", "staging").returncode == 0
    assert (run.folder / "staging.tfplan").is_file()
    assert run("apply", "staging").returncode == 0
    # State, values and plan are staging's alone.
    init = ".terraform/staging init -input=false -backend-config=staging.backend.hcl"
    assert run.asked.read_text().splitlines() == [
        init,
        ".terraform/staging plan -input=false -lock=false"
        " -var-file=staging.tfvars -var=environment=staging -out=staging.tfplan",
        init,
        ".terraform/staging apply -input=false staging.tfplan",
    ]
    # Used up: the next apply needs a plan of its own.
    again = run("apply", "staging")
    assert again.returncode == 2
    assert "There is no plan of staging" in again.stderr


def test_once_the_lock_file_is_there_no_other_provider_is_taken(run):
    run("plan", "staging")
    (run.folder / ".terraform.lock.hcl").touch()
    for action in "plan", "apply":
        run.asked.unlink()
        run(action, "staging")
        assert "init -input=false -lockfile=readonly" in run.asked.read_text()


def test_a_plan_that_fails_leaves_none_to_be_applied(run):
    run("plan", "staging")
    run.fail.touch()
    assert run("plan", "staging").returncode != 0
    run.fail.unlink()
    assert run("apply", "staging").returncode == 2


def test_a_plan_of_one_environment_is_not_applied_to_the_other(run):
    run("plan", "staging")
    assert "There is no plan of production" in run("apply", "production").stderr


@pytest.mark.parametrize(
    ("arguments", "more", "message"),
    [
        (["plan", ""], {}, "ENV=staging or ENV=production"),
        (["plan", "../staging"], {}, "ENV=staging or ENV=production"),
        (["destroy", "staging"], {}, "plan or apply"),
        (["plan", "staging"], {"TERRAFORM": "no-such-terraform"}, "There is no 'no-such-terraform' on the PATH"),
        (["plan", "production"], {}, "production.backend.hcl is missing"),
    ],
)
def test_what_is_missing_is_said(run, arguments, more, message):
    said = run(*arguments, **more)
    assert said.returncode == 2
    assert message in said.stderr
    assert not run.asked.exists() or arguments[0] == "destroy"
