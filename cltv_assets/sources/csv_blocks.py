"""Splits stretches of CSV whose records are lines, without a Python object for each line.

Making columns of Python's fields takes more time than splitting them. Arrow's reader makes
columns, but reports no line numbers and has its own way with blank lines and unclosed quotes.
In a stretch without them both agree, and the records are numbered as the lines are. So a
file is read in blocks of whole lines: a regular block goes to Arrow, any other to Python's
reader.
"""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Sequence
from typing import TextIO

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc

#: Characters; a block has some ten thousand lines.
_BLOCK = 1 << 20
#: Setting Arrow's reader up takes as long as Python's takes for so many characters.
_SMALL = 1 << 15

_QUOTE, _LINE_FEED, _RETURN = b'"\n\r'


class Blocks:
    """A text in blocks of whole lines, of which some or all lines are taken one by one."""

    def __init__(self, text: TextIO, line: int = 1) -> None:
        self._text = text
        self._lines: deque[str] = deque()
        #: Number of the next line.
        self.line = line

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
        return block + self._text.readline() if block else ""


def regular_columns(block: str, delimiter: str, width: int, wanted: Sequence[int]) -> list[pa.Array] | None:
    """Split a block whose every line is a record of ``width`` fields.

    Parameters
    ----------
    block : str
        Whole lines.
    delimiter : str
        What stands between fields.
    width : int
        Number of fields of the header.
    wanted : sequence of int
        The places of the fields to return.

    Returns
    -------
    list of pyarrow.Array or None
        The text of the wanted fields; None if the block is not regular, or too small to be worth it.
    """
    if len(block) < _SMALL:
        return None
    data = block.encode()
    lines = data.count(b"\n") + (not data.endswith(b"\n"))
    if not delimiter.isascii() or not _lines_are_records(data, ord(delimiter)):
        return None
    names = [str(place) for place in range(width)]
    try:
        table = pc.read_csv(
            pa.BufferReader(data),
            pc.ReadOptions(use_threads=False, block_size=len(data) + 1, column_names=names),
            pc.ParseOptions(delimiter=delimiter, ignore_empty_lines=False),
            pc.ConvertOptions(
                include_columns=[names[place] for place in wanted], column_types=dict.fromkeys(names, pa.string())
            ),
        )
    except pa.ArrowInvalid:
        # A line with more or fewer fields.
        return None
    return [column.combine_chunks() for column in table.columns] if table.num_rows == lines else None


def _lines_are_records(data: bytes, delimiter: int) -> bool:
    """Whether a block has no blank line and none that is not a record of its own."""
    if data[0] in (_LINE_FEED, _RETURN) or b"\n\n" in data or b"\n\r\n" in data:
        return False
    return lines_are_whole(data, delimiter)


def lines_are_whole(data: bytes, delimiter: int) -> bool:
    """Whether whole lines have no quoted or other line break than the usual ones, and no stray quote."""
    if b"\0" in data or data.count(b"\r") != data.count(b"\r\n"):
        return False
    if b'"' not in data:
        return True
    characters = np.frombuffer(b"\n" + data + b"\n", np.uint8)
    quotes = np.flatnonzero(characters == _QUOTE)
    if len(quotes) % 2:
        return False
    opening, closing = quotes[::2], quotes[1::2]
    ends = np.flatnonzero(characters == _LINE_FEED)
    return bool(
        np.isin(characters[opening - 1], (delimiter, _LINE_FEED)).all()
        and np.isin(characters[closing + 1], (delimiter, _LINE_FEED, _RETURN)).all()
        and (np.searchsorted(ends, opening) == np.searchsorted(ends, closing)).all()
    )
