"""Records in a few bytes what was landed of a file for each month.

A month's lines of a file are summarised by a digest that changes when any line changes.
It is a sum over the lines, so their order in the cache does not matter; each line
includes its number. The digest uses MD5, because DuckDB's own hash may differ between
versions. It takes an eighth of the time that splitting the lines takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from cltv_assets.months import Month
from cltv_assets.sources.delivered import RAW_TRANSACTIONS


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


def _text_of_line() -> str:
    """Return SQL for a line's text, with control characters between values and in place of missing ones."""
    # Writing each value's length first would rule out every mix-up, but takes as long as MD5 itself.
    texts = [
        f"coalesce({name}, chr(30))"
        for name in RAW_TRANSACTIONS.arrow.names
        if name not in {"source_file", "source_line"}
    ]
    return f"concat_ws(chr(31), source_line, {', '.join(texts)})"


#: Reads the view ``filed``, lines of the files ``$names`` and others; gives a row for each file and month index.
CONTENTS = f"""
SELECT source_file, slot, count(*), sum(md5_number_lower({_text_of_line()}))
FROM filed
WHERE list_contains($names, source_file)
GROUP BY ALL
"""  # noqa: S608 - column names of our own schema
