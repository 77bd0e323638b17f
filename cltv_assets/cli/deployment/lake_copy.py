"""Copies the lake into one stream, even while months are being written, and loads it again.

Saving copies each table's log first and then the files that the log names. Files are
written before a log names them and never change afterwards, so every file of a copied
log exists. Later commits are not in the copy. Tables are copied from the last step to the
first: the copy may hold a month's transactions without its predictions, which the next
run makes, but no predictions without the tables they were made from.

Loading writes the logs last: an interrupted load leaves no table that looks complete.

Usage: ``python -m cltv_assets.cli.deployment.lake_copy save > lake.tar`` and
``… load < lake.tar``, for the lake that the settings name. The copy has the newest state
of each table; older versions (time travel) are not in it.
"""

from __future__ import annotations

import io
import re
import sys
import tarfile
from typing import BinaryIO
from urllib.parse import unquote

from deltalake import DeltaTable

from cltv_assets.cli.configuration import settings_to_run
from cltv_assets.dagster_defs.resources import object_store_for
from cltv_assets.errors import CltvError, LakeError
from cltv_assets.files.storage import LANDING_FOLDER, Storage
from cltv_assets.lake import Lake
from cltv_assets.settings import Settings
from cltv_assets.tables import lake_schemas

_LOG = "_delta_log"
_COMMIT = re.compile(r"(\d{20})\.json$")
#: Name of an archive's last member.
_END = "end-of-lake"
#: How often a log is read again after it was shortened while it was read.
_ATTEMPTS = 5


def open_storage(settings: Settings) -> Storage:
    """Return the files of the configured lake."""
    return Lake(settings.lake_root, object_store_for(settings)).storage


def save(storage: Storage, tables: list[str], target: BinaryIO) -> dict[str, int]:
    """Write the lake to a stream, as a tar archive.

    Parameters
    ----------
    storage : Storage
        The lake's files.
    tables : list of str
        Names of the Delta tables, upstream ones first.
    target : binary file
        Where the archive goes.

    Returns
    -------
    dict of str to int
        Each saved table's version.

    Raises
    ------
    LakeError
        If a file that a log names is missing.
    """
    versions: dict[str, int] = {}
    with tarfile.open(fileobj=target, mode="w|") as archive:
        for table in reversed(tables):
            log = _read_log(storage, table)
            if not log:
                continue
            versions[table] = max(int(match[1]) for match in map(_COMMIT.search, log) if match)
            for name, content in log.items():
                _add(archive, f"{table}/{_LOG}/{name}", io.BytesIO(content), len(content))
        for table, version in versions.items():
            named = DeltaTable(storage.uri(table), version=version, storage_options=storage.options)
            # The log holds its paths quoted, as URLs.
            for path in sorted(unquote(action) for action in named.get_add_actions().column("path").to_pylist()):
                _copy_out(storage, f"{table}/{path}", archive, needed=True)
        for path in _plain_files(storage, set(tables)):
            _copy_out(storage, path, archive, needed=False)
        # Otherwise a stream that was cut between two files would look complete.
        _add(archive, _END, io.BytesIO(), 0)
    return versions


def load(storage: Storage, source: BinaryIO) -> int:
    """Write an archive's files into an empty lake and return how many there were.

    Raises
    ------
    LakeError
        If the lake holds something, or the stream is no such archive.
    """
    if storage.entries(storage.root):
        raise LakeError(
            f"The lake {storage.root} holds something already.", "Name an empty one, or move what is there away."
        )
    logs: dict[str, bytes] = {}
    count = 0
    whole = False
    try:
        with tarfile.open(fileobj=source, mode="r|") as archive:
            for member in archive:
                content = archive.extractfile(member)
                if content is None or ".." in member.name.split("/") or member.name.startswith("/"):
                    raise tarfile.ReadError(f"it holds {member.name}")
                if member.name == _END:
                    whole = True
                    continue
                count += 1
                if f"/{_LOG}/" in member.name:
                    logs[member.name] = content.read()
                else:
                    storage.write(storage.uri(member.name), content)
        if not whole:
            raise tarfile.ReadError("it breaks off")
    except tarfile.TarError as error:
        raise LakeError(f"The stream is no whole copy of a lake: {error}.", "Take another backup.") from None
    # Oldest commit first: a reader never finds a log with a gap.
    for name, commit in sorted(logs.items()):
        storage.write(storage.uri(name), io.BytesIO(commit))
    return count


def _read_log(storage: Storage, table: str) -> dict[str, bytes]:
    """Return the files of a table's log; nothing where there is no table."""
    folder = storage.uri(table, _LOG)
    for _ in range(_ATTEMPTS):
        try:
            # Without the hint at the newest checkpoint: it is optional, and may name one that is not listed here.
            names = sorted(
                entry.name
                for entry in storage.entries(folder)
                if entry.kind == "file" and entry.name != "_last_checkpoint"
            )
            return {name: storage.read(f"{folder}/{name}") for name in names if name.endswith((".json", ".parquet"))}
        except FileNotFoundError:  # a checkpoint was made and older commits were removed
            continue
    raise LakeError(f"The log of {table} changes faster than it can be read.", "Take the backup at a quieter time.")


def _plain_files(storage: Storage, tables: set[str]) -> list[str]:
    """Return the files outside the tables, the reports, relative to the root."""
    found = []
    for folder in storage.entries(storage.root):
        if folder.kind == "folder" and folder.name not in tables | {LANDING_FOLDER}:
            entries = storage.entries(storage.uri(folder.name), recursive=True)
            found += [entry.uri.removeprefix(storage.root + "/") for entry in entries if entry.kind == "file"]
    return sorted(found)


def _copy_out(storage: Storage, path: str, archive: tarfile.TarFile, *, needed: bool) -> None:
    uri = storage.uri(path)
    try:
        with storage.asking(uri), storage.open(uri) as stream:
            _add(archive, path, stream, stream.size())
    except FileNotFoundError:
        if needed:
            raise LakeError(
                f"{uri} is missing, although its table's log names it.",
                "Run that month again before taking a backup.",
            ) from None


def _add(archive: tarfile.TarFile, name: str, content: BinaryIO, size: int) -> None:
    member = tarfile.TarInfo(name)
    member.size = size
    archive.addfile(member, content)


def main(action: str) -> None:
    """Save to the standard output, or load from the standard input."""
    settings = settings_to_run(None)
    storage = open_storage(settings)
    if action == "save":
        versions = save(storage, [schema.name for schema in lake_schemas(settings.horizons_months)], sys.stdout.buffer)
        sys.stderr.write(f"{len(versions)} tables of {storage.root} saved.\n")
    else:
        sys.stderr.write(f"{load(storage, sys.stdin.buffer)} files written to {storage.root}.\n")


if __name__ == "__main__":
    if sys.argv[1:] not in (["save"], ["load"]):
        sys.exit("Usage: python -m cltv_assets.cli.deployment.lake_copy save > FILE, or load < FILE")
    try:
        main(sys.argv[1])
    except CltvError as error:
        sys.exit(str(error))
