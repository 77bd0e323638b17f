"""What readers of text share: packed files, archives, and cuts between lines."""

from __future__ import annotations

import codecs
import fnmatch
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import numpy as np

from cltv_assets.errors import SourceError
from cltv_assets.files.storage import Storage
from cltv_assets.settings import Source
from cltv_assets.sources.csv_blocks import LONGEST_LINE, Blocks, LineTooLongError
from cltv_assets.sources.files import SourceFile
from cltv_assets.sources.reading import (
    Members,
    Stretch,
    Survey,
    head_of,
    is_packed,
    open_archive,
    open_span,
    open_text,
    reading,
)

#: Largest number of names that an error message quotes.
_SHOWN = 8

#: A longer line is no reason to read much more than a range to survey it; its file is not cut.
_LONGEST_LINE = 1 << 20
#: The encodings in which the byte of a line feed is a line feed wherever it is.
_CUTS = re.compile(r"utf-8|utf-8-sig|ascii|iso8859-\d+|cp125\d")

#: First bytes of other formats that are sometimes given the ending of a text.
_OTHER_FORMATS = {
    b"PAR1": ("a Parquet file", "Set source.kind: parquet."),
    b"PK\x03\x04": (
        "an Excel workbook or zip archive",
        "Give an archive the ending .zip; set source.kind: excel for a workbook, or export it as CSV.",
    ),
    b"\x1f\x8b": ("compressed", "Give it the ending {}.gz."),
    b"BZh": ("compressed", "Give it the ending {}.bz2."),
    b"\x28\xb5\x2f\xfd": ("compressed", "Give it the ending {}.zst."),
    b"\xfd7zXZ": ("compressed by xz", "Unpack it, or pack it as {}.gz, {}.bz2, {}.zst or .zip."),
    b"\x04\x22\x4d\x18": ("compressed by lz4", "Unpack it, or pack it as {}.gz, {}.bz2, {}.zst or .zip."),
    b"7z\xbc\xaf": ("a 7z archive", "Unpack it, or pack it as .zip."),
    b"\xd0\xcf\x11\xe0": ("an Excel workbook", "Set source.kind: excel, or export it as CSV."),
}
#: Endings of packed files, and of archives.
_PACKED = ("", ".gz", ".bz2", ".zst")
_ARCHIVE = ".zip"

#: Marks an undecodable byte while the line that holds it is searched.
_MARK = "\udcff"


def endings(*of_text: str) -> tuple[str, ...]:
    """Return the endings of texts that lie as they are, packed, or in archives."""
    return (*(ending + packed for ending in of_text for packed in _PACKED), _ARCHIVE)


class TextReader(ABC):
    """What readers of text share; ``source`` names the encoding, and which members of an archive count."""

    #: Endings of the files that a folder is searched for; the first is that of a plain text.
    suffixes: tuple[str, ...]
    #: What such a file is called.
    what: str

    def __init__(self, storage: Storage, source: Source) -> None:
        self._storage = storage
        self._source = source
        self._wanted = source.wanted
        self._listed: dict[SourceFile, Members] = {}

    @abstractmethod
    def whole_lines(self, data: bytes) -> bool:
        """Whether a cut after any line feed of some whole lines is safe."""

    def members(self, file: SourceFile) -> Members:
        """Return which files of an archive count, and which do not."""
        if not file.path.lower().endswith(_ARCHIVE) or file.size == 0:
            return Members(None)
        if file not in self._listed:
            with reading(self._storage, file.path), open_archive(self._storage, file.path) as archive:
                names = [info.filename for info in archive.infolist() if not info.is_dir()]
            names = [name for name in names if not any(part.startswith((".", "__MACOSX")) for part in name.split("/"))]
            found = tuple(sorted(name for name in names if self._counts(name)))
            if not found:
                ask = (
                    f"'{self._source.member}'"
                    if self._source.member
                    else " or ".join(map("*{}".format, self.suffixes[:-1]))
                )
                raise SourceError(
                    f"{file.path} holds no {ask}, but {', '.join(names[:_SHOWN]) or 'nothing'}.",
                    "Set source.member to the name of a file in it or to a glob, or remove the archive.",
                )
            self._listed[file] = Members(found, tuple(name for name in names if name not in found))
        return self._listed[file]

    def _counts(self, name: str) -> bool:
        if self._source.member is None:
            return name.lower().endswith(self.suffixes[:-1])
        return any(fnmatch.fnmatchcase(one, self._source.member) for one in (name, name.rpartition("/")[2]))

    def ranges(self, file: SourceFile, size: int) -> list[tuple[int, int]]:
        """Return the file in ranges; none if it is small, packed, or in an encoding that cannot be cut."""
        uncut = is_packed(file) or not self._source.delimiter.isascii()
        if uncut or file.size < 2 * size or not _CUTS.fullmatch(_codec(self._source.encoding)):
            return []
        return [(begin, min(begin + size, file.size)) for begin in range(0, file.size, size)]

    def survey(self, file: SourceFile, begin: int, end: int) -> Survey:
        """Count the line feeds of the lines that begin in a range, and see whether a cut between them is safe."""
        with (
            reading(self._storage, file.path),
            open_span(self._storage, file.path, max(begin - 1, 0), file.size) as text,
        ):
            # The rest of a line that began in the range before.
            rest = text.readline(_LONGEST_LINE) if begin else b"\n"
            begin += len(rest) - 1
            data = text.read(end - begin) if end > begin else b""
            if data and not data.endswith(b"\n"):
                data += text.readline(_LONGEST_LINE)
        whole = begin + len(data) == file.size or ((rest + data).endswith(b"\n") and rest.endswith(b"\n"))
        return Survey(begin, data.count(b"\n"), whole and self.whole_lines(data))

    def stretches(self, file: SourceFile, block: int, surveys: Sequence[Survey]) -> list[Stretch | None]:  # noqa: ARG002
        """Cut the file into whole blocks of lines, if all surveys allow it."""
        if not surveys or not all(survey.plain for survey in surveys):
            return [None]
        #: The number of the first line of each survey, and of the line after all.
        lines = np.cumsum([1, *(survey.feeds for survey in surveys)])

        def place(line: int) -> tuple[int, int]:
            at = int(np.searchsorted(lines[:-1], line, "right")) - 1
            return surveys[at].begin, line - int(lines[at])

        firsts = [1, *range(block, int(lines[-1]) + 1, block)]
        ends = [*((first - 1, place(first)) for first in firsts[1:]), (int(lines[-1]), None)]
        return [Stretch(first, last, place(first), end) for first, (last, end) in zip(firsts, ends, strict=True)]

    @contextmanager
    def _blocks(self, file: SourceFile, stretch: Stretch | None = None) -> Iterator[tuple[Blocks, Blocks]]:
        """Open a file at its header and at a stretch; report whatever is wrong with its text as a SourceError."""
        encoding = self._source.encoding
        with reading(self._storage, file.path):
            head = head_of(self._storage, file, 8)
            for magic, (what, remedy) in _OTHER_FORMATS.items():
                if head.startswith(magic):
                    plain = self.suffixes[0]
                    raise SourceError(f"{file.address} is {what}, not {self.what}.", remedy.format(plain, plain, plain))
            try:
                with ExitStack() as opened:
                    if stretch is None:
                        text = open_text(self._storage, file.path, encoding, member=file.member)
                        blocks = Blocks(opened.enter_context(text))
                        yield blocks, blocks
                        return
                    begin = self._place(file, *stretch.begin)
                    end = self._place(file, *stretch.end) if stretch.end else file.size
                    own = opened.enter_context(open_text(self._storage, file.path, encoding, span=(begin, end)))
                    blocks = Blocks(own, stretch.first)
                    if stretch.first == 1:
                        yield blocks, blocks
                        return
                    start = opened.enter_context(open_text(self._storage, file.path, encoding))
                    yield Blocks(start), blocks
            except UnicodeError as error:
                raise self._undecodable(file, head, error) from None
            except LineTooLongError as error:
                raise SourceError(
                    f"{file.address}, line {error.line}: a line of over {LONGEST_LINE:,} characters.",
                    "Write each record on a line of its own.",
                ) from None

    def _place(self, file: SourceFile, begin: int, feeds: int) -> int:
        """Return where the line begins that so many line feeds separate from the one that begins at a byte."""
        with open_span(self._storage, file.path, begin, file.size) as text:
            for _ in range(feeds):
                begin += len(text.readline())
        return begin

    def _undecodable(self, file: SourceFile, head: bytes, error: UnicodeError) -> SourceError:
        """Return the error for bytes that are not text, with their line number."""
        codecs.register_error("cltv-mark", _mark)
        line, encoding = 1, self._source.encoding
        with open_text(self._storage, file.path, encoding, "cltv-mark", member=file.member) as text:
            try:
                line = next((n for n, t in enumerate(text, 1) if _MARK in t), 1)
            except UnicodeError:
                # UTF-16 without a byte order mark fails before any error handler is called.
                line = 1
        if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            remedy = "It begins like UTF-16: set source.encoding: utf-16."
        elif encoding.lower().replace("_", "-") in {"utf-8", "utf8", "utf-8-sig", "ascii"}:
            remedy = "Set source.encoding, for example to cp1252 (Windows) or latin-1, or deliver the file as UTF-8."
        else:
            remedy = "Set source.encoding to what the file is written in, for example utf-8 or cp1252."
        reason = error.reason if isinstance(error, UnicodeDecodeError) else str(error)
        return SourceError(f"{file.address}, line {line}: bytes that are no {encoding} text ({reason}).", remedy)


def _codec(encoding: str) -> str:
    try:
        return codecs.lookup(encoding).name
    except LookupError:
        # Reading the file says so.
        return ""


def _mark(error: UnicodeError) -> tuple[str, int]:
    if isinstance(error, UnicodeDecodeError):
        return _MARK, error.end
    raise error
