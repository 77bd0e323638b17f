"""Where the lake's bytes live: a local folder or an object store.

Only what Delta does not do for us: listing, deleting, writing a small file
atomically, and flushing to disk. Nothing here knows about tables.
"""

from __future__ import annotations

import datetime as dt
import errno
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from pyarrow import fs

from cltv_assets.errors import LakeError
from cltv_assets.files.object_store import ObjectStore
from cltv_assets.files.store_faults import fault_of
from cltv_assets.months import Month

#: What to do about a root that cannot be used; every message about one ends so.
CHOOSE_ROOT = "set lake_uri in cltv.yaml (or CLTV_LAKE_URI) to another folder"

_MONTH_PREFIX = "month="


def month_folder(month: Month) -> str:
    """Return the name of a month's folder: Hive style, the first day of the month."""
    return f"{_MONTH_PREFIX}{month.first_day.isoformat()}"


def month_of_folder(name: str) -> Month | None:
    """Return the month that a folder is named for, or None if it is no month's."""
    try:
        return (
            Month(dt.date.fromisoformat(name.removeprefix(_MONTH_PREFIX))) if name.startswith(_MONTH_PREFIX) else None
        )
    except ValueError:
        return None


class Storage:
    """The files under one root.

    Parameters
    ----------
    root : str
        A folder (absolute, relative or ``file://``) or an object store's URI.
    objects : ObjectStore, optional
        How to reach it, where ``root`` is not a folder.
    """

    def __init__(self, root: str, objects: ObjectStore | None = None) -> None:
        scheme = urlsplit(root).scheme if "://" in root else ""
        self.local = scheme in {"", "file"}
        if scheme == "file":
            root = unquote(urlsplit(root).path)
        #: Absolute path, or URI without a slash at its end.
        self.root = str(Path(root).expanduser().absolute()) if self.local else root.rstrip("/")
        self._local_files = fs.LocalFileSystem()
        self._objects = objects
        if not self.local and objects is None:
            raise LakeError(
                f"The lake {self.root} is on an object store, which needs the extra s3.",
                f"Install it (pip install 'cltv-assets[s3]'), or {CHOOSE_ROOT}.",
            )
        if self.local and (unquote(self.root) != self.root or "#" in self.root or "?" in self.root):
            # delta-rs takes its paths for URLs in places: it would write to one folder and read from another, or
            # find no history. Better no lake than one that loses track of its commits.
            raise LakeError(
                f"The lake's folder {self.root} holds '#', '?' or a percent sign followed by two hexadecimal digits, "
                "which Delta's paths cannot express.",
                f"Rename the folder, or {CHOOSE_ROOT}.",
            )

    @property
    def filesystem(self) -> fs.FileSystem:
        """The root's file system, with the credentials of now."""
        return self._local_files if self._objects is None or self.local else self._objects.filesystem()

    @property
    def options(self) -> dict[str, str] | None:
        """As deltalake takes them, with the credentials of now."""
        return None if self._objects is None or self.local else self._objects.delta_options()

    @property
    def bucket(self) -> str:
        """The object store's bucket."""
        return urlsplit(self.root).netloc

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
            raise fault_of(error, uri) from error

    def uri(self, *parts: str) -> str:
        """Return the absolute path or URI of something under the root."""
        return "/".join((self.root, *parts))

    def path(self, uri: str) -> str:
        """Return ``uri`` as ``filesystem`` wants it: without the scheme."""
        return uri if self.local else uri.split("://", 1)[1]

    def entries(self, uri: str, *, recursive: bool = False) -> list[fs.FileInfo]:
        """Return what a folder holds; nothing if there is no such folder."""
        selector = fs.FileSelector(self.path(uri), allow_not_found=True, recursive=recursive)
        with self.asking(uri):
            found: list[fs.FileInfo] = self.filesystem.get_file_info(selector)
        return found

    def size(self, uri: str) -> int | None:
        """Return a file's size in bytes, or None if there is no such file."""
        if self.local:
            info = self.info(uri)
            return int(info.size) if info.type == fs.FileType.File else None
        try:
            # One request; asking what a name is would also list what lies below it.
            with self.asking(uri), self.filesystem.open_input_file(self.path(uri)) as stream:
                return int(stream.size())
        except FileNotFoundError:
            return None

    def info(self, uri: str) -> fs.FileInfo:
        """Return what a path is: a file, a folder, or nothing."""
        with self.asking(uri):
            return self.filesystem.get_file_info(self.path(uri))

    def make_folder(self, uri: str) -> None:
        """Create a folder and its parents; an object store needs none."""
        if self.local:
            self.filesystem.create_dir(uri, recursive=True)

    def delete(self, uri: str) -> bool:
        """Delete a file, or a folder with all it holds; return whether there was one."""
        path = self.path(uri)
        kind = self.info(uri).type
        try:
            with self.asking(uri):
                if kind == fs.FileType.File:
                    self.filesystem.delete_file(path)
                elif kind == fs.FileType.Directory:
                    self.filesystem.delete_dir(path)
        except FileNotFoundError:  # another process was faster
            return False
        return bool(kind != fs.FileType.NotFound)

    def read(self, uri: str) -> bytes:
        """Return a file's content."""
        with self.asking(uri), self.filesystem.open_input_file(self.path(uri)) as stream:
            return bytes(stream.read())

    def move_in(self, source: Path, uri: str) -> None:
        """Move a local file to the root. On an object store nobody sees it before it is whole."""
        if self._objects is None or self.local:
            shutil.move(source, uri)
        else:
            self._objects.upload(source, uri)
            source.unlink()

    def write_atomically(self, uri: str, content: bytes) -> None:
        """Write a small file: readers find the old content or the new, never a part.

        An object store shows an object only once it is whole. Locally that takes
        a temporary file in the same folder and a rename.
        """
        if not self.local:
            with self.asking(uri), self.filesystem.open_output_stream(self.path(uri)) as stream:
                stream.write(content)
            return
        target = Path(uri)
        temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}.tmp")
        try:
            temporary.write_bytes(content)
            self.sync([str(temporary)])
            temporary.replace(target)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        self.sync([str(target.parent)])

    def sync(self, uris: Iterable[str]) -> None:
        """Flush files and folders to disk, so that a power cut does not undo them.

        Raises
        ------
        FileNotFoundError
            If one of them is gone.
        """
        if not self.local or os.name == "nt":  # Windows opens no folders and flushes names by itself
            return
        for uri in uris:
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
