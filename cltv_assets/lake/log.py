"""A table's log when it is damaged: what of it stands, and how the rest is moved out of the way.

Delta reads the newest checkpoint and every entry after it. One torn or missing file there hides the whole table,
although the version before it stands. Nothing is deleted: what is damaged goes into a folder of the table.
"""

from __future__ import annotations

import io
import json
import re
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import PostCommitHookProperties

from cltv_assets.files.storage import Storage, month_of_folder
from cltv_assets.months import Month

#: Delta's folder inside a table.
LOG = "_delta_log"
#: For every commit: the log's entries hold the files' digests, so they are never cleaned up. One takes two kilobytes.
KEEP_LOG = PostCommitHookProperties(cleanup_expired_logs=False)
#: Where damaged parts of a log are kept, beside it.
DAMAGED_LOG = "_damaged_log"
_HINT = "_last_checkpoint"
_COMMIT = re.compile(r"(\d{20})\.json")
_CHECKPOINT = re.compile(r"(\d{20})\.checkpoint\.parquet")
_MONTH = re.compile(rb"month=\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True)
class LogDamage:
    """What is wrong with a log.

    Parameters
    ----------
    problem : str
        In words.
    standing : int or None
        The newest version that can be read without the damaged files; None if there is none.
    files : tuple of str
        Names of what hides that version, newest first: damaged files, and those that need them.
    months : tuple of Month
        The months of the versions that are lost, as far as their entries name them.
    """

    problem: str
    standing: int | None
    files: tuple[str, ...]
    months: tuple[Month, ...]


def look_at_log(storage: Storage, uri: str) -> LogDamage | None:
    """Return what is wrong with the log of the table at ``uri``; None if it can be read."""
    log = f"{uri}/{LOG}"
    names = [entry.name for entry in storage.entries(log) if entry.kind == "file"]
    commits, checkpoints = _numbered(_COMMIT, names), _numbered(_CHECKPOINT, names)
    torn = []
    for base in sorted(checkpoints, reverse=True):
        if _is_checkpoint(storage, f"{log}/{checkpoints[base]}"):
            break
        torn.append(base)
    else:
        base = -1
    standing = base
    while standing + 1 in commits and _is_commit(storage, f"{log}/{commits[standing + 1]}"):
        standing += 1
    later = sorted((number for number in commits if number > standing), reverse=True)
    files = [commits[number] for number in later]
    files += [checkpoints[number] for number in torn]
    hinted = _hinted(storage, f"{log}/{_HINT}") if _HINT in names else base
    if hinted not in checkpoints and hinted >= 0:
        problem = f"{_HINT} names the checkpoint of version {hinted}, which is not there"
    elif later:
        number = standing + 1
        problem = f"entry {number:020}.json is " + ("missing" if number not in commits else "no whole JSON")
        rest = len(later) - (number in commits)
        problem += ("", ", and 1 later one stands on it", f", and {rest} later ones stand on it")[min(rest, 2)]
    elif torn:
        problem = f"checkpoint {checkpoints[torn[0]]} is no whole Parquet file"
    else:
        return None
    if _HINT in names and (hinted in torn or hinted not in checkpoints):
        files.append(_HINT)
    named = {found for number in later for found in _MONTH.findall(storage.read(f"{log}/{commits[number]}"))}
    months = sorted(filter(None, (month_of_folder(name.decode()) for name in named)))
    return LogDamage(problem, standing if standing >= 0 else None, tuple(files), tuple(months))


def set_aside(storage: Storage, uri: str, damage: LogDamage) -> str:
    """Move the damaged files out of the log; return the folder that holds them now."""
    folder = f"{uri}/{DAMAGED_LOG}"
    held = {entry.name for entry in storage.entries(folder)}
    storage.make_folder(folder)
    for name in damage.files:
        # A second repair must not overwrite what the first one kept.
        number = next(i for i in range(len(held) + 1) if f"{name}.{i}" not in held)
        storage.write(f"{folder}/{name}.{number}", io.BytesIO(storage.read(f"{uri}/{LOG}/{name}")))
        storage.delete(f"{uri}/{LOG}/{name}")
    return folder


def gaps(storage: Storage, uri: str) -> list[int]:
    """Return the versions whose entries are missing between the oldest and the newest entry."""
    commits = _numbered(_COMMIT, [entry.name for entry in storage.entries(f"{uri}/{LOG}")])
    return sorted(set(range(min(commits, default=0), max(commits, default=0))).difference(commits))


def transactions(storage: Storage, uri: str, version: int) -> dict[str, int]:
    """Return every application transaction of a version of a table, by its name.

    Delta-rs answers for one name at a time and reads the log for each, which takes 40 ms on S3.
    """
    log, found = f"{uri}/{LOG}", dict[str, int]()
    checkpoints = _numbered(_CHECKPOINT, [entry.name for entry in storage.entries(log)])
    base = max((number for number in checkpoints if number <= version), default=-1)
    if base >= 0:
        with storage.asking(log), storage.open(f"{log}/{checkpoints[base]}") as source:
            for row in pq.read_table(source, columns=["txn"]).column("txn").to_pylist():
                if row is not None and row["appId"] is not None:
                    found[row["appId"]] = row["version"]
    for number in range(base + 1, version + 1):
        for action in map(json.loads, storage.read(f"{log}/{number:020}.json").splitlines()):
            if "txn" in action:
                found[action["txn"]["appId"]] = action["txn"]["version"]
    return found


def _numbered(pattern: re.Pattern[str], names: list[str]) -> dict[int, str]:
    return {int(match[1]): name for name in names if (match := pattern.fullmatch(name))}


def _is_commit(storage: Storage, uri: str) -> bool:
    try:
        actions = [json.loads(line) for line in storage.read(uri).splitlines()]
    except ValueError:
        return False
    return bool(actions) and all(isinstance(action, dict) for action in actions)


def _is_checkpoint(storage: Storage, uri: str) -> bool:
    content = io.BytesIO(storage.read(uri))
    try:
        pq.read_table(content)
    except (pa.ArrowException, OSError):
        return False
    return True


def _hinted(storage: Storage, uri: str) -> int:
    """Return the version that the hint names; -1 where it is torn, which Delta ignores."""
    try:
        return int(json.loads(storage.read(uri))["version"])
    except (ValueError, KeyError, TypeError):
        return -1
