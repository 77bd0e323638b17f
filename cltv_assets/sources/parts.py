"""Writes lines into a parquet file for each month, with little of them in memory."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, TypeAlias

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cltv_assets.sources.contents import BLOCK, ContentDigest, MonthContent
from cltv_assets.sources.delivered import RAW_TRANSACTIONS

#: Lines that are read, dated and written together. Where many months wait at once, fewer are written.
ROW_GROUP = 122_880
_MOST_WAITING = 4 * ROW_GROUP
#: Bytes of a longer line that count as one: notes and addresses must not fill the memory.
_LINE_BYTES = 512

#: Line numbers follow each other and lines of one order share its id: such columns are shorter
#: and faster to write as differences than with a dictionary.
_DIFFERENCES = {"source_line": "DELTA_BINARY_PACKED", "transaction_id": "DELTA_BYTE_ARRAY"}
_LAYOUT: dict[str, Any] = {
    "compression": "zstd",
    "use_dictionary": [name for name in RAW_TRANSACTIONS.arrow.names if name not in _DIFFERENCES],
    "column_encoding": _DIFFERENCES,
}

#: Holds lines without a month until their file's month is known.
LOOSE: Literal["loose"] = "loose"

#: A kept month, or where the lines without one are.
Slot: TypeAlias = int | Literal["loose"]


def part_of(slot: Slot) -> str:
    """Return where a month's parquet file is in its folder."""
    return f"slot={slot}/lines.parquet"


def weight(lines: pa.Table | pa.RecordBatch) -> int:
    """Return how much of `ROW_GROUP` some lines are: their number, and more if they are long."""
    return max(int(lines.num_rows), int(lines.nbytes) // _LINE_BYTES)


def by_file(lines: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """Yield the stretches of lines that come from one file, with its name."""
    names = pc.run_end_encode(lines["source_file"].combine_chunks())
    begin = 0
    for name, end in zip(names.values.to_pylist(), names.run_ends.to_pylist(), strict=True):
        yield name, lines.slice(begin, end - begin)
        begin = end


def _by_block(lines: pa.Table, block: int) -> Iterator[tuple[int, pa.Table]]:
    """Yield the stretches of one file's lines, which are in order, that are digested together."""
    numbers = lines["source_line"]
    first, last = numbers[0].as_py() // block, numbers[-1].as_py() // block
    if first == last:
        yield first, lines
        return
    edges = np.searchsorted(numbers.to_numpy(), np.arange(first, last + 2) * block)
    for at in range(last + 1 - first):
        if edges[at] < edges[at + 1]:
            yield first + at, lines.slice(edges[at], edges[at + 1] - edges[at])


class MonthParts:
    """A context manager that files lines by month and writes what still waits at its end.

    Parameters
    ----------
    folder : Path
        Where the files go, see `part_of`.
    first, last : int
        The months that are kept, as numbers of months since year 0.
    block : int
        Lines that are digested together, see `contents.BLOCK`.
    """

    def __init__(self, folder: Path, first: int, last: int, block: int = BLOCK) -> None:
        self._folder = folder
        self._months = range(first, last + 1)
        self._block = block
        self._writers: dict[Slot, pq.ParquetWriter] = {}
        self._waiting: dict[Slot, list[pa.Table]] = defaultdict(list)
        self._lines: Counter[Slot] = Counter()
        self._digests: dict[tuple[str, Slot, int], ContentDigest] = defaultdict(ContentDigest)

    def contents(self) -> dict[tuple[str, Slot, int], MonthContent]:
        """Return what was added for each file's name, slot and block of lines."""
        return {place: digest.content() for place, digest in self._digests.items()}

    def slots(self) -> list[Slot]:
        """Return what has a parquet file, once the block of the context manager is left."""
        return list(self._writers)

    def add(self, lines: pa.Table, months: pa.Array) -> None:
        """File lines with the month of each (int32); a null month waits for `place`."""
        sizes = {found["values"]: found["counts"] for found in pc.value_counts(months).to_pylist()}
        if len(sizes) == 1:
            self._put(next(iter(sizes)), lines)
        else:
            # One chunk, because taking from many is slow; copies, because a slice would keep all lines in memory.
            whole = lines.combine_chunks()
            order = pc.sort_indices(months)
            begin = 0
            for month in sorted(sizes, key=lambda one: (one is None, one)):
                self._put(month, whole.take(order.slice(begin, sizes[month])))
                begin += sizes[month]

    def place(self, months: Mapping[str, int]) -> None:
        """File the lines that have no month under the month of their source file."""
        self._write(LOOSE)
        if LOOSE not in self._writers:
            return
        self._writers.pop(LOOSE).close()
        path = self._folder / part_of(LOOSE)
        with pq.ParquetFile(path) as loose:
            for group in range(loose.num_row_groups):
                for name, own in by_file(loose.read_row_group(group)):
                    if months[name] in self._months:
                        self._wait(months[name], own)
        path.unlink()
        path.parent.rmdir()

    def __enter__(self) -> MonthParts:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            for slot in list(self._waiting):
                self._write(slot)
        for writer in self._writers.values():
            writer.close()

    def _put(self, month: int | None, lines: pa.Table) -> None:
        if month is None or month in self._months:
            slot: Slot = LOOSE if month is None else month
            for name, own in by_file(lines):
                for block, part in _by_block(own, self._block):
                    self._digests[name, slot, block].add(part)
            self._wait(slot, lines)

    def _wait(self, slot: Slot, lines: pa.Table) -> None:
        self._waiting[slot].append(lines)
        self._lines[slot] += weight(lines)
        if self._lines[slot] >= ROW_GROUP:
            self._write(slot)
        while self._lines.total() > _MOST_WAITING:
            self._write(self._lines.most_common(1)[0][0])

    def _write(self, slot: Slot) -> None:
        waiting = self._waiting.pop(slot, [])
        self._lines.pop(slot, None)
        if not waiting:
            return
        if slot not in self._writers:
            path = self._folder / part_of(slot)
            path.parent.mkdir()
            self._writers[slot] = pq.ParquetWriter(path, RAW_TRANSACTIONS.arrow, **_LAYOUT)
        self._writers[slot].write_table(pa.concat_tables(waiting), row_group_size=ROW_GROUP)
