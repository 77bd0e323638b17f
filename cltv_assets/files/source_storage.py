"""Where source files lie: a local folder, or any filesystem that pyarrow knows.

Only what listing and reading need. Local folders are listed by Python, because
pyarrow silently leaves out dangling symbolic links; the bytes always come
through pyarrow, which also unpacks ``.gz``.
"""

from __future__ import annotations

import io
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

import pyarrow as pa
import pyarrow.fs as pafs

from cltv_assets.errors import SourceError
from cltv_assets.files.object_store import ObjectStore
from cltv_assets.files.store_faults import explain

Kind = Literal["file", "folder", "broken", "special"]

#: Bytes that one read asks for.
_BUFFER = 1 << 20


@dataclass(frozen=True)
class Entry:
    """One name in a folder.

    Parameters
    ----------
    path : str
        Full path, with ``/``.
    kind : {'file', 'folder', 'broken', 'special'}
        ``broken`` is a symbolic link to nothing, ``special`` a pipe, socket or device.
    size, mtime_ns : int
        Together they tell whether a file changed.
    """

    path: str
    kind: Kind
    size: int = 0
    mtime_ns: int = 0

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.path.rsplit("/", 1)[-1]


class Storage:
    """One filesystem.

    Parameters
    ----------
    filesystem : pyarrow.fs.FileSystem or callable, optional
        ``None`` for the local one; a function that returns one whose credentials are
        those of now.
    """

    def __init__(self, filesystem: Any = None) -> None:
        self.is_local = filesystem is None
        self._given = pafs.LocalFileSystem() if filesystem is None else filesystem

    @property
    def _filesystem(self) -> Any:
        return self._given() if callable(self._given) else self._given

    def stat(self, path: str) -> Entry | None:
        """Return what ``path`` is now, ``None`` where nothing is."""
        if self.is_local:
            return _local_entry(Path(path))
        with _asking(path):
            return _remote_entry(self._filesystem.get_file_info(path))

    def changed(self, path: str) -> float | None:
        """Return when a local file came to its place or was last changed; None on other filesystems.

        In seconds since 1970. A file that was copied or moved there may keep an old time of
        change of its own; the time of its entry is new. An object's time is that of its upload.
        """
        if not self.is_local:
            return None
        try:
            found = Path(path).stat()
        except OSError:
            return None
        return max(found.st_mtime, found.st_ctime)

    def list_folder(self, path: str) -> list[Entry]:
        """Return a folder's entries by name, without those of its folders."""
        if self.is_local:
            try:
                names = sorted(Path(path or "/").iterdir())
            except OSError as error:
                raise SourceError(
                    f"The folder {path} cannot be listed: {error.strerror or error}.", "Check its path and permissions."
                ) from None
            found = [_local_entry(name) for name in names]
        else:
            with _asking(path):
                found = [_remote_entry(info) for info in self._filesystem.get_file_info(pafs.FileSelector(path))]
        return sorted((entry for entry in found if entry is not None), key=lambda entry: entry.path)

    def real_path(self, path: str) -> str:
        """Return the path with symbolic links resolved."""
        return str(Path(path).resolve()) if self.is_local else path

    @contextmanager
    def reading(self, path: str) -> Iterator[None]:
        """Guard a file while it is read.

        Raises
        ------
        SourceError
            If it is gone, unreadable, or not the same at the end as at the start:
            half of a delivery that is still being copied is worse than none.
        """
        before = self.stat(path)
        if before is None or before.kind == "broken":
            raise _vanished(path)
        try:
            yield
        except FileNotFoundError:
            raise _vanished(path) from None
        except PermissionError:
            raise SourceError(f"{path} may not be read: permission denied.", "Grant read permission on it.") from None
        except OSError as error:
            if not self.is_local:
                raise _store_fault(error, path) from None
            raise SourceError(
                f"{path} cannot be read: {' '.join(str(error).split())}.", "Deliver the file again, whole and readable."
            ) from None
        after = self.stat(path)
        if after is None:
            raise _vanished(path)
        if (after.size, after.mtime_ns) != (before.size, before.mtime_ns):
            raise SourceError(
                f"{path} changed while it was read ({before.size:,} bytes at first, {after.size:,} at the end).",
                "Try again once its delivery is complete; write deliveries under another name and rename them.",
            )

    def open_stream(self, path: str) -> BinaryIO:
        """Open a file from its beginning, unpacked where its name ends in ``.gz``."""
        stream = self._filesystem.open_input_stream(path, compression="detect", buffer_size=_BUFFER)
        return cast("BinaryIO", stream)

    def open_text(self, path: str, encoding: str, errors: str = "strict") -> io.TextIOWrapper:
        """Open a file as text whose lines keep their own endings.

        Raises
        ------
        SourceError
            If ``encoding`` is no encoding's name.
        """
        # Plain utf-8 would take the mark that Excel writes for part of the first header.
        name = "utf-8-sig" if encoding.lower().replace("_", "-") in {"utf-8", "utf8"} else encoding
        stream = self.open_stream(path)
        try:
            return io.TextIOWrapper(stream, encoding=name, errors=errors, newline="")
        except LookupError:
            stream.close()
            raise SourceError(
                f"source.encoding '{encoding}' is not the name of a text encoding.",
                "Use for example utf-8, cp1252, latin-1 or utf-16.",
            ) from None

    def open_random(self, path: str) -> Any:
        """Open a file for reading at any place."""
        return self._filesystem.open_input_file(path)

    def head(self, path: str, count: int) -> bytes:
        """Return the first bytes of a file as they lie, still packed."""
        with self._filesystem.open_input_stream(path, compression=None) as stream:
            return cast("bytes", stream.read(count))


def storage_of(path: str, objects: ObjectStore | None = None) -> tuple[Storage, str]:
    """Return the filesystem of a path or URI, and the path in it.

    Parameters
    ----------
    path : str
    objects : ObjectStore, optional
        How ``s3://`` addresses are reached.

    Raises
    ------
    SourceError
        If the URI's scheme is unknown.
    """
    if "://" not in path:
        return Storage(), path
    scheme, _, rest = path.partition("://")
    if scheme == "file":
        return Storage(), "/" + rest.lstrip("/")
    if scheme == "s3" and objects is not None:
        return Storage(objects.filesystem), rest.rstrip("/")
    # Of the rest only the bucket is a URI: stars and {month} are none of its characters.
    bucket, _, key = rest.partition("/")
    try:
        filesystem, root = pafs.FileSystem.from_uri(f"{scheme}://{bucket}")
    except (pa.ArrowException, OSError) as error:
        raise SourceError(
            f"source.path '{path}' cannot be opened: {' '.join(str(error).split())}.",
            "Use a local path or s3://bucket/prefix.",
        ) from None
    return Storage(filesystem), f"{root}/{key}".rstrip("/")


@contextmanager
def _asking(path: str) -> Iterator[None]:
    """Turn an object store's refusal into an error that says what to do."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _store_fault(error, path) from None


def _store_fault(error: OSError, path: str) -> SourceError:
    uri = f"s3://{path}"
    problem, remedy = explain(error, uri)
    return SourceError(f"source.path: {uri}: {problem} ({' '.join(str(error).split())}).", remedy)


def _local_entry(path: Path) -> Entry | None:
    name = path.as_posix()
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return Entry(name, "broken") if path.is_symlink() else None
    except OSError as error:
        # A link that leads back to itself cannot be followed either.
        if path.is_symlink():
            return Entry(name, "broken")
        raise SourceError(f"{name} cannot be read: {error.strerror or error}.", "Check its permissions.") from None
    if stat.S_ISDIR(found.st_mode):
        return Entry(name, "folder")
    kind: Kind = "file" if stat.S_ISREG(found.st_mode) else "special"
    return Entry(name, kind, found.st_size, found.st_mtime_ns)


def _remote_entry(info: Any) -> Entry | None:
    if info.type == pafs.FileType.NotFound:
        return None
    if info.type == pafs.FileType.Directory:
        return Entry(info.path, "folder")
    kind: Kind = "file" if info.type == pafs.FileType.File else "special"
    return Entry(info.path, kind, info.size or 0, info.mtime_ns or 0)


def _vanished(path: str) -> SourceError:
    return SourceError(
        f"{path} was there when the source was listed and is gone now.",
        "Try again once deliveries have stopped moving, or put the file back.",
    )
