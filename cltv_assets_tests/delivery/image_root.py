"""Mounts: a stage's files as one root folder, with what a container has beside them.

Everything here is called in a mount namespace of its own (``unshare --mount``), so that no
mount outlives the process that made it. Linux, as root.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

DEVICES = ("null", "zero", "full", "random", "urandom", "tty")


def mount(*arguments: str | Path) -> None:
    """Call mount(8)."""
    subprocess.run(["mount", *arguments], check=True)


def overlay(root: Path, lowers: Sequence[Path], upper: Path | None = None, work: Path | None = None) -> None:
    """Mount layers, the topmost first. Without ``upper`` nobody can write, root neither."""
    options = "lowerdir=" + ":".join(map(str, lowers))
    if upper is not None:
        options += f",upperdir={upper},workdir={work}"
    mount("-t", "overlay", "overlay", "-o", options, root)


@contextmanager
def mounted(root: Path, binds: Mapping[str, Path], tmpfs: Mapping[str, str]) -> Iterator[None]:
    """Give a root /proc, /dev, folders of this machine and fresh ones; take them away again.

    Parameters
    ----------
    root : Path
    binds : Mapping[str, Path]
        Path within to a file or folder of this machine.
    tmpfs : Mapping[str, str]
        Path within to options of a fresh file system.
    """
    made: list[Path] = []
    try:
        for place, options in {"/dev": "mode=755", **tmpfs}.items():
            mount("-t", "tmpfs", "-o", options, "tmpfs", _place(root, place, made, folder=True))
        for device in DEVICES:
            (root / "dev" / device).touch()
            mount("--bind", f"/dev/{device}", root / "dev" / device)
        for number, stream in enumerate(("stdin", "stdout", "stderr")):
            (root / "dev" / stream).symlink_to(f"/proc/self/fd/{number}")
        (root / "dev/fd").symlink_to("/proc/self/fd")
        (root / "dev/shm").mkdir()
        (root / "dev/shm").chmod(0o1777)
        for place, source in binds.items():
            mount("--bind", source, _place(root, place, made, folder=source.is_dir()))
        yield
    finally:
        subprocess.run(["umount", "--recursive", root / "dev"], check=True)
        for place in reversed((*tmpfs, *binds)):
            subprocess.run(["umount", root / place.lstrip("/")], check=True)
        for path in reversed(made):
            path.rmdir() if path.is_dir() else path.unlink()


def _place(root: Path, place: str, made: list[Path], *, folder: bool) -> Path:
    """Return where to mount, made where the image has nothing there."""
    target = root / place.lstrip("/")
    for missing in [parent for parent in reversed(target.parents) if not parent.exists()]:
        missing.mkdir()
        made.append(missing)
    if not target.exists():
        target.mkdir() if folder else target.touch()
        made.append(target)
    return target


def user_of(root: Path, user: str) -> tuple[int, int, str]:
    """Return user id, group id and home of an image's user, by name or number, as an engine does."""
    for line in (root / "etc/passwd").read_text().splitlines():
        name, _, uid, gid, _, home, _ = line.split(":")
        if user in (name, uid):
            return int(uid), int(gid), home
    raise LookupError(f"the image has no user {user}")


def inside(
    root: Path, command: Sequence[str], user: str, folder: str, environment: Mapping[str, str], *, network: bool
) -> int:
    """Run a command in a root, in process ids (and a network of loopback alone) of its own; return its exit code."""
    uid, gid, home = user_of(root, user)
    variables = [f"{name}={value}" for name, value in ({"HOME": home} | dict(environment)).items()]
    namespaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child"]
    prepare = 'mount -t proc proc "$0/proc" && '
    if not network:
        namespaces.append("--net")
        prepare += "ip link set lo up && "
    # As deploy/compose.yaml has it: no capability, and no way to get one.
    drop = ["setpriv", f"--reuid={uid}", f"--regid={gid}", "--clear-groups", "--no-new-privs", "--bounding-set=-all"]
    enter = ["/usr/sbin/chroot", str(root), *(drop if uid else []), "/usr/bin/env", "--chdir", folder, *command]
    words = [*namespaces, "sh", "-c", prepare + 'exec env -i "$@"', str(root), *variables, *enter]
    return subprocess.run(words, check=False).returncode


def pip_surroundings() -> tuple[dict[str, str], dict[str, Path]]:
    """Return what lets pip reach a registry from here: this machine's variables, and the files that they name.

    They belong to the machine. Nothing of them may come into the image.
    """
    names = ("PIP_", "SSL_CERT_", "REQUESTS_CA_", "CURL_CA_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")
    variables = {name: value for name, value in os.environ.items() if name.upper().startswith(names)}
    named = [value for value in variables.values() if value.startswith("/") and Path(value).exists()]
    files = [*named, "/etc/resolv.conf", "/etc/hosts", "/etc/ssl/certs", "/etc/pip.conf"]
    there = [Path(path) for path in dict.fromkeys(files) if Path(path).exists()]
    # A file in a folder that is given comes with it.
    return variables, {str(path): path for path in there if not any(parent in there for parent in path.parents)}
