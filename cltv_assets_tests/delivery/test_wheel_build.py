"""The archives: the same bytes whoever builds them, and nothing in them that does not belong there."""

from __future__ import annotations

import re
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

import cltv_assets
import delivery.wheel
from delivery.locks import ROOT
from delivery.wheel import PARTS, BuildError, build_elsewhere, build_twice, source_time, uncommitted

VERSION = cltv_assets.__version__


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a small package to build, for what would take long or do harm in this one."""
    root = tmp_path / "checkout"
    (root / "cltv_assets").mkdir(parents=True)
    for part in ("README.md", "LICENSE", "pyproject.toml", "requirements-dev.lock", "cltv_assets/__init__.py"):
        shutil.copyfile(ROOT / part, root / part)
    return root


def test_the_archives_are_of_the_last_commit_and_hold_the_package_alone(archives):
    # The fixture's build_twice has compared two builds.
    wheel, sdist = archives
    assert (wheel.name, sdist.name) == (f"cltv_assets-{VERSION}-py3-none-any.whl", f"cltv_assets-{VERSION}.tar.gz")
    package = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "cltv_assets").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(wheel) as archive:
        assert archive.testzip() is None
        assert {name for name in archive.namelist() if ".dist-info/" not in name} == package
    with tarfile.open(sdist) as packed:
        members = {entry.name.partition("/")[2]: entry for entry in packed.getmembers() if entry.isfile()}
    assert members.keys() == package | {*PARTS, "PKG-INFO"} - {"cltv_assets"}
    assert members["pyproject.toml"].mtime == source_time(ROOT)


def test_builds_that_differ_are_told_apart_and_leave_nothing(checkout, tmp_path, monkeypatch):
    def other_time(root: Path, out: Path, epoch: int) -> list[Path]:
        return build_elsewhere(root, out, epoch + 86400)

    monkeypatch.setattr(delivery.wheel, "build_elsewhere", other_time)
    out = tmp_path / "dist"
    out.mkdir()
    (out / f"cltv_assets-{VERSION}-py3-none-any.whl").touch()
    with pytest.raises(BuildError, match="Two builds differ"):
        build_twice(checkout, out)
    assert list(out.iterdir()) == []


def test_another_flit_than_the_locked_one_is_refused(checkout, tmp_path):
    lock = checkout / "requirements-dev.lock"
    lock.write_text(re.sub(r"^flit-core==\S+", "flit-core==1.0", lock.read_text(), flags=re.MULTILINE))
    with pytest.raises(BuildError, match=r"flit-core is [\d.]+ here and 1\.0 in requirements-dev\.lock"):
        build_twice(checkout, tmp_path / "out")


def test_the_time_is_the_last_commits_and_is_not_guessed(checkout, monkeypatch):
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    assert source_time(checkout) == 315532800
    who = ["-c", "user.name=test", "-c", "user.email=test@localhost", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "init", "--quiet", checkout], check=True)
    with pytest.raises(BuildError, match="git cannot tell"):
        source_time(checkout)
    monkeypatch.setenv("GIT_COMMITTER_DATE", "2026-01-02T03:04:05Z")
    subprocess.run(["git", "-C", checkout, "add", "."], check=True)
    subprocess.run(["git", "-C", checkout, *who, "commit", "--quiet", "-m", "All"], check=True)
    assert source_time(checkout) == 1767323045
    assert uncommitted(checkout) == []
    (checkout / "cltv_assets/new.py").touch()
    assert uncommitted(checkout) == ["?? cltv_assets/new.py"]
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")
    assert source_time(checkout) == 10**9
