"""Records in a few bytes what was landed of a file for each month.

A month's lines of a file are summarised by a digest that changes when any line changes.
Each line includes its number. SHA-256 is what processors have instructions for. It cannot be
joined, so stretches of a long file have digests of their own, and these are digested together:
whoever reads a stretch of the file comes to the same digest.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

from cltv_assets.months import Month
from cltv_assets.sources.delivered import OTHER_COLUMNS, RAW_TRANSACTIONS

#: Lines of a file that are digested together: those with the same quotient of line number and this.
BLOCK = 1 << 20


@dataclass(frozen=True)
class MonthContent:
    """How many lines of one file belong to one month, and the digest of their texts and numbers.

    The digest is empty if there are no lines.
    """

    lines: int
    digest: str


#: The content of a month that a file names in its path but has no line of.
NO_LINES = MonthContent(0, "")


@dataclass(frozen=True)
class FileContent:
    """What a file holds.

    ``lines`` counts lines of months that are or will be partitions. ``months`` holds only closed
    months; the month that the file's path names is included even without lines.
    """

    lines: int
    months: Mapping[Month, MonthContent]


@dataclass(frozen=True)
class FileRecord:
    """What was landed of a file for a month.

    Parameters
    ----------
    size, mtime_ns : int
        Size and time of change of the file when it was listed.
    lines : int
        Lines of it that belong to the month.
    digest : str
        Digest of those lines.
    file_lines : int
        Lines of it that belong to any month. If the records of its months add up to
        this number, nothing of the file is missing.
    """

    size: int
    mtime_ns: int
    lines: int
    digest: str
    file_lines: int

    @property
    def content(self) -> MonthContent:
        """Return lines and digest."""
        return MonthContent(self.lines, self.digest)

    def as_json(self) -> dict[str, Any]:
        """Return the record in the form that metadata holds."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read a record from metadata; a missing field is a ``KeyError``."""
        return cls(**{name: value[name] for name in cls.__dataclass_fields__})


class ContentDigest:
    """Summarises the lines of one file and month as they come, in the order of the file.

    The lengths and the characters of each column have a hash of their own, so it does not matter
    which lines come together.
    """

    def __init__(self) -> None:
        self._lines = 0
        #: Columns of later releases, while nothing stands there: they leave the digests of earlier ones as they were.
        self._empty = set(RAW_TRANSACTIONS.added)
        self._hashes = [(name, hashlib.sha256(), hashlib.sha256()) for name in _HASHED]

    def add(self, lines: pa.Table) -> None:
        """Take more lines of ``raw_transactions``."""
        for name, numbers, texts in self._hashes:
            if name in self._empty:
                if lines[name].null_count == lines.num_rows:
                    continue
                self._empty.remove(name)
                numbers.update(np.full(self._lines, -1, np.int32).data)
            for values in lines[name].chunks:
                if pt.is_string(values.type):
                    numbers.update(pc.binary_length(values).fill_null(-1).to_numpy())
                    texts.update(characters(values).data)
                else:
                    numbers.update(values.to_numpy())
        self._lines += lines.num_rows

    def content(self) -> MonthContent:
        """Return what all lines so far come to."""
        counted = (both for name, *both in self._hashes if name not in self._empty)
        whole = hashlib.sha256(b"".join(one.digest() + other.digest() for one, other in counted))
        return MonthContent(self._lines, whole.hexdigest()[:32])


def joined(blocks: Mapping[tuple[bool, int], MonthContent]) -> MonthContent:
    """Return the content of a file's month from those of its blocks.

    Parameters
    ----------
    blocks : mapping of (bool, int) to MonthContent
        By whether the lines have no month of their own, and the block's number.
    """
    if list(blocks) == [(False, 0)]:
        return blocks[False, 0]
    lines = sum(content.lines for content in blocks.values())
    spelled = "".join(f"{int(loose)} {block} {blocks[loose, block].digest}\n" for loose, block in sorted(blocks))
    return MonthContent(lines, hashlib.sha256(spelled.encode()).hexdigest()[:32])


#: The file's name is no content. What no table is made from makes no month again: an export's own time may be there.
_HASHED = [name for name in RAW_TRANSACTIONS.arrow.names if name not in ("source_file", OTHER_COLUMNS.name)]


def characters(texts: pa.Array) -> npt.NDArray[np.uint8]:
    """Return the bytes of all texts without what lies between them in memory."""
    there = texts.drop_null()
    _, offsets, data = there.buffers()
    if data is None:
        return np.empty(0, np.uint8)
    begin, end = np.frombuffer(offsets, np.int32)[[there.offset, there.offset + len(there)]]
    return np.frombuffer(data, np.uint8)[begin:end]
