"""GitHub's workflows: checked by the tools that know them, and held to the Makefile."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

CHECKOUT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
GITHUB = CHECKOUT / ".github"
WORKFLOWS = {path.stem: path for path in sorted((GITHUB / "workflows").glob("*.yml"))}
ACTIONS = sorted((GITHUB / "actions").glob("*/action.yml"))
#: What may write what. A new right is a decision, not an oversight.
RIGHTS = {
    ("deploy", "plan", "id-token"),
    ("deploy", "staging", "id-token"),
    ("deploy", "doctor", "id-token"),
    ("deploy", "production", "id-token"),
    ("release", "build", "id-token"),
    ("release", "build", "attestations"),
    ("release", "publish", "id-token"),
    ("release", "release", "contents"),
}


def read(path: Path) -> dict[str, Any]:
    """Return a workflow; YAML 1.1 reads its key ``on`` as true."""
    found: dict[str, Any] = yaml.safe_load(path.read_text())
    return found


def jobs() -> Iterator[tuple[str, str, dict[str, Any]]]:
    for name, path in WORKFLOWS.items():
        for key, job in read(path)["jobs"].items():
            yield name, key, job


def steps() -> Iterator[tuple[str, dict[str, Any]]]:
    for name, key, job in jobs():
        for step in job.get("steps", []):
            yield f"{name}.{key}", step
    for path in ACTIONS:
        for step in read(path)["runs"]["steps"]:
            yield path.parent.name, step


def checked(tool: str, github: Path) -> subprocess.CompletedProcess[str]:
    """Run one of the tools over a ``.github`` folder within a repository."""
    files = [str(path) for path in sorted((github / "workflows").glob("*.yml"))]
    actions = [str(path) for path in sorted((github / "actions").glob("*/action.yml"))]
    schema = [str(BIN / "check-jsonschema"), "--builtin-schema"]
    command = {
        # shellcheck of the development lock, for what steps run.
        "actionlint": [actionlint(), "-no-color", "-shellcheck", str(BIN / "shellcheck"), *files],
        "zizmor": [str(BIN / "zizmor"), "--offline", "--persona=auditor", f"--config={github}/zizmor.yml", str(github)],
        "workflow schema": [*schema, "vendor.github-workflows", *files],
        "action schema": [*schema, "vendor.github-actions", *actions],
    }[tool]  # fmt: skip
    return subprocess.run(command, cwd=github.parent, capture_output=True, text=True, timeout=120, check=False)


def actionlint() -> str:
    program = CHECKOUT / ".cache" / "tools" / "actionlint"
    if not program.is_file():
        pytest.fail("These tests need actionlint: `make test-delivery` builds it (.ci/install-tools).")
    return str(program)


TOOLS = ("actionlint", "zizmor", "workflow schema", "action schema")


@pytest.mark.parametrize("tool", TOOLS)
def test_the_tools_find_nothing(tool):
    answer = checked(tool, GITHUB)
    assert answer.returncode == 0, answer.stdout + answer.stderr


#: Tool, file, what stands there, what is put in its place.
FAULTS = (
    ("actionlint", "workflows/ci.yml", "matrix.python }}", "matrix.pythn }}"),
    ("actionlint", "workflows/deploy.yml", "needs: plan", "needs: plans"),
    ("zizmor", "workflows/ci.yml", "persist-credentials: false", "persist-credentials: true"),
    ("zizmor", "workflows/release.yml", "run: make release-check", "run: make TAG=${{ github.ref_name }}"),
    ("zizmor", "workflows/release.yml", "permissions: {}", "permissions: write-all"),
    ("workflow schema", "workflows/ci.yml", "timeout-minutes: 20", "timeout-minuts: 20"),
    ("action schema", "actions/python/action.yml", "using: composite", "uses: composite"),
)  # fmt: skip


@pytest.mark.parametrize(("tool", "file", "good", "bad"), FAULTS, ids=[f"{f[0]}: {f[3]}" for f in FAULTS])
def test_the_tools_find_what_is_planted(tmp_path, tool, file, good, bad):
    github = tmp_path / ".github"
    shutil.copytree(GITHUB, github)
    (tmp_path / ".git").mkdir()
    text = (github / file).read_text()
    assert good in text
    (github / file).write_text(text.replace(good, bad, 1))
    assert checked(tool, github).returncode != 0


def targets() -> set[str]:
    """Return the Makefile's documented targets."""
    return set(re.findall(r"^([a-z-]+):.*## ", (CHECKOUT / "Makefile").read_text(), re.MULTILINE))


def test_every_command_is_a_target_of_the_makefile():
    commands = [(place, step["run"]) for place, step in steps() if "run" in step]
    assert commands
    for place, command in commands:
        make, *goals = shlex.split(command)
        assert make == "make", place
        assert goals, place
        # No shell, no variables: they come from the environment.
        assert set(goals) <= targets(), f"{place}: {command}"


def test_the_workflow_runs_every_suite_that_the_script_of_ci_runs_and_more():
    script = set(re.findall(r"^ *make ([a-z-]+)$", (CHECKOUT / ".ci" / "run").read_text(), re.MULTILINE))
    run = {goal for _, step in steps() if "run" in step for goal in shlex.split(step["run"])[1:]}
    assert {"test", "test-cluster"} <= script
    # There each job installs what it needs.
    assert script - {"install"} <= run
    assert {"wheel", "sbom", "audit", "image", "release-check", "terraform-plan", "terraform-apply", "doctor"} <= run


def test_actions_are_pinned_by_commit_and_named_by_version():
    lines = [
        line.strip()
        for path in (*WORKFLOWS.values(), *ACTIONS)
        for line in path.read_text().splitlines()
        if re.search(r"\buses:", line)
    ]
    pins: dict[str, set[str]] = {}
    for line in lines:
        if "uses: ./" in line:
            continue
        found = re.fullmatch(r"(?:- )?uses: ([\w./-]+)@([0-9a-f]{40}) # (v\d+\.\d+\.\d+)", line)
        assert found, line
        pins.setdefault(found[1], set()).add(f"{found[2]} {found[3]}")
    assert {action: pin for action, pin in pins.items() if len(pin) > 1} == {}


def test_jobs_may_do_what_they_must_and_no_more():
    for name, path in WORKFLOWS.items():
        assert read(path)["permissions"] == {}, name
        # Runs with secrets on other people's code.
        assert "pull_request_target" not in path.read_text(), name
    granted = set()
    for name, key, job in jobs():
        assert "permissions" in job, f"{name}.{key}"
        granted |= {(name, key, right) for right, level in job["permissions"].items() if level == "write"}
    assert granted == RIGHTS


def test_what_publishes_or_changes_waits_for_an_approval():
    for name, key, job in jobs():
        text = yaml.safe_dump(job)
        gated = any(word in text for word in ("gh-action-pypi-publish", "image-push", "terraform-apply", "secrets."))
        assert not gated or job.get("environment") in ("release", "staging", "production"), f"{name}.{key}"


def test_production_follows_staging_and_a_doctor():
    deploy = read(WORKFLOWS["deploy"])["jobs"]
    assert deploy["production"]["needs"] == "doctor"
    assert deploy["doctor"]["needs"] == "staging"
    assert deploy["staging"]["needs"] == "plan"
    for job in ("staging", "production"):
        assert deploy[job]["if"] == "github.event_name == 'push'"


def test_the_doctor_asks_the_instance_that_is_deployed():
    text = (CHECKOUT / "deploy" / "dagster-production.yaml").read_text()
    asked = set(re.findall(r"env: (\w+)", text))
    assert "DAGSTER_POSTGRES_HOST" in asked
    given = set(read(WORKFLOWS["deploy"])["jobs"]["doctor"]["env"])
    # Amazon's region comes with the role.
    assert asked - given <= {"AWS_REGION", "AWS_ENDPOINT_URL_S3"}


def test_no_run_hangs_or_overtakes_another():
    for name, path in WORKFLOWS.items():
        assert "group" in read(path)["concurrency"], name
    for name, key, job in jobs():
        assert "uses" in job or 0 < job["timeout-minutes"] <= 90, f"{name}.{key}"


def test_the_tests_run_on_every_python_that_the_package_names():
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    named = {c.rpartition(" ")[2] for c in project["classifiers"] if re.search(r":: 3\.\d+$", c)}
    for key in ("test", "spark"):
        assert set(read(WORKFLOWS["ci"])["jobs"][key]["strategy"]["matrix"]["python"]) == named, key


def test_what_is_published_is_built_without_caches():
    text = WORKFLOWS["release"].read_text()
    assert "actions/cache" not in text
    for _, step in steps_of("release"):
        if step.get("uses") == "./.github/actions/python":
            assert step["with"]["cache"] == ""


def steps_of(workflow: str) -> Iterator[tuple[str, dict[str, Any]]]:
    return ((place, step) for place, step in steps() if place.startswith(f"{workflow}."))
