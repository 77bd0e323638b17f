"""Builds the wheel and the source archive, twice, and fails unless the bytes are equal: ``make wheel``.

``uv build`` and flit, the build backend, give every member one time, one set of permissions and one order. The second
build is somebody else's: another folder, time, umask, time zone, language and order of hashes. The wheel is built from
the source archive.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from delivery.locks import ROOT, read_lock

#: What the package is built of.
PARTS = ("pyproject.toml", "README.md", "LICENSE", "cltv_assets")
#: The time of everything where there is neither ``SOURCE_DATE_EPOCH`` nor git: the first that a zip archive can tell.
_NO_TIME = 315532800
_ELSEWHERE = {"TZ": "Pacific/Kiritimati", "LC_ALL": "C", "PYTHONHASHSEED": "7"}
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
    """Raise unless flit is the one that the lock has: another one may write another wheel."""
    locked = {pin.name: pin.version for pin in read_lock(root / "requirements-dev.lock")}["flit-core"]
    here = importlib.metadata.version("flit-core")
    if here != locked:
        raise BuildError(f"flit-core is {here} here and {locked} in requirements-dev.lock: run make wheel.")


def copy_package(root: Path, into: Path) -> None:
    """Copy what the package is built of, and nothing else that lies in a checkout."""
    into.mkdir(parents=True)
    for part in PARTS:
        if (root / part).is_dir():
            shutil.copytree(root / part, into / part, copy_function=shutil.copyfile, ignore=_LEFT_BEHIND)
        else:
            shutil.copyfile(root / part, into / part)


def build(root: Path, out: Path, epoch: int, surroundings: Mapping[str, str] | None = None) -> list[Path]:
    """Build wheel and source archive into ``out``; return their paths.

    Parameters
    ----------
    root : pathlib.Path
        A checkout, or an unpacked source archive.
    out : pathlib.Path
    epoch : int
        Time of all members, in seconds since 1970.
    surroundings : mapping, optional
        Variables of the build besides those of this process.

    Raises
    ------
    BuildError
        If the build fails.
    """
    # Nothing is fetched: the backend is the one of this environment.
    command = [str(Path(sys.executable).with_name("uv")), "build", "--no-build-isolation", "--offline"]
    environment = os.environ | dict(surroundings or {}) | {"SOURCE_DATE_EPOCH": str(epoch)}
    done = subprocess.run(
        [*command, "--python", sys.executable, "--out-dir", out, root],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise BuildError(f"The build failed:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")
    return sorted([*out.glob("*.whl"), *out.glob("*.tar.gz")])


def build_elsewhere(root: Path, out: Path, epoch: int) -> list[Path]:
    """Build again as somebody else would."""
    with tempfile.TemporaryDirectory(prefix="cltv-somewhere-else-") as scratch:
        checkout = Path(scratch) / "a checkout of another user"
        before = os.umask(0o077)
        try:
            copy_package(root, checkout)
            return build(checkout, out, epoch, _ELSEWHERE)
        finally:
            os.umask(before)


def digest(path: Path) -> str:
    """Return a file's SHA-256."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


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
        digests = [{path.name: digest(path) for path in built} for built in (first, again)]
        if digests[0] != digests[1] or len(first) != 2:
            raise BuildError(f"Two builds differ: {digests[0]} and {digests[1]}. diffoscope says in what.")
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
