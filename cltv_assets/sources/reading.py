"""What the readers of all formats share: batches of lines, the header's columns, and a guard for the file."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, BinaryIO, Protocol, cast, runtime_checkable
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.compute as pc

from cltv_assets.errors import EmptyFileError, SourceError
from cltv_assets.files.storage import PACKED, Storage
from cltv_assets.months import Month
from cltv_assets.sources.files import SourceFile

#: Lines that a text reader collects before it yields them. The number is small so that
#: Python's objects stay in the processor's cache (with 50,000, each line took twice as long).
_BATCH_LINES = 5_000

#: Bytes of a span that one request reads.
_SPAN_BYTES = 4 << 20

#: Lines that are searched for the header, if it is not where it should be.
SEARCHED = 50


@dataclass(frozen=True)
class Survey:
    """What a look at a range of a file's bytes found.

    Parameters
    ----------
    begin : int
        Where the first line that begins in the range begins.
    feeds : int
        Line feeds from there to the end of the last line that begins in the range.
    plain : bool
        Whether every line there is a record of its own, so that the file may be cut at any of them.
    """

    begin: int
    feeds: int
    plain: bool


@dataclass(frozen=True)
class Stretch:
    """Some whole lines of a file.

    Parameters
    ----------
    first, last : int
        Numbers of its first and last line.
    begin, end : tuple of int
        For text, a byte where a line begins and how many line feeds are between it and the first line, or
        the line after the last one.
    """

    first: int
    last: int
    begin: tuple[int, int] = (0, 0)
    end: tuple[int, int] | None = None


@dataclass(frozen=True)
class Lines:
    """Some lines of a file, in their order.

    Parameters
    ----------
    numbers : pyarrow.Array
        The lines' numbers, counted from 1 (int64).
    columns : mapping of str to pyarrow.Array
        Text of each wanted column, by the source's own name, and of those that are kept beside them; an empty field
        is null or empty.
    texts : pyarrow.Array or None
        The whole line where it could not be split into fields, and null elsewhere; None if all could.
    continued : int
        How many further lines of the file these take, because quoted fields hold line breaks.
    others : pyarrow.Array or None
        Fields that are kept beside columns as JSON objects, where the lines differ in their fields.
    """

    numbers: pa.Array
    columns: Mapping[str, pa.Array]
    texts: pa.Array | None = None
    continued: int = 0
    others: pa.Array | None = None


class Reader(Protocol):
    """One format of source files.

    Its methods raise a ``SourceError`` if the file cannot be read as configured.
    """

    #: Endings of the files that a folder is searched for.
    suffixes: tuple[str, ...]

    def columns(self, file: SourceFile) -> tuple[str, ...]:
        """Return the names of a file's columns."""
        ...

    def read(self, file: SourceFile) -> Iterator[Lines]:
        """Yield all lines of a file in their order, with the columns that the settings name."""
        ...


@dataclass(frozen=True)
class Members:
    """What lies inside one file of the list.

    Parameters
    ----------
    read : tuple of str or None
        Files of an archive or sheets of a workbook, each read as a file of its own; None for a plain file.
    skipped : tuple of str
        Those that do not count.
    """

    read: tuple[str, ...] | None
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True)
class TableMonths:
    """The months of a table, as listed.

    Parameters
    ----------
    files : list of SourceFile
        A unit for each month, with or without rows, and one for the rows without a time, if there are any.
        A unit's ``size`` counts rows, and its ``mtime_ns`` is a fingerprint of them.
    before, after : int
        Rows before the first month and after the last one, which belong to no unit.
    """

    files: list[SourceFile]
    before: int
    after: int


@runtime_checkable
class ListingReader(Reader, Protocol):
    """A reader of a table, which lists its own units: each holds the rows of one month and no others."""

    def list_months(self, first: Month, last: Month) -> TableMonths:
        """List the table's months from first to last."""
        ...


@runtime_checkable
class SingleReader(Reader, Protocol):
    """A reader whose lines come from several files at once, and which stands for one file."""

    def as_file(self) -> SourceFile:
        """Return what changes with every file that is read."""
        ...


@runtime_checkable
class OpeningReader(Reader, Protocol):
    """A reader of files that may hold others."""

    def members(self, file: SourceFile) -> Members:
        """Return what lies inside a file."""
        ...


@runtime_checkable
class CuttingReader(Reader, Protocol):
    """A reader of files of which several machines can read a stretch each."""

    def stretches(self, file: SourceFile, block: int, surveys: Sequence[Survey]) -> list[Stretch | None]:
        """Cut a file into whole blocks of lines; None stands for all of a file that cannot be cut."""
        ...

    def read(self, file: SourceFile, stretch: Stretch | None = None) -> Iterator[Lines]:
        """Yield the lines of a stretch, by default all."""
        ...


@runtime_checkable
class SurveyingReader(CuttingReader, Protocol):
    """A reader of files that tell where their lines are only when all their bytes have been looked at."""

    def ranges(self, file: SourceFile, size: int) -> list[tuple[int, int]]:
        """Return ranges of bytes, of about ``size``, that are the file; none if it cannot be cut."""
        ...

    def survey(self, file: SourceFile, begin: int, end: int) -> Survey:
        """Look at the lines that begin in a range of bytes."""
        ...


@contextmanager
def reading(storage: Storage, path: str) -> Iterator[None]:
    """Guard a file while it is read.

    Raises
    ------
    SourceError
        If it is gone, is unreadable, or changed while it was read. Half of a delivery
        that is still being copied must not be landed.
    """
    gone = SourceError(
        f"{path} was there when the source was listed and is gone now.",
        "Try again once deliveries have stopped moving, or put the file back.",
    )
    try:
        with storage.asking(path):
            before = storage.stat(path)
            if before is None or before.kind == "broken":
                raise gone
            yield
            after = storage.stat(path)
    except FileNotFoundError:
        raise gone from None
    except PermissionError:
        raise SourceError(f"{path} may not be read: permission denied.", "Grant read permission on it.") from None
    except (OSError, EOFError, zipfile.BadZipFile, zlib.error, pa.ArrowInvalid, RuntimeError) as error:
        # This is how zipfile refuses a password or an unknown packing.
        if type(error) is RuntimeError and "password" not in str(error):
            raise
        raise SourceError(
            f"{path} cannot be read: {' '.join(str(error).split()).rstrip('.')}.",
            "Deliver the file again, whole and readable.",
        ) from None
    if after is None:
        raise gone
    if (after.size, after.mtime_ns) != (before.size, before.mtime_ns):
        raise SourceError(
            f"{path} changed while it was read ({before.size:,} bytes at first, {after.size:,} at the end).",
            "Try again once its delivery is complete; write deliveries under another name and rename them.",
        )


def is_packed(file: SourceFile) -> bool:
    """Return whether a file's bytes are not those of its text."""
    return file.member is not None or file.path.lower().endswith(tuple(PACKED))


def head_of(storage: Storage, file: SourceFile, count: int) -> bytes:
    """Return the first bytes of a file, unpacked."""
    if not is_packed(file):
        return storage.head(file.path, count)
    with _open_stream(storage, file.path, file.member) as stream:
        return bytes(stream.read(count))


def open_text(
    storage: Storage,
    path: str,
    encoding: str,
    errors: str = "strict",
    span: tuple[int, int] | None = None,
    member: str | None = None,
) -> io.TextIOWrapper:
    """Open a file, a span of its bytes or a file of an archive as text whose lines keep their own endings.

    Raises
    ------
    SourceError
        If the encoding is unknown.
    """
    # Plain utf-8 would read the byte order mark that Excel writes as part of the first header.
    utf8 = encoding.lower().replace("_", "-") in {"utf-8", "utf8", "utf-8-sig"}
    # Further on such a mark is text.
    name = ("utf-8" if span and span[0] else "utf-8-sig") if utf8 else encoding
    stream = open_span(storage, path, *span) if span else _open_stream(storage, path, member)
    try:
        return io.TextIOWrapper(stream, encoding=name, errors=errors, newline="")
    except LookupError:
        stream.close()
        raise SourceError(
            f"source.encoding '{encoding}' is not the name of a text encoding.",
            "Use for example utf-8, cp1252, latin-1 or utf-16.",
        ) from None


def _open_stream(storage: Storage, path: str, member: str | None) -> BinaryIO:
    if member is None:
        return storage.open_stream(path)
    # The file inside keeps the archive open.
    stream = cast("BinaryIO", open_archive(storage, path).open(member))
    packing = next((kind for ending, kind in PACKED.items() if member.lower().endswith(ending)), None)
    if packing is None:
        return stream
    return cast("BinaryIO", pa.CompressedInputStream(pa.PythonFile(stream, "r"), packing))


def open_archive(storage: Storage, path: str) -> zipfile.ZipFile:
    """Open a zip archive; zipfile would ask an object store for a few kilobytes at a time."""
    return zipfile.ZipFile(cast("BinaryIO", io.BufferedReader(storage.open(path), _SPAN_BYTES)))


def open_span(storage: Storage, path: str, begin: int, end: int) -> BinaryIO:
    """Open a span of a file's bytes."""
    return cast("BinaryIO", io.BufferedReader(_Span(storage.open(path), begin, end), _SPAN_BYTES))


class _Span(io.RawIOBase):
    """Some bytes of a file that can be read at any place."""

    def __init__(self, stream: Any, begin: int, end: int) -> None:
        self._stream, self._left = stream, end - begin
        stream.seek(begin)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        found: bytes = self._stream.read(min(len(buffer), self._left))
        buffer[: len(found)] = found
        self._left -= len(found)
        return len(found)

    def close(self) -> None:
        self._stream.close()
        super().close()


def in_batches(fields: Sequence[str], records: Iterable[tuple[int, Sequence[str | None] | str]]) -> Iterator[Lines]:
    """Yield records of text in batches.

    Parameters
    ----------
    fields : sequence of str
        The source's names of a record's values.
    records : iterable of tuple
        The number of a record's first line, and its values, or its text if it could not be split.
    """
    nothing = (None,) * len(fields)
    rows: list[Sequence[str | None]] = []
    lines: list[int] = []
    texts: dict[int, str] = {}

    def batch() -> Lines:
        values = (pa.array(column, pa.string()) for column in zip(*rows, strict=True))
        # Lines stay in their order, on which a file's digest depends.
        unsplit = pa.array(map(texts.get, lines), pa.string()) if texts else None
        return Lines(pa.array(lines, pa.int64()), dict(zip(fields, values, strict=True)), unsplit)

    for line, record in records:
        if isinstance(record, str):
            texts[line] = record
            rows.append(nothing)
        else:
            rows.append(record)
        lines.append(line)
        if len(rows) == _BATCH_LINES:
            yield batch()
            rows, lines, texts = [], [], {}
    if rows:
        yield batch()


def columns_of(reader: Reader, files: Sequence[SourceFile]) -> dict[SourceFile, tuple[str, ...]]:
    """Return the columns of each file that has any; those that hold nothing are left out.

    Raises
    ------
    SourceError
        If a header is wrong, or no file holds anything: then of the first.
    """
    found: dict[SourceFile, tuple[str, ...]] = {}
    empty = None
    for file in files:
        try:
            found[file] = reader.columns(file)
        except EmptyFileError as error:
            empty = empty or error
    if empty is not None and not found:
        raise empty
    return found


def lines_of(reader: Reader, file: SourceFile, stretch: Stretch | None = None) -> Iterator[Lines]:
    """Yield the lines of a file or a stretch; none of a file that holds nothing at all.

    Such a file is like one that is gone: a month that had lines of it is refused, and no other.
    """
    try:
        yield from reader.read(file) if stretch is None else cast("CuttingReader", reader).read(file, stretch)
    except EmptyFileError:
        return


def values_in_path(file: SourceFile) -> dict[str, str | None]:
    """Return the columns that a file's folders name, as in ``dt=2024-01-05/part.parquet``."""
    folders = [*file.path.split("/")[:-1], *(file.member or "").split("/")[:-1]]
    pairs = [folder.partition("=") for folder in folders if not folder.startswith("=") and "=" in folder]
    return {
        unquote(name).strip(): None if value == "__HIVE_DEFAULT_PARTITION__" else unquote(value)
        for name, _, value in pairs
    }


def with_path_values(batches: Iterable[Lines], file: SourceFile, wanted: Iterable[str]) -> Iterator[Lines]:
    """Add the wanted columns that the lines lack and the file's path names."""
    values = values_in_path(file)
    for lines in batches:
        lacking = [name for name in wanted if name not in lines.columns]
        if not lacking:
            yield lines
            continue
        given = {}
        for name in lacking:
            column = pa.repeat(pa.scalar(values[name.strip()], pa.string()), len(lines.numbers))
            if lines.texts is not None:
                column = pc.if_else(pc.is_valid(lines.texts), pa.scalar(None, pa.string()), column)
            given[name] = column
        yield replace(lines, columns={**lines.columns, **given})
