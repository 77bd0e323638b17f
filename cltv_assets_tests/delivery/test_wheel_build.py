"""The archives: the same bytes whoever builds them, and nothing in them that does not belong there."""

from __future__ import annotations

import email
import io
import re
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

import cltv_assets
import delivery.wheel
from delivery.archives import differences, members
from delivery.locks import ROOT
from delivery.wheel import PARTS, BuildError, build, build_elsewhere, build_twice, source_time, uncommitted

VERSION = cltv_assets.__version__
DIST_INFO = f"cltv_assets-{VERSION}.dist-info"
#: What the package is made of; an ending that is not here is looked at before it is delivered.
ENDINGS = {".py", ".html", ".css"}
DATA = {"py.typed", "instance.yaml", "constraints.json"}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Return a small package to build, for what would take long or do harm in this one."""
    root = tmp_path / "checkout"
    (root / "cltv_assets").mkdir(parents=True)
    for part in ("setup.cfg", "README.md", "LICENSE", "pyproject.toml", "requirements-dev.lock"):
        shutil.copyfile(ROOT / part, root / part)
    shutil.copyfile(ROOT / "cltv_assets/__init__.py", root / "cltv_assets/__init__.py")
    (root / "cltv_assets/py.typed").touch()
    return root


def test_a_build_elsewhere_gives_the_same_bytes(archives):
    # build_twice has compared; this says that it left both archives, of the time of the last commit.
    wheel, sdist = archives
    assert (wheel.name, sdist.name) == (f"cltv_assets-{VERSION}-py3-none-any.whl", f"cltv_assets-{VERSION}.tar.gz")
    assert {entry[0] for entry in members(sdist).values()} == {str(source_time(ROOT))}
    assert len({entry[0] for entry in members(wheel).values()}) == 1


def test_the_wheel_of_the_source_archive_has_the_same_bytes(archives, tmp_path):
    wheel, sdist = archives
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.iterdir()
    again = build(unpacked, tmp_path / "again", source_time(ROOT))
    assert differences(wheel, next(path for path in again if path.suffix == ".whl")) == []
    assert differences(sdist, next(path for path in again if path.suffix == ".gz")) == []


def test_builds_that_differ_are_told_apart_and_leave_nothing(checkout, tmp_path, monkeypatch):
    def other_time(root: Path, out: Path, epoch: int) -> list[Path]:
        return build_elsewhere(root, out, epoch + 86400)

    monkeypatch.setattr(delivery.wheel, "build_elsewhere", other_time)
    out = tmp_path / "dist"
    out.mkdir()
    (out / f"cltv_assets-{VERSION}-py3-none-any.whl").touch()
    with pytest.raises(BuildError, match=r"cltv_assets/__init__\.py: time 1980-01-01 00:00:00 and 1980-01-02 00:00:00"):
        build_twice(checkout, out)
    assert list(out.iterdir()) == []


def test_what_lies_about_in_a_checkout_stays_out(checkout, tmp_path):
    (checkout / "build/lib/cltv_assets").mkdir(parents=True)
    (checkout / "build/lib/cltv_assets/removed_long_ago.py").touch()
    (checkout / "cltv_assets_tests").mkdir()
    (checkout / "cltv_assets_tests/__init__.py").touch()
    (checkout / "cltv_assets/__pycache__").mkdir()
    (checkout / "cltv_assets/__pycache__/module.cpython-311.pyc").touch()
    for path in build(checkout, tmp_path / "out", 10**9):
        names = [name for name in members(path) if "dist-info" not in name and "egg-info" not in name]
        assert names, path
        assert not [name for name in names if re.search("removed|_tests|pyc", name)], names


def test_another_setuptools_than_the_locked_one_is_refused(checkout, tmp_path):
    lock = checkout / "requirements-dev.lock"
    lock.write_text(re.sub(r"^setuptools==\S+", "setuptools==1.0", lock.read_text(), flags=re.MULTILINE))
    with pytest.raises(BuildError, match=r"setuptools is [\d.]+ here and 1\.0 in requirements-dev\.lock"):
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


# --- what is inside --------------------------------------------------------------------------


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        assert archive.testzip() is None
    assert len(names) == len(set(names))
    package = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "cltv_assets").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    described = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "top_level.txt", "licenses/LICENSE"}
    assert set(names) == package | {f"{DIST_INFO}/{name}" for name in described}
    odd = [name for name in package if Path(name).suffix not in ENDINGS and Path(name).name not in DATA]
    assert odd == []


def test_neither_archive_holds_tests_benchmarks_or_data(archives):
    for archive in archives:
        names = list(members(archive))
        assert not [name for name in names if re.search(r"test|bench|\.csv|\.parquet|\.png|\.lock|\.pkl", name)]
        # Half of it is the locked hashes, which do not compress.
        assert archive.stat().st_size < 1_000_000
    sources = {name.split("/", 1)[1] for name in members(archives[1]) if "/" in name}
    generated = {"PKG-INFO", "cltv_assets.egg-info"}
    assert {name.split("/")[0] for name in sources} == {*PARTS, *generated}


def test_permissions_are_the_same_for_everyone(archives):
    wheel, sdist = (members(archive) for archive in archives)
    assert {entry[1] & 0o777 for name, entry in wheel.items()} <= {0o644, 0o664}
    assert {entry[1] for name, entry in sdist.items()} == {0o644, 0o755}
    with tarfile.open(archives[1]) as archive:
        assert {(entry.uid, entry.gid, entry.uname) for entry in archive.getmembers()} == {(0, 0, "")}


def test_no_path_of_the_building_machine_is_inside(archives):
    wheel, sdist = archives
    with zipfile.ZipFile(wheel) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    with tarfile.open(sdist) as packed:
        contents |= {entry.name: packed.extractfile(entry).read() for entry in packed.getmembers() if entry.isfile()}
    marks = [str(ROOT).encode(), str(Path.home()).encode() + b"/", b"cltv-build-", b"cltv-somewhere-else"]
    assert [name for name, content in contents.items() if any(mark in content for mark in marks)] == []


def test_the_metadata_name_entry_points_pythons_and_extras(wheel):
    with zipfile.ZipFile(wheel) as archive:
        metadata = email.message_from_bytes(archive.read(f"{DIST_INFO}/METADATA"))
        entry_points = io.StringIO(archive.read(f"{DIST_INFO}/entry_points.txt").decode())
        assert archive.read("cltv_assets/py.typed") == b""
        assert b"Root-Is-Purelib: true" in archive.read(f"{DIST_INFO}/WHEEL")
    assert (metadata["Name"], metadata["Version"]) == ("cltv-assets", VERSION)
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert set(metadata.get_all("Provides-Extra")) == {
        "spark",
        "s3",
        "jre",
        "production",
        "databricks",
        "emr",
        "kubernetes",
    }
    commands = dict(line.split(" = ") for line in entry_points.read().splitlines() if " = cltv_assets.cli" in line)
    assert commands == {
        "cltv": "cltv_assets.cli:main",
        "cltv-preprocess": "cltv_assets.cli:preprocess_main",
        "cltv-model": "cltv_assets.cli:model_main",
    }
