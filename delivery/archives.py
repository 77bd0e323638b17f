"""Archives whose bytes depend on their contents only, and what differs between two of them."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zipfile
from pathlib import Path


def digest(path: Path) -> str:
    """Return a file's SHA-256."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def normalise_sdist(path: Path, epoch: int) -> None:
    """Write a ``.tar.gz`` anew: sorted, everything root's and of one time, permissions the same for all.

    setuptools gives the wheel the time of ``SOURCE_DATE_EPOCH`` but not the source archive, whose
    generated files and gzip header carry the time of the build, and all of whose members its user.
    """
    plain = io.BytesIO()
    with (
        tarfile.open(path) as source,
        tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as target,
    ):
        for member in sorted(source.getmembers(), key=lambda member: member.name):
            if not (member.isfile() or member.isdir()):
                raise ValueError(f"{path.name} holds {member.name}, which is neither a file nor a folder")
            entry = tarfile.TarInfo(member.name)
            entry.type, entry.size, entry.mtime = member.type, member.size, epoch
            entry.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            target.addfile(entry, source.extractfile(member))
    with path.open("wb") as file, gzip.GzipFile(filename="", mode="wb", fileobj=file, mtime=epoch) as packed:
        packed.write(plain.getvalue())


def members(path: Path) -> dict[str, tuple[str, int, str]]:
    """Return each member's time, permissions and SHA-256, by name."""
    if path.suffix == ".whl":
        with zipfile.ZipFile(path) as wheel:
            return {
                entry.filename: (
                    "{}-{:02}-{:02} {:02}:{:02}:{:02}".format(*entry.date_time),
                    entry.external_attr >> 16,
                    hashlib.sha256(wheel.read(entry)).hexdigest(),
                )
                for entry in wheel.infolist()
            }
    with tarfile.open(path) as sdist:
        return {
            entry.name: (
                str(entry.mtime),
                entry.mode,
                hashlib.sha256(file.read() if (file := sdist.extractfile(entry)) else b"").hexdigest(),
            )
            for entry in sdist.getmembers()
        }


def differences(one: Path, other: Path) -> list[str]:
    """Say what differs between two archives, a line each; empty if their bytes are equal."""
    if one.read_bytes() == other.read_bytes():
        return []
    left, right = members(one), members(other)
    said = [f"{name}: only in one of them" for name in sorted(left.keys() ^ right.keys())]
    for name in sorted(left.keys() & right.keys()):
        for what, mine, theirs in zip(("time", "permissions", "contents"), left[name], right[name], strict=True):
            if mine != theirs:
                said.append(f"{name}: {what} {mine} and {theirs}")
    return said or ["the members are equal; their order or compression differs"]
