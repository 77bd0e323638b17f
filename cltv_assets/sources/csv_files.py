"""Reading CSV files with exact line numbers.

Every line has the number that an editor shows, even with quoted line breaks. What is not
regular (see ``csv_blocks``) is split by Python's ``csv`` module, as spreadsheets split it.
"""

from __future__ import annotations

import codecs
import csv
import re
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from operator import itemgetter

import numpy as np
import pyarrow as pa

from cltv_assets.errors import SourceError
from cltv_assets.files.storage import Storage
from cltv_assets.settings import Source
from cltv_assets.sources.csv_blocks import Blocks, lines_are_whole, regular_columns
from cltv_assets.sources.files import SourceFile
from cltv_assets.sources.reading import (
    Lines,
    Stretch,
    Survey,
    find_columns,
    in_batches,
    open_span,
    open_text,
    reading,
)

#: Longest field, in characters. A longer one is the rest of a file after an unclosed
#: quote, and must be refused before it fills the memory.
_FIELD_LIMIT = 16 << 20

#: A longer line is no reason to read much more than a range to survey it; its file is not cut.
_LONGEST_LINE = 1 << 20
#: The encodings in which the byte of a line feed is a line feed wherever it is.
_CUTS = re.compile(r"utf-8|utf-8-sig|ascii|iso8859-\d+|cp125\d")

#: First bytes of other formats that are sometimes named .csv.
_OTHER_FORMATS = {
    b"PAR1": ("a Parquet file", "Set source.kind: parquet."),
    b"PK\x03\x04": ("an Excel workbook or zip archive", "Export it as CSV, or unpack it."),
    b"\x1f\x8b": ("compressed", "Give it the ending .csv.gz."),
    b"\xd0\xcf\x11\xe0": ("an Excel workbook", "Export it as CSV."),
}

#: Marks an undecodable byte while the line that holds it is searched.
_MARK = "\udcff"


class CsvReader:
    """Reads CSV files with the delimiter, encoding and columns that ``source`` names."""

    suffixes: tuple[str, ...] = (".csv", ".csv.gz")

    def __init__(self, storage: Storage, source: Source) -> None:
        self._storage = storage
        self._source = source
        self._wanted = source.wanted
        self._delimiter = source.delimiter

    def columns(self, file: SourceFile) -> tuple[str, ...]:
        """Return the header's names."""
        with self._blocks(file) as (blocks, _):
            return tuple(name.strip() for name in self._header(file, _Records(file.path, blocks, self._delimiter)))

    def ranges(self, file: SourceFile, size: int) -> list[tuple[int, int]]:
        """Return the file in ranges; none if it is small, packed, or in an encoding that cannot be cut."""
        uncut = file.path.lower().endswith(".gz") or not self._delimiter.isascii()
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
        return Survey(begin, data.count(b"\n"), whole and lines_are_whole(data, ord(self._delimiter)))

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

    def read(self, file: SourceFile, stretch: Stretch | None = None) -> Iterator[Lines]:
        """Yield all lines or those of a stretch; those that cannot be split keep their text."""
        with self._blocks(file, stretch) as (start, blocks):
            records = _Records(file.path, start, self._delimiter)
            header = self._header(file, records)
            places = find_columns(header, self._wanted, f"{file.path}, line {records.line}", self._delimiter)
            fields, width = tuple(places), len(header)
            # At least two columns are configured, so this always gives a tuple.
            pick = itemgetter(*places.values())

            def one_by_one() -> Iterator[tuple[int, Sequence[str] | str]]:
                records = _Records(file.path, blocks, self._delimiter)
                for row in records:
                    if row:
                        yield records.line, pick(row) if len(row) == width else records.text()
                    if not blocks.inside:
                        return

            while block := blocks.take():
                columns = regular_columns(block, self._delimiter, width, list(places.values()))
                if columns is None:
                    blocks.put_back(block)
                    yield from in_batches(fields, one_by_one())
                else:
                    lines = pa.array(np.arange(blocks.line, blocks.line + len(columns[0])), pa.int64())
                    blocks.line += len(lines)
                    yield Lines(lines, dict(zip(fields, columns, strict=True)))

    def _header(self, file: SourceFile, records: _Records) -> list[str]:
        header = next((row for row in records if row), None)
        if header is None:
            raise SourceError(
                f"{file.path} is empty: it has not even a header.",
                "Deliver it with its header line, or remove it; a header without lines is a period without sales.",
            )
        header[0] = header[0].removeprefix("\ufeff")
        find_columns(header, self._wanted, f"{file.path}, line {records.line}", self._delimiter)
        return header

    @contextmanager
    def _blocks(self, file: SourceFile, stretch: Stretch | None = None) -> Iterator[tuple[Blocks, Blocks]]:
        """Open a file at its header and at a stretch; report whatever is wrong with its text as a SourceError."""
        encoding = self._source.encoding
        with reading(self._storage, file.path):
            head = self._storage.head(file.path, 4)
            for magic, (what, remedy) in _OTHER_FORMATS.items():
                if head.startswith(magic) and not (what == "compressed" and file.path.lower().endswith(".gz")):
                    raise SourceError(f"{file.path} is {what}, not a CSV file.", remedy)
            # This applies to the whole process and is never reset, because a reader obeys the current limit.
            csv.field_size_limit(max(_FIELD_LIMIT, csv.field_size_limit()))
            try:
                with ExitStack() as opened:
                    if stretch is None:
                        blocks = Blocks(opened.enter_context(open_text(self._storage, file.path, encoding)))
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
        with open_text(self._storage, file.path, encoding, "cltv-mark") as text:
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
        return SourceError(f"{file.path}, line {line}: bytes that are no {encoding} text ({reason}).", remedy)


class _Records:
    """The records of a CSV text, with the line number and text of the current one.

    Iteration yields the fields of each record, an empty list for a blank line.
    """

    def __init__(self, path: str, blocks: Blocks, delimiter: str) -> None:
        self._path = path
        self._blocks = blocks
        self._taken: list[str] = []
        self._ended = False
        self._reader = csv.reader(self._lines(), delimiter=delimiter)
        #: Number of the current record's first line.
        self.line = 0

    def _lines(self) -> Iterator[str]:
        while (line := self._blocks.next_line()) is not None:
            self._taken.append(line)
            yield line
        self._ended = True

    def __iter__(self) -> Iterator[list[str]]:
        """Yield each record's fields."""
        reader, taken = self._reader, self._taken
        while True:
            taken.clear()
            self.line = self._blocks.line
            try:
                row = next(reader, None)
            except csv.Error as error:
                if "field limit" not in str(error):
                    raise SourceError(f"{self._path}, line {self.line}: {error}.", "Mend that line.") from None
                raise self._unterminated(f"a field of over {_FIELD_LIMIT:,} characters") from None
            if row is None:
                return
            if self._ended:
                # The reader asked for another line in the middle of a record.
                raise self._unterminated("a quote that nothing closes")
            yield row

    def text(self) -> str:
        """Return the current record as delivered, without its last line ending."""
        return "".join(self._taken).removesuffix("\n").removesuffix("\r")

    def _unterminated(self, what: str) -> SourceError:
        return SourceError(
            f"{self._path}, line {self.line}: the record that begins there has {what}.",
            'Close the quote; a quote inside a quoted field is written twice ("").',
        )


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
