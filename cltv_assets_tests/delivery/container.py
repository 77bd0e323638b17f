"""Runs commands in what :mod:`image_build` made, as compose.yaml runs a service.

Usage, as root: ``python -m cltv_assets_tests.delivery.container FOLDER COMMAND …``, with the
container's variables and mounted files in the variable ``CONTAINER``, as JSON.

The root file system is read-only for everybody, only /tmp and /scratch take files, the user is
the image's, no capability is left, and the network has no other end than loopback.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from cltv_assets_tests.delivery.image_root import inside, mounted, overlay

#: As compose.yaml has them: a small /tmp of the container, a volume for what is large.
WRITABLE = {"/tmp": "mode=1777,size=1g,noexec", "/scratch": "mode=755,uid=10001,gid=10001"}


def run(folder: Path, command: list[str], variables: Mapping[str, str], files: Mapping[str, str]) -> int:
    """Run a command in an image and return its exit code.

    Parameters
    ----------
    folder : Path
        What :mod:`image_build` made.
    command : list of str
        Given to the image's entrypoint.
    variables : Mapping[str, str]
    files : Mapping[str, str]
        Path within to a file or folder of this machine.
    """
    image = json.loads((folder / "image.json").read_text())
    with tempfile.TemporaryDirectory() as name:
        root, seams, hosts = Path(name, "root"), Path(name, "seams"), Path(name, "hosts")
        root.mkdir()
        seams.mkdir()
        # An engine gives a container its own name.
        hosts.write_text(f"127.0.0.1 localhost {os.uname().nodename}\n")
        files = {"/etc/hosts": str(hosts), **files}
        # An engine makes what files are mounted over, too; nothing can be made in the read-only root.
        for place, source in files.items():
            seam = seams / place.lstrip("/")
            seam.parent.mkdir(parents=True, exist_ok=True)
            seam.mkdir() if Path(source).is_dir() else seam.touch()
        for made in (seams, *seams.rglob("*")):
            made.chmod(0o755)
        overlay(root, [seams, *(Path(layer) for layer in image["layers"])])
        with mounted(root, {place: Path(path) for place, path in files.items()}, WRITABLE):
            words = [*image["entrypoint"], *command]
            environment = image["environment"] | dict(variables)
            code = inside(root, words, image["user"], image["folder"], environment, network=False)
        subprocess.run(["umount", root], check=True)
    return code


if __name__ == "__main__":
    given = json.loads(os.environ["CONTAINER"])
    sys.exit(run(Path(sys.argv[1]), sys.argv[2:], given["variables"], given["files"]))
