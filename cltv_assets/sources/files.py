"""Finds the files that a source path means: a file, a folder, a glob, deliveries by ``{month}``.

Listing only; nothing here opens a file.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from cltv_assets.errors import SourceError
from cltv_assets.files.storage import Entry, Storage
from cltv_assets.months import Month

#: Stands in a path for the partition's YYYY-MM.
MONTH_FIELD = "{month}"

#: A lookahead, so that it also finds months that overlap.
_MONTHS = re.compile(r"(?=(\d{4}-(?:0[1-9]|1[0-2])))")
_MAGIC = re.compile(r"[*?\[]")
#: Largest number of names that an error message quotes.
_SHOWN = 8


@dataclass(frozen=True)
class SourceFile:
    """One file of the source, as listed.

    Parameters
    ----------
    path : str
        Absolute path, or address with its scheme.
    name : str
        Relative to the source's base folder: the ``source_file`` of its lines.
    delivery : Month or None
        The month that ``{month}`` stood for.
    size, mtime_ns : int
        Bytes, and nanoseconds since 1970. A file with the same two counts as unchanged.
    member : str or None
        What of the file this is: a file of an archive, or a sheet of a workbook. It is part of the name.
    """

    path: str
    name: str
    delivery: Month | None
    size: int
    mtime_ns: int
    member: str | None = None

    @property
    def address(self) -> str:
        """The path, with the member: how messages name it."""
        return self.path if self.member is None else f"{self.path}/{self.member}"


def has_months(path: str) -> bool:
    """Return whether the path names one delivery for each month."""
    return MONTH_FIELD in path


def list_files(storage: Storage, path: str, suffixes: tuple[str, ...]) -> list[SourceFile]:
    """List the files that a source path means, by name.

    A folder means every file below it whose name ends in one of ``suffixes``, in
    upper or lower case; a file or a glob means whatever it matches. Names that begin
    with a dot are hidden, and so are folders that begin with an underscore (Spark's
    ``_temporary``, of a job that has not finished). A symbolic link to another file
    of the list is left out, because otherwise ``latest.csv`` would count twice.

    Raises
    ------
    SourceError
        If nothing matches, or a match is not a readable file.
    """
    try:
        base, found = _expand(storage, path, suffixes)
        entries: dict[str, tuple[Entry, str | None]] = {entry.uri: (entry, month) for entry, month in found}
        if not entries:
            if has_months(path) and storage.stat(base) is not None:
                return []
            raise _no_match(storage, path, suffixes)
    except OSError as error:
        raise SourceError(
            f"{error.filename or path} cannot be read: {error.strerror or error}.", "Check its path and permissions."
        ) from None
    files = []
    for entry, month in _without_aliases(storage, entries):
        _require_file(entry)
        name = entry.uri.removeprefix(base).lstrip("/")
        delivery = Month.parse(month) if month else None
        files.append(SourceFile(entry.uri, name, delivery, entry.size, entry.mtime_ns))
    return sorted(files, key=lambda file: file.name)


def list_others(storage: Storage, path: str, files: Iterable[SourceFile]) -> list[str]:
    """List by name what else lies in the folders that a source path means, whatever it is."""
    base, found = _expand(storage, path, ("",))
    taken = {storage.real_path(file.path) for file in files}
    others = {entry.uri for entry, _ in found if storage.real_path(entry.uri) not in taken}
    # Spark leaves a file _SUCCESS in each folder.
    return sorted(uri.removeprefix(base).lstrip("/") for uri in others if not uri.rpartition("/")[2].startswith("_"))


def _no_match(storage: Storage, path: str, suffixes: tuple[str, ...]) -> SourceError:
    """Return the error for a path that matches no file; it says what is there instead."""
    what = f"holds no {' or '.join('*' + suffix for suffix in suffixes)} file"
    at = storage.stat(path)
    problem = f"source.path '{path}' {what if at and at.kind == 'folder' else 'matches no file'}."
    folder = path
    while folder and not ((at := storage.stat(folder)) and at.kind == "folder"):
        folder = folder.rpartition("/")[0] if folder != storage.root else ""
    if not folder:
        return SourceError(problem, "Set source.path to a file, a folder or a glob.")
    names = [
        entry.name + ("/" if entry.kind == "folder" else "")
        for entry in storage.entries(folder)
        if not entry.name.startswith(".")
    ]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    holds = f"holds {', '.join(names[:_SHOWN])}{more}" if names else "is empty"
    return SourceError(problem, f"The folder {folder} {holds}; set source.path to what you mean.")


def _expand(storage: Storage, path: str, suffixes: tuple[str, ...]) -> tuple[str, Iterable[tuple[Entry, str | None]]]:
    """Return the base folder, and each match with the text of its ``{month}``."""
    segments = path.split("/")
    for at, segment in enumerate(segments):
        # A name may itself contain a star or a bracket, so an existing path is taken literally.
        literal = MONTH_FIELD not in segment and not _MAGIC.search(segment)
        if literal or (MONTH_FIELD not in segment and storage.stat("/".join(segments[: at + 1])) is not None):
            continue
        base = "/".join(segments[:at])
        at_base = storage.stat(base or "/")
        if at_base is None or at_base.kind != "folder":
            return base, []
        return base, list(_walk(storage, base, segments[at:], None, suffixes))
    entry = storage.stat(path)
    if entry is None:
        return path, []
    if entry.kind == "folder":
        return path, [(inner, None) for inner in _below(storage, path, suffixes)]
    return path.rpartition("/")[0], [(entry, None)]


def _walk(
    storage: Storage, folder: str, segments: list[str], month: str | None, suffixes: tuple[str, ...]
) -> Iterator[tuple[Entry, str | None]]:
    """Yield what the rest of the pattern matches below ``folder``."""
    segment, rest = segments[0], segments[1:]
    entries = storage.entries(folder)
    if segment == "**":
        if not rest:
            yield from ((entry, month) for entry in _below(storage, folder, suffixes))
            return
        yield from _walk(storage, folder, rest, month, suffixes)
        for entry in entries:
            if entry.kind == "folder" and not _hidden(entry) and not _leads_back(storage, entry.uri):
                yield from _walk(storage, entry.uri, segments, month, suffixes)
        return
    for entry in entries:
        matches, found = _match(segment, entry.name, month)
        if not matches or (entry.name.startswith(".") and not segment.startswith(".")):
            continue
        if rest:
            if entry.kind == "folder":
                yield from _walk(storage, entry.uri, rest, found, suffixes)
        elif entry.kind == "folder":
            yield from ((inner, found) for inner in _below(storage, entry.uri, suffixes))
        else:
            yield entry, found


def _match(segment: str, name: str, month: str | None) -> tuple[bool, str | None]:
    """Return whether a name matches a segment of the pattern, and the text of its ``{month}`` so far.

    A second ``{month}`` must repeat the first. If a star leaves a choice, the last month counts.
    """
    if MONTH_FIELD not in segment:
        return fnmatch.fnmatchcase(name, segment), month
    for found in [month] if month else reversed(_MONTHS.findall(name)):
        if fnmatch.fnmatchcase(name, segment.replace(MONTH_FIELD, found)):
            return True, found
    return False, month


def _below(storage: Storage, folder: str, suffixes: tuple[str, ...]) -> Iterator[Entry]:
    """Yield the data files of a folder and of those below it."""
    entries = storage.entries(folder)
    if any(entry.name == "_delta_log" for entry in entries):
        raise SourceError(
            f"{folder} is a Delta table: its folder also holds files that are no longer part of it.",
            "Set source.kind: delta.",
        )
    for entry in entries:
        if _hidden(entry):
            continue
        if entry.kind == "folder":
            if not _leads_back(storage, entry.uri):
                yield from _below(storage, entry.uri, suffixes)
        elif entry.name.lower().endswith(suffixes):
            yield entry


def _hidden(entry: Entry) -> bool:
    # Excel leaves a file ~$… beside a workbook that somebody has open.
    return entry.name.startswith((".", "~$")) or (entry.kind == "folder" and entry.name.startswith("_"))


def _leads_back(storage: Storage, folder: str) -> bool:
    """Return whether a folder is a link to one that it lies in."""
    parent = storage.real_path(folder.rpartition("/")[0])
    return (parent + "/").startswith(storage.real_path(folder).rstrip("/") + "/")


def _without_aliases(
    storage: Storage, entries: dict[str, tuple[Entry, str | None]]
) -> Iterator[tuple[Entry, str | None]]:
    chosen: dict[str, tuple[Entry, str | None]] = {}
    for path, found in sorted(entries.items()):
        real = storage.real_path(path)
        # Sort the file itself before any link to it.
        if real not in chosen or storage.real_path(path.rpartition("/")[0]) + "/" + found[0].name == real:
            chosen[real] = found
    return iter(chosen.values())


def _require_file(entry: Entry) -> None:
    if entry.kind == "broken":
        raise SourceError(
            f"{entry.uri} is a symbolic link to a file that does not exist.",
            "Put its target back, or remove the link.",
        )
    if entry.kind != "file":
        raise SourceError(f"{entry.uri} is a pipe, socket or device, not a file.", "Move it out of the source.")
    try:
        entry.uri.encode("utf-8")
    except UnicodeEncodeError:
        raise SourceError(
            f"The name of the file {entry.uri.encode('utf-8', 'backslashreplace').decode()} is not valid UTF-8.",
            "Rename the file.",
        ) from None
