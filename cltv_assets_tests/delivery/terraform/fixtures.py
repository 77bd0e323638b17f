"""Fixtures of the tests of deploy/terraform."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cltv_assets_tests.delivery.terraform.workspace import DEPLOY, PYTHON, REPOSITORY, State, Workspace, prepare


@pytest.fixture(scope="session")
def stand_in() -> Iterator[dict[str, Any]]:
    """Start what plays the providers; ``providers`` and ``versions`` of what it knows."""
    command = [PYTHON, "-m", "cltv_assets_tests.delivery.terraform.stand_in", DEPLOY]
    surroundings = {"PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=surroundings
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, "the stand-in for the providers did not start"
        yield json.loads(line)
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(timeout=30) == 0


@pytest.fixture(scope="session")
def prepared(stand_in: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Return what gives an initialised copy for a root; it is not to be changed."""
    made: dict[str, Path] = {}

    def get(root: str) -> Path:
        if root not in made:
            made[root] = prepare(root, tmp_path_factory.mktemp("prepared"), stand_in["providers"])
        return made[root]

    return get


@pytest.fixture
def workspace(stand_in: dict[str, Any], prepared: Callable[[str], Path], tmp_path: Path) -> Callable[..., Workspace]:
    """Return what copies a root, with values."""

    def make(root: str = "environment", **given: Any) -> Workspace:
        return Workspace.of(root, prepared(root), tmp_path, stand_in["providers"], **given)

    return make


@pytest.fixture(scope="session")
def production(
    stand_in: dict[str, Any], prepared: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> State:
    """Return the production environment as it would be made."""
    root = "environment"
    return Workspace.of(root, prepared(root), tmp_path_factory.mktemp("made"), stand_in["providers"]).applied()


@pytest.fixture(scope="session")
def bootstrap(
    stand_in: dict[str, Any], prepared: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory
) -> State:
    """Return what an administrator makes before."""
    root = "bootstrap"
    return Workspace.of(root, prepared(root), tmp_path_factory.mktemp("made"), stand_in["providers"]).applied()
