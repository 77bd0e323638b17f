"""Files of a month that no reader sees yet.

They lie in the table's own folder, so publishing them moves nothing, but Delta's
log does not name them until the commit.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import pyarrow as pa
import pyarrow.parquet as pq

from cltv_assets.columns import MONTH, TableSchema
from cltv_assets.errors import LakeError
from cltv_assets.files.probe import CHOOSE_ROOT
from cltv_assets.files.storage import Storage, month_folder
from cltv_assets.lake.damage import CHUNK, digest_in
from cltv_assets.lake.fence import Fence
from cltv_assets.lake.opening import column_differences
from cltv_assets.months import Month

_ENGINE_FAULT = "This is a fault in the step that writes the table, not in the data: please report it."


@dataclass(frozen=True)
class StagedFile:
    """One parquet file of a sealed month, as its footer describes it.

    Parameters
    ----------
    path : str
        Absolute path or URI.
    bytes : int
        Size of the file.
    digest : str
        Of its bytes, as `digest_in` gives it.
    rows : int
        Rows in the file.
    null_counts : dict
        Nulls by column; columns whose writer did not count them are missing.
    """

    path: str
    bytes: int
    digest: str
    rows: int
    null_counts: dict[str, int]

    def delta_statistics(self, columns: int) -> dict[str, object]:
        """Return what Delta's log says of the file: counts, and no bounds.

        Readers skip files by the bounds, so a wrong one hides rows, and exact ones exist for
        integers and dates alone: parquet's float bounds leave NaN out, Delta cuts timestamps to
        milliseconds, writers shorten text. Bounds for some columns are worse than none: for a
        column without them ``DeltaTable.to_pyarrow_dataset()`` (deltalake 1.6) compares with
        null, and every filter on that column finds nothing.
        """
        counted = len(self.null_counts) == columns
        return {"numRecords": self.rows, **({"nullCount": self.null_counts} if counted else {})}


@dataclass(frozen=True)
class StagedMonth:
    """A month that is written and not yet published. Read its ``files`` to check it.

    Parameters
    ----------
    schema : TableSchema
        The table it is for.
    month : Month
        Which month.
    files : tuple of StagedFile
        The written files; empty for an empty month.
    base_version : int
        The month's publication count when the writing began; 0 for a new month.
    staging : Staging
        Where the files came from.
    """

    schema: TableSchema
    month: Month
    files: tuple[StagedFile, ...]
    base_version: int
    staging: Staging

    @property
    def paths(self) -> list[str]:
        """Absolute paths or URIs of the files, for an engine to read."""
        return [file.path for file in self.files]

    @property
    def rows(self) -> int:
        """Rows in all files."""
        return sum(file.rows for file in self.files)

    @property
    def bytes(self) -> int:
        """Size of all files."""
        return sum(file.bytes for file in self.files)

    def discard(self) -> None:
        """Delete the files, unless they are or may be published."""
        self.staging.discard()


class Staging:
    """A place for the files of one month. Get one from ``LakeTable.begin``."""

    def __init__(self, storage: Storage, schema: TableSchema, month: Month, base_version: int, fence: Fence) -> None:
        self.schema = schema
        self.month = month
        #: As it was when the making of the month began.
        self.fence = fence
        #: Absolute folder, which exists.
        self.directory = storage.uri(schema.name, month_folder(month))
        #: True from the first try to commit until it is certain that it failed.
        #: Files that a log may name are never deleted.
        self.maybe_published = False
        self._storage = storage
        self._base_version = base_version
        self._handed_out: list[str] = []
        self._id = uuid.uuid4().hex
        storage.make_folder(self.directory)

    def new_file(self) -> str:
        """Return the path of a parquet file for an engine to write.

        A folder of parquet files under that name, as Spark writes it, is as good.
        """
        path = f"{self.directory}/{self._id}-part-{len(self._handed_out)}.parquet"
        self._handed_out.append(path)
        return path

    def adopt(self, file: Path) -> None:
        """Move in a local parquet file that has the table's columns already."""
        try:
            self._storage.move_in(file, self.new_file())
        except OSError as error:
            raise LakeError(
                f"Cannot write {self.directory}: {error.strerror or error}.",
                f"Look whether the disk is full or read-only, or {CHOOSE_ROOT}.",
            ) from error

    def seal(self, *, copied: bool = False) -> StagedMonth:
        """Look at what was written and return it, ready to check and to publish.

        Files without rows are deleted: an empty month has no files. With ``copied`` the files are those of a month
        that is published, which may lack columns of a later format version, and have those of other horizons.

        Raises
        ------
        LakeError
            If nothing at all was written, a file is not whole, or its columns
            are not the table's.
        """
        paths = list(self._written())
        if self._handed_out and not paths:
            # An empty month is a written file without rows. Nothing at all would clear the month by mistake.
            raise LakeError(f"The step for {self._where} wrote no file.", _ENGINE_FAULT)
        files = []
        for path in paths:
            file = self._inspect(path, copied=copied)
            if file.rows:
                files.append(file)
            else:
                self._storage.delete(path)
        return StagedMonth(self.schema, self.month, tuple(files), self._base_version, self)

    def discard(self) -> None:
        """Delete what was written, unless it is or may be published."""
        if self.maybe_published:
            return
        for path in self._handed_out:
            self._storage.delete(path)

    def __enter__(self) -> Staging:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.discard()

    @property
    def _where(self) -> str:
        return f"table {self.schema.name}, month {self.month}"

    def _written(self) -> Iterator[str]:
        """Yield the data files under the names that were handed out."""
        for path in self._handed_out:
            found = self._storage.stat(path)
            if found is not None and found.kind == "file":
                yield path
            elif found is not None and found.kind == "folder":
                for inside in self._storage.entries(path, recursive=True):
                    # Hadoop's _SUCCESS and .crc files are no data; Delta's vacuum would keep them for ever.
                    if inside.name.startswith(("_", ".")):
                        self._storage.delete(inside.uri)
                    elif inside.kind == "file":
                        yield inside.uri

    def _inspect(self, path: str, *, copied: bool) -> StagedFile:
        try:
            with self._storage.asking(path), self._storage.open(path) as source:
                size = int(source.size())
                # One request for digest and footer of a small file. Locally the system still holds it in memory.
                whole = pa.BufferReader(source.read()) if size <= CHUNK else source
                digest = digest_in(whole)
                with pq.ParquetFile(whole) as file:
                    metadata, schema = file.metadata, file.schema_arrow
        except (pa.ArrowException, OSError) as error:
            raise LakeError(
                f"{path}, written for {self._where}, is not a whole parquet file ({error}).",
                "Look whether the disk is full, then run the month again.",
            ) from error
        if MONTH in schema.names:
            raise LakeError(
                f"{path}, written for {self._where}, holds a column 'month'; the folder's name says the month.",
                _ENGINE_FAULT,
            )
        expected, actual = self.schema, schema
        if copied:
            expected = expected.without(expected.added.difference(schema.names))
            own = expected.column_names
            actual = pa.schema([f for f in schema if f.name in own or not self.schema.is_of_some_horizon(f.name)])
        differences = column_differences(expected.arrow, actual, nullability=False)
        if differences:
            raise LakeError(f"{path}, written for {self._where}, has wrong columns ({differences}).", _ENGINE_FAULT)
        return StagedFile(path, size, digest, metadata.num_rows, _null_counts(metadata, schema.names))


def _null_counts(metadata: pq.FileMetaData, columns: list[str]) -> dict[str, int]:
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    found = {}
    for index, name in enumerate(columns):
        statistics = [group.column(index).statistics for group in groups]
        if all(s is not None and s.has_null_count for s in statistics):
            found[name] = sum(s.null_count for s in statistics)
    return found
