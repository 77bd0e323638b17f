"""deploy/Dockerfile and its ignore file, read; ``make test-delivery`` also runs their steps."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from cltv_assets_tests.delivery.dockerfile import BuildError, Context, Stage, parse

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "deploy/Dockerfile").read_text()
IGNORE = (ROOT / "deploy/Dockerfile.dockerignore").read_text()
TARGETS = ("embedded", "spark")


@pytest.fixture
def context() -> Context:
    return Context(ROOT, IGNORE)


def lineage(target: str) -> list[Stage]:
    """Return a target's stages, down to the image of Python."""
    stages, found = parse(TEXT).stages, []
    while target in stages:
        found.append(stages[target])
        target = stages[target].base
    return found


def test_everything_that_is_copied_is_there(context: Context):
    copied = set()
    for stage in parse(TEXT).stages.values():
        for step in stage.instructions:
            if step.keyword == "COPY" and "from" not in dict(step.flags):
                for source in step.value.split()[:-1]:
                    copied |= {path.relative_to(ROOT).as_posix() for path in context.files(source).values()}
    assert {"cltv_assets/definitions.py", "cltv_assets/py.typed", "deploy/with-secrets"} <= copied
    # What is given to the build and copied by nobody only makes builds slow and caches miss.
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()
    assert {path for path in listed if not context.is_ignored(path)} <= copied


@pytest.mark.parametrize(
    "path",
    [
        "cltv_assets_tests/conftest.py",
        "cltv_assets/__pycache__/build.cpython-311.pyc",
        "deploy/secrets/postgres_password",
        "deploy/.env",
        "deploy/compose.yaml",
        ".git/config",
        "requirements-dev.lock",
        "lake/cltv_predictions/part-0.parquet",
        "cltv.yaml",
    ],
)
def test_data_secrets_and_tests_are_not_given_to_the_build(context: Context, path: str):
    assert context.is_ignored(path)


def test_a_copy_of_what_is_left_out_ends_the_build(context: Context):
    for source in ("deploy/compose.yaml", "cltv_assets_tests", "no_such_file"):
        with pytest.raises(BuildError, match="not in the build's context"):
            context.files(source)


@pytest.mark.parametrize(
    ("rules", "path", "ignored"),
    [
        ("*", "a/b", True),
        ("*\n!a/", "a/b", False),
        ("*\n!a/\n**/c", "a/b/c", True),
        ("*\n!a/\n**/c", "a/c/d", True),
        ("a/*\n!a/b", "a/b", False),
        ("a/*\n!a/b", "a/c", True),
        ("*.md\n!README.md", "README.md", False),
        ("*.md", "docs/ui.md", False),
        ("# a comment\n\na?", "ab", True),
    ],
)
def test_the_ignore_file_is_read_as_an_engine_reads_it(rules: str, path: str, ignored: bool):
    assert Context(Path(), rules).is_ignored(path) is ignored


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("FROM base AS a\nADD x y", "ADD is not among"),
        ("FROM base AS a\nSHELL []", "SHELL is not among"),
        ("FROM base", "«FROM image AS name»"),
        ("FROM base AS a\nFROM base AS a", "stage a already"),
        ("RUN true", "before the first FROM"),
        ("FROM $BASE AS a", "BASE is not set"),
        ("FROM base AS a\nRUN true \\", "the last line is continued"),
    ],
)
def test_what_is_not_understood_is_refused(text: str, message: str):
    with pytest.raises(BuildError, match=message):
        parse(text)


@pytest.mark.parametrize("target", TARGETS)
def test_each_target_runs_without_build_tools_as_a_plain_user(target: str):
    stages = lineage(target)
    steps = [step for stage in stages for step in stage.instructions]
    assert [step.value for step in steps if step.keyword == "USER"] == ["10001"]
    assert [step.value for step in steps if step.keyword == "ENTRYPOINT"] == ['["with-secrets"]']
    # Nothing is installed in what runs: it is copied from the stages that build.
    commands = " ".join(step.value for step in steps if step.keyword == "RUN")
    assert not re.search(r"\b(pip|apt-get|curl|wget)\b", commands)
    built = {dict(step.flags)["from"] for step in steps if step.keyword == "COPY" and step.flags[0][0] == "from"}
    assert built == {f"build-{target}"}


@pytest.mark.parametrize("target", TARGETS)
def test_the_lock_is_installed_before_the_code_is_copied(target: str):
    # Or each change of the code would install everything anew.
    values = [step.value for step in parse(TEXT).stages[f"build-{target}"].instructions]
    installs, copies = (
        next(number for number, value in enumerate(values) if part in value)
        for part in ("--require-hashes", "cltv_assets ./cltv_assets")
    )
    assert installs < copies
    for step in parse(TEXT).stages[f"build-{target}"].instructions:
        assert "pip install" not in step.value or "--no-deps" in step.value


def test_the_jars_come_after_the_package_that_fetches_them():
    values = [step.value for step in parse(TEXT).stages["build-spark"].instructions]
    (fetches,) = [number for number, value in enumerate(values) if "cltv jars" in value]
    (installs,) = [number for number, value in enumerate(values) if "--no-build-isolation ." in value]
    assert installs < fetches
    (spark,) = [stage for stage in lineage("spark") if stage.name == "spark"]
    assert "CLTV_SPARK__JARS=/opt/spark-jars" in [step.value for step in spark.instructions]


@pytest.mark.parametrize("target", TARGETS)
def test_each_target_says_what_it_is(target: str):
    (stage,) = [stage for stage in lineage(target) if stage.name == target]
    (label,) = [step.value for step in stage.instructions if step.keyword == "LABEL"]
    assert re.findall(r"org\.opencontainers\.image\.(\w+)=", label) == [
        "title",
        "description",
        "licenses",
        "version",
        "revision",
    ]
