"""Published files that are no longer what was published: gone, shorter, or with other bytes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
from deltalake import DeltaTable

from cltv_assets.columns import MONTH
from cltv_assets.files.storage import Storage
from cltv_assets.months import Month

#: Bytes read at once: a request each on an object store.
CHUNK = 8 << 20


@dataclass(frozen=True, order=True)
class PublishedFile:
    """A file of a table, as the log names it: ``path`` is relative to the table."""

    month: Month
    path: str
    rows: int
    bytes: int
    #: When it was committed, in milliseconds since 1970.
    at: int


@dataclass(frozen=True)
class Damage:
    """A published file that is not what was published.

    Parameters
    ----------
    table : str
        Name of the table.
    month : Month
        Whose rows it held.
    file : str
        Path or address.
    what : str
        What is wrong with it, in words.
    rows : int
        Rows that it held.
    """

    table: str
    month: Month
    file: str
    what: str
    rows: int


@dataclass(frozen=True)
class Verified:
    """What a look at the bytes of published files found.

    ``undigested`` files were published without a digest, by an earlier release: only their sizes were compared.
    """

    files: int
    undigested: int
    damage: list[Damage]


def digest_of(storage: Storage, uri: str) -> str:
    """Return the digest of a file's bytes, as `digest_in` gives it."""
    with storage.asking(uri), storage.open(uri) as source:
        return digest_in(source)


def digest_in(source: Any) -> str:
    """Return the digest of all that can be read from an open file: BLAKE2b of 16 bytes in hexadecimal."""
    digest = hashlib.blake2b(digest_size=16)
    while chunk := source.read(CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


def files_of(table: DeltaTable) -> list[PublishedFile]:
    """Return the files that a version of a table names, by month."""
    added = pa.table(table.get_add_actions(flatten=True))
    names = f"partition.{MONTH}", "path", "num_records", "size_bytes", "modification_time"
    columns = (added[name].to_pylist() for name in names)
    return sorted(PublishedFile(Month(first_day), *rest) for first_day, *rest in zip(*columns, strict=True))


def compare(
    storage: Storage,
    uri: str,
    table: str,
    named: Sequence[PublishedFile],
    digests: Mapping[str, str] | None,
    read: Container[str] | None,
    looking: Callable[[Month], object],
) -> Verified:
    """Compare files with what a table's log says of them.

    Existence and size take one listing of the folder. With ``digests``, by the files' paths, the files are read, too:
    all, or those that ``read`` holds. ``looking`` is called with the month before each.
    """
    sizes = {entry.uri: entry.size for entry in storage.entries(uri, recursive=True) if entry.kind == "file"}
    found, undigested = [], 0
    for file in named:
        address = f"{uri}/{file.path}"
        what = _wrong_size(sizes.get(address), file.bytes)
        if digests is not None and not what and (read is None or address in read):
            looking(file.month)
            digest = digests.get(file.path)
            undigested += digest is None
            if digest is not None and digest != digest_of(storage, address):
                what = "has other bytes than were published"
        if what:
            found.append(Damage(table, file.month, address, what, file.rows))
    return Verified(len(named), undigested, found)


def _wrong_size(found: int | None, published: int) -> str:
    if found is None:
        return "is missing"
    if found == published:
        return ""
    return f"is empty, instead of {published:,} bytes" if not found else f"has {found:,} bytes instead of {published:,}"
