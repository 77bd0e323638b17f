"""The image of deploy/Dockerfile, built and run by Podman.

No registry of images is asked: Debian's own Python, of the same release and the same minor version, takes the place of
the official image of Python.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from cltv_assets_tests.test_deploy import composed

ROOT = Path(__file__).parents[2]
BASE, BUILT = "localhost/cltv-tests-python:bookworm", "localhost/cltv-tests:embedded"
#: ``apt`` is in the official image of Python, too, and brings libstdc++; pip and venv belong to Python there.
BASE_PACKAGES = ("apt", "ca-certificates", "netbase", "passwd", "python3", "python3-venv", "tzdata")
#: Where the build finds this machine's settings of pip; the folder is in the base, so that none is left in the image.
PIP_FOLDER = "/etc/xdg/pip"

#: Runs a command in the image: command, variables, files; returns what it said.
RunInImage = Callable[..., str]


def podman(*arguments: str | Path, **options: Any) -> str:
    """Run Podman and return what it said; a failure shows it."""
    answer = subprocess.run(
        ["podman", "--runtime", "runc", *arguments], capture_output=True, text=True, check=False, timeout=900, **options
    )
    if answer.returncode:
        pytest.fail(f"podman {arguments[0]} ended with {answer.returncode}:\n{(answer.stdout + answer.stderr)[-4000:]}")
    return answer.stdout


def limits() -> list[str]:
    """Return options that keep Podman from raising this process's limits, which takes a right of its own."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return [f"--ulimit=nofile={files}:{files}", "--ulimit=nproc=1000:1000"]


def make_base(folder: Path) -> None:
    """Make the base image, where this machine has none yet (half a minute)."""
    if subprocess.run(["podman", "image", "exists", BASE], check=False).returncode == 0:
        return
    archive = folder / "base.tar"
    command = ["mmdebstrap", "--mode=root", "--variant=essential", f"--include={','.join(BASE_PACKAGES)}"]
    # The slim images leave these out, too.
    command += [f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("doc", "info", "locale", "man")]
    command.append(f'--customize-hook=mkdir -p "$1{PIP_FOLDER}"; ln -s /usr/bin/python3 "$1/usr/local/bin/python"')
    subprocess.run([*command, "bookworm", archive], check=True, capture_output=True)
    path = "PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
    podman("import", "--quiet", f"--change=ENV {path}", archive, BASE)
    archive.unlink()


def write_pip_settings(folder: Path) -> None:
    """Write what lets pip reach an index from here, as a file beside those that it names."""
    lines = ["[global]"]
    for name, value in os.environ.items():
        if name.startswith("PIP_"):
            if Path(value).is_file():
                shutil.copy(value, folder)
                value = f"{PIP_FOLDER}/{Path(value).name}"
            lines.append(f"{name.removeprefix('PIP_').lower().replace('_', '-')} = {value}")
    (folder / "pip.conf").write_text("\n".join(lines) + "\n")


@dataclass(frozen=True)
class Image:
    """The image ``embedded``.

    Parameters
    ----------
    root : Path
        Its files.
    added : list of str
        Paths that the Dockerfile put over the base, with a slash at their beginning.
    config : dict
        What its containers begin with, in OCI's words.
    """

    root: Path
    added: list[str]
    config: dict[str, Any]


def paths_in(root: Path) -> set[str]:
    return {
        "/" + str(Path(folder, name).relative_to(root))
        for folder, folders, files in os.walk(root)
        for name in folders + files
    }


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    if os.geteuid() != 0:
        pytest.fail("Images are built here as root. Run `make test-image`.")
    make_base(tmp_path_factory.mktemp("base"))
    settings = tmp_path_factory.mktemp("pip")
    write_pip_settings(settings)
    command = ["build", "--isolation=chroot", "--layers=false", "--network=host", *limits(), "--target=embedded"]
    command += [f"--build-arg={given}" for given in (f"PYTHON_IMAGE={BASE}", "VERSION=1.2.3", "REVISION=of-the-test")]
    command += [f"--volume={settings}:{PIP_FOLDER}:ro", "--ignorefile=deploy/Dockerfile.dockerignore"]
    podman(*command, "--file=deploy/Dockerfile", f"--tag={BUILT}", ".", cwd=ROOT)
    root, base = (Path(podman("image", "mount", name).strip()) for name in (BUILT, BASE))
    (described,) = json.loads(podman("image", "inspect", BUILT))
    try:
        yield Image(root, sorted(paths_in(root) - paths_in(base)), described["Config"])
    finally:
        podman("image", "unmount", BUILT, BASE)
        podman("rmi", "--force", BUILT)


def as_the_code_server(volumes: Mapping[str, str] | None = None) -> list[str]:
    """Return Podman's options for what compose.yaml gives the service ``code``, without any network.

    ``volumes`` names volumes by their places; the others are the container's own.
    """
    code = composed()["services"]["code"]
    options = ["--network=none", "--cap-drop=all", "--security-opt=no-new-privileges", *limits()]
    # A small /tmp, volumes, and nothing else to write to.
    options += ["--read-only", "--read-only-tmpfs=false", "--tmpfs=/tmp:mode=1777,size=1g,noexec"]
    places = [mount["target"] for mount in code["volumes"] if mount["type"] == "volume"]
    options += [f"--volume={f'{volumes[place]}:' if volumes else ''}{place}" for place in places]
    return [*options, f"--hostname={code['hostname']}"]


@pytest.fixture(scope="session")
def run_in(image: Image) -> RunInImage:
    """Return a function that runs a command in the image as compose.yaml runs a service, without any network."""

    def run(*command: str, variables: Mapping[str, str] | None = None, files: Mapping[str, Path] | None = None) -> str:
        return podman("run", "--rm", *as_the_code_server(), *given(variables, files), BUILT, *command)

    return run


def given(variables: Mapping[str, str] | None = None, files: Mapping[str, Path] | None = None) -> list[str]:
    """Return Podman's options for variables, and for files by their places."""
    options = [f"--env={name}={value}" for name, value in (variables or {}).items()]
    return options + [f"--volume={path}:{place}:ro" for place, path in (files or {}).items()]
