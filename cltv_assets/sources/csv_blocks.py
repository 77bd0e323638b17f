"""Splits stretches of CSV whose records are lines, without a Python object for each line.

Making columns of Python's fields takes more time than splitting them. Arrow's reader makes
columns, but reports no line numbers and has its own way with blank lines and unclosed quotes.
In a stretch without them both agree, and the records are numbered as the lines are. So a
file is read in blocks of whole lines: a regular block goes to Arrow, any other to Python's
reader.
"""

from __future__ import annotations

import csv
import io
import re
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TextIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as compute
import pyarrow.csv as pc

#: Characters; a block has some ten thousand lines.
_BLOCK = 1 << 20
#: Characters; a longer line is no record, and a small packed file may hold one that fills the memory.
LONGEST_LINE = 64 << 20
#: Setting Arrow's reader up takes as long as Python's takes for so many characters.
_SMALL = 1 << 15

_QUOTE, _LINE_FEED, _RETURN = b'"\n\r'


@dataclass(frozen=True)
class Dialect:
    """What characters mean in a CSV text.

    Parameters
    ----------
    delimiter : str
        What stands between fields.
    quotes : bool
        Whether a quote at the beginning of a field opens it.
    escape : str, optional
        Makes a quote, a delimiter, a line break or itself ordinary; before any other character it is ordinary.
    """

    delimiter: str
    quotes: bool = True
    escape: str | None = None

    def split(self, lines: Iterable[str]) -> Iterator[list[str]]:
        """Return a reader of records."""
        return csv.reader(
            map(self._spelled, lines) if self.escape else lines,
            delimiter=self.delimiter,
            quoting=csv.QUOTE_MINIMAL if self.quotes else csv.QUOTE_NONE,
            escapechar=self.escape,
        )

    def escapes(self, data: bytes) -> bool:
        """Whether anything is escaped."""
        return self.escape is not None and self._escaped.search(data) is not None

    def _spelled(self, line: str) -> str:
        """Double an escape that escapes nothing, because Python's reader would drop it."""
        assert self.escape is not None
        return self._escape.sub(self._spell, line) if self.escape in line else line

    def _spell(self, found: re.Match[str]) -> str:
        if found[1] is None:
            return found[0] * 2
        return found[0] if found[1] != "\r\n" else f"{self.escape}\r{self.escape}\n"

    @cached_property
    def _escape(self) -> re.Pattern[str]:
        escape = re.escape(self.escape or "")
        return re.compile(rf'{escape}(\r\n|[\r\n"{escape}{re.escape(self.delimiter)}])?')

    @cached_property
    def _escaped(self) -> re.Pattern[bytes]:
        return re.compile(self._escape.pattern.removesuffix("?").encode())


class LineTooLongError(ValueError):
    """A line is longer than `LONGEST_LINE`; ``line`` is its number."""

    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


class Blocks:
    """A text in blocks of whole lines, of which some or all lines are taken one by one."""

    def __init__(self, text: TextIO, line: int = 1) -> None:
        self._text = text
        self._lines: deque[str] = deque()
        #: Number of the next line.
        self.line = line
        if line == 1:
            # Excel and others write a mark of the byte order, which is no part of the first field.
            self.put_back(self._block().removeprefix("\ufeff"))

    @property
    def inside(self) -> bool:
        """Whether the current block has more lines."""
        return bool(self._lines)

    def next_line(self) -> str | None:
        """Take a line, with its ending; None at the end."""
        if not self._lines:
            self._lines.extend(io.StringIO(self._block(), newline=""))
        if not self._lines:
            return None
        self.line += 1
        return self._lines.popleft()

    def return_lines(self, lines: Sequence[str]) -> None:
        """Give the lines back that were taken last."""
        self._lines.extendleft(reversed(lines))
        self.line -= len(lines)

    def take(self) -> str:
        """Take the rest of the current block, or the next one; empty at the end. `line` stays."""
        rest = "".join(self._lines)
        self._lines.clear()
        return rest or self._block()

    def put_back(self, block: str) -> None:
        """Give a taken block back, to take its lines."""
        self._lines.extend(io.StringIO(block, newline=""))

    def _block(self) -> str:
        block = self._text.read(_BLOCK)
        if not block:
            return ""
        rest = self._text.readline(LONGEST_LINE)
        if len(rest) == LONGEST_LINE:
            raise LineTooLongError(self.line + block.count("\n"))
        return block + rest


def regular_columns(
    block: str, dialect: Dialect, width: int, wanted: Sequence[int], *, pad: bool = False
) -> list[pa.Array] | None:
    """Split a block whose every line is a record of ``width`` fields.

    Parameters
    ----------
    block : str
        Whole lines.
    dialect : Dialect
        What its characters mean.
    width : int
        Number of fields of the header.
    wanted : sequence of int
        The places of the fields to return.
    pad : bool
        Whether empty fields after these count as none.

    Returns
    -------
    list of pyarrow.Array or None
        The text of the wanted fields; None if the block is not regular, or too small to be worth it.
    """
    if len(block) < _SMALL:
        return None
    data = block.encode()
    lines = data.count(b"\n") + (not data.endswith(b"\n"))
    if not dialect.delimiter.isascii() or not _lines_are_records(data, dialect):
        return None
    there = max(width, len(next(dialect.split([block[: block.find("\n") + 1]])))) if pad else width
    names = [str(place) for place in range(there)]
    picked = [*wanted, *range(width, there)]
    try:
        table = pc.read_csv(
            pa.BufferReader(data),
            pc.ReadOptions(use_threads=False, block_size=len(data) + 1, column_names=names),
            pc.ParseOptions(
                delimiter=dialect.delimiter, quote_char='"' if dialect.quotes else False, ignore_empty_lines=False
            ),
            pc.ConvertOptions(
                include_columns=[names[place] for place in picked], column_types=dict.fromkeys(names, pa.string())
            ),
        )
    except pa.ArrowInvalid:
        # A line with more or fewer fields.
        return None
    if table.num_rows != lines or any(map(_filled, table.columns[len(wanted) :])):
        return None
    return [column.combine_chunks() for column in table.columns[: len(wanted)]]


def _filled(column: pa.ChunkedArray) -> bool:
    return bool(compute.max(compute.binary_length(column)).as_py())


def _lines_are_records(data: bytes, dialect: Dialect) -> bool:
    """Whether a block has no blank line and none that is not a record of its own."""
    if data[0] in (_LINE_FEED, _RETURN) or b"\n\n" in data or b"\n\r\n" in data:
        return False
    return lines_are_whole(data, dialect)


def lines_are_whole(data: bytes, dialect: Dialect) -> bool:
    """Whether whole lines have no quoted or other line break than the usual ones, no stray quote and no escape."""
    if b"\0" in data or data.count(b"\r") != data.count(b"\r\n") or dialect.escapes(data):
        return False
    if b'"' not in data or not dialect.quotes:
        return True
    characters = np.frombuffer(b"\n" + data + b"\n", np.uint8)
    quotes = np.flatnonzero(characters == _QUOTE)
    if len(quotes) % 2:
        return False
    opening, closing = quotes[::2], quotes[1::2]
    ends, delimiter = np.flatnonzero(characters == _LINE_FEED), ord(dialect.delimiter)
    return bool(
        np.isin(characters[opening - 1], (delimiter, _LINE_FEED)).all()
        and np.isin(characters[closing + 1], (delimiter, _LINE_FEED, _RETURN)).all()
        and (np.searchsorted(ends, opening) == np.searchsorted(ends, closing)).all()
    )
