"""Finds the Pythons of this machine."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

#: What the package says that it runs on.
SUPPORTED = ("3.11", "3.12", "3.13")
#: Those that must be there, separated by commas; the others are tested where they are.
REQUIRED = os.environ.get("CLTV_WHEEL_PYTHONS", "3.11").split(",")


def interpreters() -> dict[str, Path]:
    """Return the interpreters found, by minor version: on the PATH, among pyenv's and among uv's."""
    found = {}
    for version in SUPPORTED:
        path = next((path for path in _candidates(version) if _runs(path, version)), None)
        if path is not None:
            found[version] = path
    return found


def _candidates(version: str) -> Iterator[Path]:
    if on_path := shutil.which(f"python{version}"):
        yield Path(on_path)
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    uv = Path(os.environ.get("UV_PYTHON_INSTALL_DIR", Path.home() / ".local/share/uv/python"))
    yield from sorted(pyenv.glob(f"versions/{version}.*/bin/python{version}"), key=_numbers, reverse=True)
    yield from sorted(uv.glob(f"cpython-{version}.*/bin/python{version}"), key=_numbers, reverse=True)


def _numbers(path: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", str(path))]


def _runs(path: Path, version: str) -> bool:
    # A shim of pyenv is there for versions that are not chosen, too, and fails.
    asked = subprocess.run(
        [path, "-c", "import sys, venv; print('{}.{}'.format(*sys.version_info))"],
        capture_output=True,
        text=True,
        check=False,
    )
    return asked.returncode == 0 and asked.stdout.strip() == version
