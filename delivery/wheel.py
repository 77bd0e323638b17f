"""Builds the wheel and the source archive, twice, and fails unless the bytes are equal: ``make wheel``.

Each build starts from a copy of the files that belong to the package, with one time and one
set of permissions. So nothing that lies about in the checkout gets in (setuptools takes
what an earlier build left in ``build/``), and who builds when and where does not show.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from delivery.archives import differences, digest, normalise_sdist
from delivery.locks import ROOT, read_lock

#: What the package is built of.
PARTS = ("pyproject.toml", "setup.cfg", "README.md", "LICENSE", "cltv_assets")
#: The time of everything where there is neither ``SOURCE_DATE_EPOCH`` nor git: the first that a zip archive can tell.
_NO_TIME = 315532800
# What a build front end does, without the environment that it would fill from an index.
_BUILD = "import sys; from setuptools import build_meta as b; out = sys.argv[1]; b.build_sdist(out); b.build_wheel(out)"
_LEFT_BEHIND = shutil.ignore_patterns("__pycache__", "*.py[co]", ".*", "*~")


class BuildError(Exception):
    """The archives cannot be built, or are not the same twice."""


def source_time(root: Path) -> int:
    """Return the time that all members get: ``SOURCE_DATE_EPOCH``, else the last commit's, else a fixed one."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    if given is not None:
        return max(int(given), _NO_TIME)
    if not (root / ".git").exists():
        return _NO_TIME
    # Not guessed where git is there and fails: the bytes would depend on that.
    asked = subprocess.run(
        ["git", "-C", str(root), "log", "-1", "--format=%ct"], capture_output=True, text=True, check=False
    )
    if asked.returncode != 0:
        raise BuildError(f"git cannot tell the time of the last commit: {asked.stderr.strip()}")
    return max(int(asked.stdout), _NO_TIME)


def uncommitted(root: Path) -> list[str]:
    """Return what would be built in but is in no commit: such a wheel cannot be built again."""
    if not (root / ".git").exists():
        return []
    asked = subprocess.run(
        ["git", "-C", str(root), "status", "--porcelain", "--", *PARTS], capture_output=True, text=True, check=True
    )
    return asked.stdout.splitlines()


def check_tools(root: Path) -> None:
    """Raise unless setuptools is the one that the lock has: another one writes another wheel."""
    locked = {pin.name: pin.version for pin in read_lock(root / "requirements-dev.lock")}["setuptools"]
    here = importlib.metadata.version("setuptools")
    if here != locked:
        raise BuildError(f"setuptools is {here} here and {locked} in requirements-dev.lock: run make wheel.")


def stage(root: Path, into: Path, epoch: int) -> None:
    """Copy what belongs to the package, each file with the same time and permissions."""
    into.mkdir(parents=True)
    for part in PARTS:
        if (root / part).is_dir():
            shutil.copytree(root / part, into / part, ignore=_LEFT_BEHIND)
        else:
            shutil.copyfile(root / part, into / part)
    for path in (into, *into.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
        os.utime(path, (epoch, epoch))


def build(root: Path, out: Path, epoch: int, surroundings: Mapping[str, str] | None = None) -> list[Path]:
    """Build wheel and source archive into ``out``; return their paths.

    Parameters
    ----------
    root : pathlib.Path
        A checkout, or an unpacked source archive.
    out : pathlib.Path
        A folder; made if it is not there.
    epoch : int
        Seconds since 1970; the time of every member.
    surroundings : mapping, optional
        More environment variables for the build.
    """
    out.mkdir(parents=True, exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    with tempfile.TemporaryDirectory(prefix="cltv-build-") as scratch:
        staged = Path(scratch) / "source"
        stage(root, staged, epoch)
        done = subprocess.run(
            [sys.executable, "-c", _BUILD, str(out.absolute())],
            cwd=staged,
            env=environment | dict(surroundings or {}) | {"SOURCE_DATE_EPOCH": str(epoch)},
            # What setuptools generates gets its permissions from this.
            umask=0o022,
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode != 0:
        raise BuildError(f"The build failed:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    built = sorted([*out.glob("*.whl"), *out.glob("*.tar.gz")])
    for path in built:
        path.chmod(0o644)
        if path.suffix == ".gz":
            normalise_sdist(path, epoch)
    return built


def build_elsewhere(root: Path, out: Path, epoch: int) -> list[Path]:
    """Build again as somebody else would: another folder, time, umask, time zone, language and order of hashes."""
    with tempfile.TemporaryDirectory(prefix="cltv-somewhere-else-") as scratch:
        before = os.umask(0o077)
        try:
            checkout = Path(scratch) / "a checkout of another user"
            checkout.mkdir()
            for part in reversed(PARTS):
                source, copy = root / part, checkout / part
                # copyfile: the copies get the time and permissions of now.
                if source.is_dir():
                    shutil.copytree(source, copy, copy_function=shutil.copyfile, ignore=_LEFT_BEHIND)
                else:
                    shutil.copyfile(source, copy)
            return build(checkout, out, epoch, {"TZ": "Pacific/Kiritimati", "LC_ALL": "C", "PYTHONHASHSEED": "7"})
        finally:
            os.umask(before)


def build_twice(root: Path, out: Path) -> list[Path]:
    """Build into ``out``, build again elsewhere, compare; return what was built.

    Raises
    ------
    BuildError
        If a build fails or the bytes differ. Nothing is left in ``out`` then.
    """
    check_tools(root)
    epoch = source_time(root)
    for old in [*out.glob("cltv_assets-*.whl"), *out.glob("cltv_assets-*.tar.gz")]:
        old.unlink()
    with tempfile.TemporaryDirectory(prefix="cltv-built-") as scratch:
        first = build(root, Path(scratch) / "first", epoch)
        again = build_elsewhere(root, Path(scratch) / "again", epoch)
        if [path.name for path in first] != [path.name for path in again] or len(first) != 2:
            raise BuildError(f"Two builds made {[path.name for path in first]} and {[path.name for path in again]}.")
        found = [line for one, other in zip(first, again, strict=True) for line in differences(one, other)]
        if found:
            raise BuildError("Two builds differ:\n  " + "\n  ".join(found))
        out.mkdir(parents=True, exist_ok=True)
        return [Path(shutil.copyfile(path, out / path.name)) for path in first]


def main() -> int:
    """Build as the arguments say; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m delivery.wheel", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "dist")
    try:
        built = build_twice(ROOT, parser.parse_args().out)
    except BuildError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    for line in uncommitted(ROOT):
        sys.stderr.write(f"Built in, but in no commit: {line}\n")
    for path in built:
        sys.stdout.write(f"{digest(path)}  {path.name}  {path.stat().st_size:,} bytes, equal twice\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
