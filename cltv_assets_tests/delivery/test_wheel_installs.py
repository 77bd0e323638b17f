"""The wheel and its locked versions, installed into nothing, run the demo with the same result on every Python."""

from __future__ import annotations

import datetime
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from deltalake import DeltaTable

import cltv_assets
from delivery.locks import ROOT

UV = Path(sys.executable).with_name("uv")
#: The oldest and the newest that the package supports; CLTV_WHEEL_PYTHONS makes a missing one a failure.
SUPPORTED = ("3.11", "3.13")
REQUIRED = os.environ.get("CLTV_WHEEL_PYTHONS", "3.11").split(",")
MONTH = "1997-01"


def python_of(version: str) -> str:
    """Return a Python of this machine; empty if there is none."""
    # Among pyenv's themselves: its shims fail for versions that are not chosen.
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob(f"versions/{version}.*/bin")
    path = os.pathsep.join([*map(str, pyenv), os.environ["PATH"]])
    command = [UV, "python", "find", "--no-project", "--no-python-downloads", version]
    asked = subprocess.run(command, env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False)
    return asked.stdout.strip() if asked.returncode == 0 else ""


FOUND = {version: path for version in SUPPORTED if (path := python_of(version))}


@dataclass(frozen=True)
class Installation:
    """An environment with the wheel, and an empty folder to run in."""

    version: str
    environment: Path
    folder: Path

    def run(self, program: str, *arguments: str) -> str:
        """Run a program of the environment as a user would; return what it prints."""
        done = subprocess.run(
            [self.environment / "bin" / program, *arguments],
            cwd=self.folder,
            env=surroundings(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{program} {' '.join(arguments)} on {self.version}: {done.stdout}{done.stderr}"
        return done.stdout


def surroundings() -> dict[str, str]:
    """Return the environment without what would lead back to the checkout."""
    hidden = ("PYTHONPATH", "VIRTUAL_ENV", "DAGSTER_HOME", "PYTHONDONTWRITEBYTECODE")
    ours = str(Path(sys.executable).parent)
    path = os.pathsep.join(part for part in os.environ["PATH"].split(os.pathsep) if part != ours)
    return {name: value for name, value in os.environ.items() if name not in hidden} | {"PATH": path}


@pytest.fixture(scope="session")
def install(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Installation]:
    """Return a function that installs the wheel for a Python, once."""
    made: dict[str, Installation] = {}

    def installed(version: str) -> Installation:
        if version in made:
            return made[version]
        folder = tmp_path_factory.mktemp(f"python-{version}")
        assert ROOT not in folder.parents
        environment, locked, empty = folder / "environment", folder / "locked.txt", folder / "empty"
        empty.mkdir()

        def uv(*arguments: str | Path) -> None:
            subprocess.run([UV, *arguments], env=surroundings(), check=True, capture_output=True)

        uv("venv", "--python", FOUND[version], environment)
        # The commands of docs/delivery.md.
        python = environment / "bin/python"
        asked = [python, "-m", "cltv_assets.constraints", "--lock", "embedded"]
        with locked.open("w") as file:
            subprocess.run(asked, env=surroundings() | {"PYTHONPATH": str(wheel)}, stdout=file, check=True)
        into = ("pip", "install", "--python", python, "--no-deps")
        # Not one of them runs code of its own while it is installed.
        uv(*into, "--require-hashes", "--only-binary", ":all:", "-r", locked)
        uv(*into, wheel)
        made[version] = Installation(version, environment, empty)
        return made[version]

    return installed


def test_the_pythons_that_must_be_here_are_here():
    assert set(REQUIRED) <= FOUND.keys()


@pytest.mark.parametrize("version", FOUND)
def test_the_demo_runs_from_the_wheel_alone(install, version):
    installation = install(version)
    where = installation.run("python", "-c", "import cltv_assets; print(cltv_assets.__file__)").strip()
    assert installation.environment in Path(where).parents
    assert installation.run("cltv", "version").strip() == cltv_assets.__version__
    said = installation.run("cltv", "demo", "--to", MONTH)
    assert f"Models as of {MONTH}" in said
    assert "bg_nbd (chosen)" in said
    assert "failed" not in said
    assert (installation.folder / "lake/cltv_report" / f"month={MONTH}-01" / "report.html").is_file()


def test_every_command_is_installed_and_versions_fit_each_other(install):
    for version in FOUND:
        installation = install(version)
        for program in (["cltv", "run"], ["cltv-preprocess"], ["cltv-model"]):
            assert "--config" in installation.run(*program, "--help")
        python = installation.environment / "bin/python"
        checked = subprocess.run([UV, "pip", "check", "--python", python], capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr


def test_every_python_predicts_the_same(install):
    totals = {}
    for version in FOUND:
        predictions = DeltaTable(install(version).folder / "lake/cltv_predictions").to_pandas(
            filters=[("month", "=", datetime.date(1997, 1, 1))],
            columns=["p_alive", "cltv_3m", "cltv_12m", "cltv_12m_high"],
        )
        totals[version] = {"customers": len(predictions)} | predictions.astype(float).sum().to_dict()
    first = next(iter(totals.values()))
    assert first["customers"] == 7_846
    for total in totals.values():
        # Not to the last bit: from 3.12 on there is a newer NumPy and SciPy in the locks.
        assert total == pytest.approx(first, rel=1e-9), totals
