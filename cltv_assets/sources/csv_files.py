"""Reading CSV files with exact line numbers.

Every line has the number that an editor shows, even with quoted line breaks. What is not
regular (see ``csv_blocks``) is split by Python's ``csv`` module, as spreadsheets split it.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from operator import itemgetter

import numpy as np
import pyarrow as pa

from cltv_assets.errors import EmptyFileError, SourceError
from cltv_assets.files.storage import PACKED, Storage
from cltv_assets.settings import Source
from cltv_assets.sources.csv_blocks import Blocks, Dialect, lines_are_whole, regular_columns
from cltv_assets.sources.files import SourceFile
from cltv_assets.sources.header import find_columns, other_places, require_header_here
from cltv_assets.sources.reading import SEARCHED, Lines, Stretch, Survey, in_batches, values_in_path, with_path_values
from cltv_assets.sources.text_files import TextReader, endings

#: Longest field, in characters. A longer one is the rest of a file after an unclosed
#: quote, and must be refused before it fills the memory.
_FIELD_LIMIT = 16 << 20

#: Most bytes of a packed file in which nothing was packed; it may name what that was.
_NOTHING_PACKED = 512

#: The first line by which Excel is told the delimiter.
_SEPARATOR = re.compile(r'"?sep=(.)"?\r?\n?', re.IGNORECASE)
#: A record of more lines is the work of a quote that is none, if anything else speaks for it.
_MOST_LINES = 100


@dataclass(frozen=True)
class _Header:
    """How a file is split: its names, where the columns are that are read, and the number of the header's line."""

    names: Sequence[str]
    places: dict[str, int]
    dialect: Dialect


class CsvReader(TextReader):
    """Reads CSV files with the delimiter, encoding and columns that ``source`` names."""

    suffixes = endings(".csv")
    what = "a CSV file"

    def __init__(self, storage: Storage, source: Source) -> None:
        super().__init__(storage, source)
        self._dialect = Dialect(source.delimiter, source.quoting == "standard", source.escape)

    def columns(self, file: SourceFile) -> tuple[str, ...]:
        """Return the header's names, and those that the file's path gives."""
        with self._blocks(file) as (blocks, _):
            names = tuple(name.strip() for name in self._header(file, blocks).names)
        return (*names, *(name for name in values_in_path(file) if name not in names))

    def whole_lines(self, data: bytes) -> bool:
        """Whether a cut after any line feed of some whole lines is safe."""
        return lines_are_whole(data, self._dialect)

    def survey(self, file: SourceFile, begin: int, end: int) -> Survey:
        """Count the line feeds of the lines that begin in a range, and see whether a cut between them is safe."""
        found = super().survey(file, begin, end)
        if begin == 0 and self._storage.head(file.path, 8).lstrip(b'\xef\xbb\xbf"').lower().startswith(b"sep="):
            # The other ranges are looked at with the delimiter of the settings.
            return replace(found, plain=False)
        return found

    def read(self, file: SourceFile, stretch: Stretch | None = None) -> Iterator[Lines]:
        """Yield all lines or those of a stretch; those that cannot be split keep their text."""
        with self._blocks(file, stretch) as (start, blocks):
            header = self._header(file, start)
            yield from with_path_values(self._lines(file, header, blocks), file, self._wanted)

    def _lines(self, file: SourceFile, header: _Header, blocks: Blocks) -> Iterator[Lines]:
        places, width, pad = list(header.places.values()), len(header.names), self._source.ragged == "pad"
        pick = _picker(places)
        times = [header.places[name] for name in self._source.mapping["transacted_at"] if name in header.places]

        def one_by_one(records: _Records) -> Iterator[tuple[int, Sequence[str] | str]]:
            for row in records:
                if row:
                    if pad and len(row) < width:
                        row += [""] * (width - len(row))
                    elif pad and not any(row[width:]):
                        row = row[:width]
                    yield records.line, pick(row) if len(row) == width else records.text()
                if not blocks.inside:
                    return

        while block := blocks.take():
            columns = regular_columns(block, header.dialect, width, places, pad=pad)
            if columns is None:
                blocks.put_back(block)
                records = _Records(file.address, blocks, header.dialect, width, times)
                for lines in in_batches(list(header.places), one_by_one(records)):
                    yield replace(lines, continued=records.take_continued())
            else:
                numbers = pa.array(np.arange(blocks.line, blocks.line + len(columns[0])), pa.int64())
                blocks.line += len(numbers)
                yield Lines(numbers, dict(zip(header.places, columns, strict=True)))

    def _header(self, file: SourceFile, blocks: Blocks) -> _Header:
        """Read up to the first line that is no header."""
        first, dialect = blocks.next_line() or "", self._dialect
        if told := _SEPARATOR.fullmatch(first):
            dialect = replace(dialect, delimiter=told[1])
        elif first:
            blocks.return_lines([first])
        while blocks.line <= self._source.skip_rows and blocks.next_line() is not None:
            pass
        records = _Records(file.address, blocks, dialect)
        row = next((row for row in records if row), None)
        if not self._source.header:
            positions = [int(name) for name in self._wanted if name.isdecimal()]
            names = [str(place + 1) for place in range(len(row) if row else max(positions, default=0))]
            if self._source.ragged == "pad":
                names = [str(place + 1) for place in range(max(len(names), *positions, 0))]
            if row:
                blocks.return_lines(records.lines())
        elif row is None:
            # What is cut off from a packed file may unpack to nothing.
            cut = file.path.lower().endswith(tuple(PACKED)) and file.size > _NOTHING_PACKED
            raise (SourceError if cut else EmptyFileError)(
                f"{file.address} is empty: it has not even a header.",
                "Deliver it with its header line, or remove it; a header without lines is a period without sales.",
            )
        elif row[0].startswith('{"'):
            raise SourceError(f"{file.address} holds JSON, not CSV.", "Set source.kind: jsonl.")
        else:
            names = row
        where = f"{file.address}, line {records.line}" if self._source.header else file.address
        given = values_in_path(file)
        if self._source.header:
            further = ((blocks.line - 1, next(dialect.split([line]), [])) for line in _some_lines(blocks))
            inside = [name for name in self._wanted if name.strip() not in given]
            require_header_here(names, inside, where, further, dialect.delimiter)
        places = find_columns(names, self._wanted, where, dialect.delimiter, given)
        places |= other_places(names, self._source)
        return _Header(names, places, dialect)


def _some_lines(blocks: Blocks) -> Iterator[str]:
    """Take lines, one by one, each after its number is known."""
    for _ in range(SEARCHED):
        line = blocks.next_line()
        if line is None:
            return
        yield line


def _picker(places: Sequence[int]) -> Callable[[list[str]], Sequence[str]]:
    """Return what takes some fields of a record."""
    # For one place it would give the field itself.
    return itemgetter(*places) if len(places) > 1 else lambda row: [row[place] for place in places]


class _Records:
    """The records of a CSV text, with the line number and text of the current one.

    Iteration yields the fields of each record, an empty list for a blank line.
    ``width`` is the number of fields that a record should have, if it is known, and ``times`` where its time is.
    """

    def __init__(
        self, path: str, blocks: Blocks, dialect: Dialect, width: int | None = None, times: Sequence[int] = ()
    ) -> None:
        # This applies to the whole process and is never reset, because a reader obeys the current limit.
        csv.field_size_limit(max(_FIELD_LIMIT, csv.field_size_limit()))
        self._path = path
        self._blocks = blocks
        self._dialect = dialect
        self._width = width
        self._times = times
        self._taken: list[str] = []
        self._ended = False
        self._reader = dialect.split(self._lines())
        self._continued = 0
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
            if len(taken) > 1:
                self._continued += len(taken) - 1
                self._require_quotes(row)
            yield row

    def lines(self) -> list[str]:
        """Return the current record's lines as delivered."""
        return list(self._taken)

    def text(self) -> str:
        """Return the current record as delivered, without its last line ending."""
        return "".join(self._taken).removesuffix("\n").removesuffix("\r")

    def take_continued(self) -> int:
        """Return how many lines the records since the last call have beyond the first of each."""
        continued, self._continued = self._continued, 0
        return continued

    def _require_quotes(self, row: list[str]) -> None:
        """Refuse a record of several lines if its quote opens nothing: the lines are whole without it."""
        if self._width is None or not self._dialect.quotes:
            return
        if len(self._taken) > _MOST_LINES and len(row) != self._width:
            raise self._unterminated(f"a quote that takes in the {len(self._taken) - 1} lines after it")
        # Of most such records the first line is too short, which is seen at once.
        if self._taken[0].count(self._dialect.delimiter) < self._width - 1:
            return
        plain = list(replace(self._dialect, quotes=False).split(self._taken))
        if len(plain) > 1 and all(
            len(fields) == len(plain[0]) >= self._width
            and all(fields[at].strip() and '"' not in fields[at] for at in self._times)
            for fields in plain
        ):
            raise self._unterminated(
                f"a quote that takes in the {len(self._taken) - 1} lines after it, which are whole"
            )

    def _unterminated(self, what: str) -> SourceError:
        return SourceError(
            f"{self._path}, line {self.line}: the record that begins there has {what}.",
            'Close the quote; a quote inside a quoted field is written twice (""). If quotes are characters like any '
            "other in this file, set source.quoting: none.",
        )
