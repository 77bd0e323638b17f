"""The files of a local folder or of an object store, reached in one way.

Listing, reading, deleting, and writing so that nobody sees half a file. Nothing here
knows about tables, or about what a source delivers.
"""

from __future__ import annotations

import datetime as dt
import errno
import os
import shutil
import stat
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, BinaryIO, Literal, cast
from urllib.parse import unquote, urlsplit

import pyarrow as pa
from pyarrow import fs

from cltv_assets.errors import CltvError, LakeError
from cltv_assets.files.object_store import ArrowS3, ObjectStore, is_s3
from cltv_assets.files.scratch import ScratchFolder
from cltv_assets.files.store_faults import fault_of
from cltv_assets.months import Month

Kind = Literal["file", "folder", "broken", "special"]

_MONTH_PREFIX = "month="
#: Holds deliveries that executors have parsed, below the lake's root, as long as the process runs that asked for it.
LANDING_FOLDER = "_landing"
#: Endings of packed files, and what they are packed with.
PACKED = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd"}
#: Bytes that one read asks for.
_BUFFER = 1 << 20


def month_folder(month: Month) -> str:
    """Return the name of a month's folder: Hive style, the first day of the month."""
    return f"{_MONTH_PREFIX}{month.first_day.isoformat()}"


def month_of_folder(name: str) -> Month | None:
    """Return the month that a folder is named for, or None if it is no month's."""
    try:
        day = dt.date.fromisoformat(name.removeprefix(_MONTH_PREFIX))
    except ValueError:
        return None
    return Month(day) if name.startswith(_MONTH_PREFIX) else None


@dataclass(frozen=True)
class Entry:
    """What lies under one name.

    Parameters
    ----------
    uri : str
        Absolute path, or address with its scheme.
    kind : {'file', 'folder', 'broken', 'special'}
        ``broken`` is a symbolic link to nothing, ``special`` a pipe, socket or device.
    size : int
        Bytes; 0 for what is no file.
    mtime_ns : int
        Nanoseconds since 1970. With the size it tells whether a file changed.
    """

    uri: str
    kind: Kind
    size: int = 0
    mtime_ns: int = 0

    @property
    def name(self) -> str:
        """The last part of the path."""
        return self.uri.rsplit("/", 1)[-1]


class Storage:
    """The files under one root. Paths are absolute, addresses have their scheme.

    Parameters
    ----------
    root : str
        A folder (absolute, relative or ``file://``), or an address in an object store.
    objects : ArrowS3, optional
        How ``s3://`` is reached. Other stores are opened with what their own environment says.
    error : type of CltvError
        What a store's refusal is raised as.

    Raises
    ------
    CltvError
        If the address cannot be opened here. It is of the type ``error``.
    """

    def __init__(self, root: str, objects: ArrowS3 | None = None, error: type[CltvError] = LakeError) -> None:
        scheme, _, rest = root.partition("://") if "://" in root else ("", "", root)
        self.local = scheme in {"", "file"}
        self._error = error
        self._objects = objects if is_s3(root) else None
        self._opened: fs.FileSystem = fs.LocalFileSystem()
        if self.local:
            folder = unquote(urlsplit(root).path) if scheme else root
            #: Absolute path, or address without a slash at its end.
            self.root = str(Path(folder).expanduser().absolute())
            return
        self.root = root.rstrip("/")
        bucket = rest.partition("/")[0]
        self._authority, self._base = f"{scheme}://{bucket}", bucket
        if is_s3(root) and objects is None:
            raise error(
                f"{self.root} is on an object store, which needs the extra s3.",
                "Install it (pip install 'cltv-assets[s3]'), or use a local folder.",
            )
        if objects is None or not is_s3(root):
            try:
                self._opened, self._base = fs.FileSystem.from_uri(self._authority)
            except (pa.ArrowException, OSError) as failed:
                raise error(
                    f"{self.root} cannot be opened: {' '.join(str(failed).split())}.",
                    "Use a local path or s3://bucket/prefix.",
                ) from None

    @property
    def filesystem(self) -> fs.FileSystem:
        """Arrow's file system, with the current credentials."""
        return self._opened if self._objects is None else self._objects.filesystem()

    @property
    def options(self) -> dict[str, str] | None:
        """The storage options for deltalake, with the current credentials."""
        return self._objects.delta_options() if isinstance(self._objects, ObjectStore) else None

    def uri(self, *parts: str) -> str:
        """Return the absolute path or address of something under the root."""
        return "/".join((self.root, *parts))

    def path(self, uri: str) -> str:
        """Return ``uri`` as ``filesystem`` wants it: without the scheme."""
        return uri if self.local else self._base + uri.removeprefix(self._authority)

    @contextmanager
    def asking(self, uri: str) -> Iterator[None]:
        """Turn an object store's refusal into an error that says what to do.

        A missing file stays ``FileNotFoundError``; local errors stay what they are.
        """
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            if self.local:
                raise
            raise fault_of(error, uri, self._error) from error

    def stat(self, uri: str) -> Entry | None:
        """Return what lies under a name, or None if nothing does."""
        if self.local:
            return _local_entry(Path(uri))
        with self.asking(uri):
            return self._entry(self.filesystem.get_file_info(self.path(uri)))

    def entries(self, uri: str, *, recursive: bool = False) -> list[Entry]:
        """Return what a folder holds, by name; nothing if there is no such folder.

        Python lists local folders, because Arrow silently leaves out dangling symbolic links.
        """
        if self.local:
            return list(_local_entries(Path(uri or "/"), recursive))
        selector = fs.FileSelector(self.path(uri), allow_not_found=True, recursive=recursive)
        with self.asking(uri):
            found = map(self._entry, self.filesystem.get_file_info(selector))
        return sorted((entry for entry in found if entry is not None), key=lambda entry: entry.uri)

    def _entry(self, info: fs.FileInfo) -> Entry | None:
        uri = self._authority + str(info.path).removeprefix(self._base)
        if info.type == fs.FileType.NotFound:
            return None
        if info.type == fs.FileType.Directory:
            return Entry(uri, "folder")
        return Entry(uri, "file" if info.type == fs.FileType.File else "special", info.size or 0, info.mtime_ns or 0)

    def size(self, uri: str) -> int | None:
        """Return a file's size in bytes, or None if there is no such file."""
        if self.local:
            found = self.stat(uri)
            return found.size if found is not None and found.kind == "file" else None
        try:
            # This is one request; asking for a name's kind would also list what is below it.
            with self.asking(uri), self.filesystem.open_input_file(self.path(uri)) as stream:
                return int(stream.size())
        except FileNotFoundError:
            return None

    def changed(self, uri: str) -> float | None:
        """Return when a local file came to its place or was last changed; None on an object store.

        In seconds since 1970. A file that was copied or moved there may keep an old time of
        change of its own; the time of its entry is new. An object's time is that of its upload.
        """
        try:
            found = Path(uri).stat() if self.local else None
        except OSError:
            return None
        return None if found is None else max(found.st_mtime, found.st_ctime)

    def real_path(self, uri: str) -> str:
        """Return the path with symbolic links resolved; object stores have none."""
        return str(Path(uri).resolve()) if self.local else uri

    def open(self, uri: str) -> Any:
        """Open a file for reading at any place."""
        return self.filesystem.open_input_file(self.path(uri))

    def open_stream(self, uri: str) -> BinaryIO:
        """Open a file from its beginning, unpacked where its name ends as a packed file's does."""
        packing = next((kind for ending, kind in PACKED.items() if uri.lower().endswith(ending)), None)
        return cast(
            "BinaryIO",
            self.filesystem.open_input_stream(self.path(uri), compression=packing, buffer_size=_BUFFER),
        )

    def head(self, uri: str, count: int) -> bytes:
        """Return the first bytes of a file as they lie, still packed."""
        with self.filesystem.open_input_stream(self.path(uri), compression=None) as stream:
            return bytes(stream.read(count))

    def read(self, uri: str) -> bytes:
        """Return a file's content."""
        with self.asking(uri), self.open(uri) as stream:
            return bytes(stream.read())

    @contextmanager
    def replacing(self, uri: str) -> Iterator[Path]:
        """Give a local file to write, which becomes ``uri`` when the block ends without an error.

        Readers find the old content or the new, never a part. An object store shows an object
        only once it is whole; locally the file lies in the same folder and is renamed.
        """
        if self._objects is not None:
            with ScratchFolder("upload") as folder:
                written = folder / uri.rsplit("/", 1)[-1]
                yield written
                self._objects.upload(written, uri)
            return
        target = Path(uri)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
        try:
            yield temporary
            self.sync([str(temporary)])
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        self.sync([str(target.parent)])

    def write(self, uri: str, content: IO[bytes]) -> None:
        """Write or replace a file whole: readers find the old content or the new, never a part."""
        if self.local:
            with self.replacing(uri) as path, path.open("wb") as file:
                shutil.copyfileobj(content, file, _BUFFER)
            return
        with self.asking(uri), self.filesystem.open_output_stream(self.path(uri)) as stream:
            shutil.copyfileobj(content, stream, _BUFFER)

    def move_in(self, source: Path, uri: str) -> None:
        """Move a local file here. On an object store nobody sees it before it is whole."""
        if self._objects is None:
            shutil.move(source, uri)
        else:
            self._objects.upload(source, uri)
            source.unlink()

    def make_folder(self, uri: str) -> None:
        """Create a folder and its parents; an object store needs none."""
        if self.local:
            Path(uri).mkdir(parents=True, exist_ok=True)

    def delete(self, uri: str) -> bool:
        """Delete a file, or a folder with all it holds; return whether there was one."""
        found, path = self.stat(uri), self.path(uri)
        if found is None:
            return False
        try:
            with self.asking(uri):
                if found.kind == "folder":
                    self.filesystem.delete_dir(path)
                else:
                    self.filesystem.delete_file(path)
        except FileNotFoundError:  # another process was faster
            return False
        return True

    def sync(self, uris: Iterable[str]) -> None:
        """Flush files and folders to disk, so that a power cut does not undo them; all must be there."""
        for uri in uris if self.local else ():
            descriptor = os.open(uri, os.O_RDONLY)
            try:
                os.fsync(descriptor)
            except OSError as error:
                # Some network and FUSE mounts cannot flush a folder; there is nothing better to do there.
                if error.errno not in {errno.EINVAL, errno.ENOTSUP}:
                    raise
            finally:
                os.close(descriptor)

    def parents(self, uri: str) -> Iterator[str]:
        """Yield the folders from the one that holds ``uri`` up to and with the root."""
        while len(uri) > len(self.root):
            uri = uri.rsplit("/", 1)[0]
            yield uri


def _local_entry(path: Path) -> Entry | None:
    name = path.as_posix()
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return Entry(name, "broken") if path.is_symlink() else None
    except OSError:
        # A link that leads back to itself cannot be followed either.
        if path.is_symlink():
            return Entry(name, "broken")
        raise
    if stat.S_ISDIR(found.st_mode):
        return Entry(name, "folder")
    return Entry(name, "file" if stat.S_ISREG(found.st_mode) else "special", found.st_size, found.st_mtime_ns)


def _local_entries(folder: Path, recursive: bool) -> Iterator[Entry]:
    try:
        paths = sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return
    for path in paths:
        entry = _local_entry(path)
        if entry is not None:
            yield entry
            if recursive and entry.kind == "folder" and not path.is_symlink():
                yield from _local_entries(path, recursive)
