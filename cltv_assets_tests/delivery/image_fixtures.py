"""Images built once for all tests of this folder, and what runs in them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]

#: Runs a command in an image: command, variables, files; returns what it said.
RunInImage = Callable[..., str]


def in_mounts_of_its_own(module: str, *arguments: str | Path, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a module of this folder where nobody else sees its mounts; a failure shows what was said."""
    if os.geteuid() != 0:
        pytest.fail("Images are built here as root, in mount namespaces. Run `make test-delivery` as root.")
    command = ["unshare", "--mount", "--propagation", "private", sys.executable, "-m", f"{__package__}.{module}"]
    answer = subprocess.run(
        [*command, *arguments], capture_output=True, text=True, check=False, cwd=ROOT, timeout=900, **options
    )
    if answer.returncode:
        said = (answer.stdout + answer.stderr)[-4000:]
        pytest.fail(f"{module} {' '.join(map(str, arguments))} ended with {answer.returncode}:\n{said}")
    return answer


@pytest.fixture(scope="session")
def embedded() -> Iterator[Path]:
    """Return the folder with the layers of the image ``embedded``."""
    # Not below pytest's folder: the layers are large, and pytest keeps the last three.
    folder = Path(tempfile.mkdtemp(prefix="cltv-image-"))
    try:
        in_mounts_of_its_own("image_build", "embedded", folder, "VERSION=1.2.3", "REVISION=of-the-test")
        yield folder
    finally:
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def run_in(embedded: Path) -> RunInImage:
    """Return a function that runs a command in the image ``embedded``."""

    def run(*command: str, variables: Mapping[str, str] | None = None, files: Mapping[str, Path] | None = None) -> str:
        given = {"variables": variables or {}, "files": {place: str(path) for place, path in (files or {}).items()}}
        surroundings = os.environ | {"CONTAINER": json.dumps(given)}
        return in_mounts_of_its_own("container", embedded, *command, env=surroundings).stdout

    return run
