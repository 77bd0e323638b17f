"""What a file holds of each month, in a few bytes: the record of what was landed.

A month's lines of a file are summed up as a digest that any change of a line changes.
It is a sum over the lines, so their order in the cache does not matter; each line
brings its number. MD5 and not DuckDB's own hash, which may differ between versions; it
takes an eighth of the time that splitting the lines takes.
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

    The digest is empty where there are none.
    """

    lines: int
    digest: str


#: What a file holds of a month that it names in its path and has no line of.
NO_LINES = MonthContent(0, "")


@dataclass(frozen=True)
class FileContent:
    """What a file holds.

    ``lines`` counts those of months that are or will be partitions. ``months`` has the closed
    ones only, and the month that the file's path names, without lines, too.
    """

    lines: int
    months: Mapping[Month, MonthContent]


@dataclass(frozen=True)
class FileRecord:
    """What was landed of a file for a month.

    Parameters
    ----------
    size, mtime_ns : int
        Of the file when it was listed.
    lines : int
        Lines of it that belong to the month.
    digest : str
        Of those lines.
    file_lines : int
        Lines of it that belong to any month: when the records of its months add up to
        them, nothing of the file is missing.
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
        """Return the record as it stands in metadata."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Self:
        """Read a record from metadata; a missing field is a ``KeyError``."""
        return cls(**{name: value[name] for name in cls.__dataclass_fields__})


def _text_of_line() -> str:
    """Return SQL for a line's text, with control characters between the values and for a missing one."""
    # Lengths before the values would rule out every mix-up, and take as long as MD5 itself.
    texts = [
        f"coalesce({name}, chr(30))"
        for name in RAW_TRANSACTIONS.arrow.names
        if name not in {"source_file", "source_line"}
    ]
    return f"concat_ws(chr(31), source_line, {', '.join(texts)})"


#: Of the view ``filed`` and the list ``wanted`` of batches and files; a row for each file and month index.
CONTENTS = f"""
SELECT source_file, slot, count(*), sum(md5_number_lower({_text_of_line()}))
FROM filed
WHERE (batch, source_file) IN (SELECT (batch, name) FROM wanted)
GROUP BY ALL
"""  # noqa: S608 - column names of our own schema
