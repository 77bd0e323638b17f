"""The landing cache: every file parsed once, its lines filed by month.

A process that lands 18 months, or 100, parses no file twice. Lines are written once, into a
parquet file for each month; a month that takes all of such a file takes a copy of it.
The cache is valid for one day, because the boundary of the future moves at midnight.
"""

from __future__ import annotations

import datetime as dt
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cltv_assets.files.scratch import ScratchFolder
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.sources.contents import MonthContent
from cltv_assets.sources.dating import Dater
from cltv_assets.sources.delivered import RAW_TRANSACTIONS
from cltv_assets.sources.files import SourceFile
from cltv_assets.sources.parts import ROW_GROUP, MonthParts, part_of
from cltv_assets.sources.reading import Reader

#: Why a line has the month of its file, and 'dated' where it has its own.
Dating = Literal["dated", "malformed", "undatable", "future"]


@dataclass(frozen=True)
class FileTally:
    """What a file holds.

    ``lines`` counts them by (month index, dating); ``contents`` summarises those of each kept month.
    """

    lines: Mapping[tuple[int, Dating], int]
    contents: Mapping[int, MonthContent]

    def months(self) -> Counter[int]:
        """Lines by month index."""
        found: Counter[int] = Counter()
        for (month, _), count in self.lines.items():
            found[month] += count
        return found

    def datings(self, month: int) -> dict[Dating, int]:
        """Lines of one month by the way they got it."""
        return {dating: count for (at, dating), count in self.lines.items() if at == month}


@dataclass(frozen=True)
class _Batch:
    """Files parsed together: a folder with a parquet file for each month.

    ``holds`` says whose lines a month's parquet file holds; ``files`` are those that no later
    batch has parsed again.
    """

    folder: Path
    holds: Mapping[int, frozenset[str]]
    files: frozenset[str]


def month_index(month: Month) -> int:
    """Months since year 0."""
    return month.first_day.year * 12 + month.first_day.month - 1


def month_at(index: int) -> Month:
    """Return the month of an index."""
    return Month(dt.date(index // 12, index % 12 + 1, 1))


class LandingCache:
    """Parsed files on disk. ``day`` is the current day in the configured zone."""

    def __init__(self, settings: Settings, reader: Reader, day: dt.date) -> None:
        self.day = day
        self._settings = settings
        self._reader = reader
        self._first = month_index(settings.first_month)
        self._last = max(self._first, month_index(settings.last_month(day)))
        self._scratch = ScratchFolder()
        self._batches: list[_Batch] = []
        self._batch_count = 0
        self._known: dict[str, tuple[SourceFile, FileTally]] = {}

    def ensure(self, files: Sequence[SourceFile]) -> None:
        """Parse those of ``files`` that are new or have changed since they were parsed."""
        fresh = [file for file in files if file.name not in self._known or self._known[file.name][0] != file]
        if not fresh:
            return
        self._batch_count += 1
        folder = self._scratch.path / f"batch-{self._batch_count}"
        folder.mkdir()
        try:
            tallies = self._parse(fresh, folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        names = frozenset(file.name for file in fresh)
        kept = []
        for batch in self._batches:
            if batch.files <= names:
                shutil.rmtree(batch.folder, ignore_errors=True)
            else:
                kept.append(replace(batch, files=batch.files - names))
        months = {at for tally in tallies.values() for at in tally.contents}
        holds = {at: frozenset(name for name, tally in tallies.items() if at in tally.contents) for at in months}
        self._batches = [*kept, _Batch(folder, holds, names)]
        self._known |= {file.name: (file, tallies[file.name]) for file in fresh}

    def tally(self, file: SourceFile) -> FileTally:
        """Return what a parsed file holds."""
        return self._known[file.name][1]

    def land(self, month: Month, files: Sequence[SourceFile], into: Path) -> list[Path]:
        """Put the lines of ``files`` that belong to ``month`` into a folder, as parquet files."""
        landed: list[Path] = []
        at, wanted = month_index(month), {file.name for file in files}
        for batch in self._batches:
            held = batch.holds.get(at, frozenset())
            names = held & batch.files & wanted
            if names:
                landed.append(into / f"part-{len(landed):05d}.parquet")
                part = batch.folder / part_of(at)
                if names == held:
                    shutil.copyfile(part, landed[-1])
                else:
                    _select(part, names, landed[-1])
        if not landed:
            landed.append(into / "part-00000.parquet")
            pq.write_table(RAW_TRANSACTIONS.arrow.empty_table(), landed[0], compression="zstd")
        return landed

    def close(self) -> None:
        """Remove everything."""
        self._scratch.close()

    def _parse(self, files: Sequence[SourceFile], folder: Path) -> dict[str, FileTally]:
        counts: dict[str, dict[tuple[int | None, Dating], int]] = {file.name: defaultdict(int) for file in files}
        with closing(Dater(self._settings, self.day)) as dater, MonthParts(folder, self._first, self._last) as parts:
            for lines in self._collected(files):
                months, dating = _dated(lines, dater)
                found = pa.table({"name": lines["source_file"], "month": months, "dating": dating})
                for row in found.group_by(found.column_names).aggregate([([], "count_all")]).to_pylist():
                    counts[row["name"]][row["month"], row["dating"]] += row["count_all"]
                parts.add(lines, months)
            loose = {file.name: self._loose_month(file, counts[file.name]) for file in files}
            parts.place(loose)
        tallies: dict[str, Counter[tuple[int, Dating]]] = defaultdict(Counter)
        for name, found in counts.items():
            for (at, dating), lines in found.items():
                tallies[name][loose[name] if at is None else at, dating] += lines
        contents: dict[str, dict[int, MonthContent]] = defaultdict(dict)
        for (name, at), content in parts.contents().items():
            contents[name][at] = content
        return {name: FileTally(tallies[name], contents[name]) for name in counts}

    def _loose_month(self, file: SourceFile, counts: Mapping[tuple[int | None, Dating], int]) -> int:
        """Return the month for those of the file's lines that have no month of their own."""
        if file.delivery is not None:
            return month_index(file.delivery)
        lines: Counter[int] = Counter()
        for (month, _), count in counts.items():
            if month is not None:
                lines[month] += count
        # Take the month of most of its lines. One late line must not move all undatable lines into its month.
        usual = min(lines, key=lambda month: (-lines[month], month), default=self._first)
        return min(max(usual, self._first), self._last)

    def _collected(self, files: Sequence[SourceFile]) -> Iterator[pa.Table]:
        """Yield the lines of all files in larger batches; many small files share one."""
        waiting: list[pa.RecordBatch] = []
        count = 0
        for file in files:
            for batch in self._reader.read(file):
                waiting.append(batch)
                count += batch.num_rows
                if count >= ROW_GROUP:
                    yield pa.Table.from_batches(waiting)
                    waiting, count = [], 0
        if waiting:
            yield pa.Table.from_batches(waiting)


def _dated(lines: pa.Table, dater: Dater) -> tuple[pa.Array, pa.Array]:
    """Return each line's own month index, null where it has none, and its dating."""
    months, in_future = dater.date(lines["transacted_at"])
    future = pc.fill_null(in_future, False)
    dating = pc.case_when(
        pc.make_struct(pc.is_valid(lines["source_text"].combine_chunks()), pc.is_null(months), future),
        pa.scalar("malformed"),
        pa.scalar("undatable"),
        pa.scalar("future"),
        pa.scalar("dated"),
    )
    return pc.if_else(future, pa.scalar(None, pa.int32()), months), dating


def _select(part: Path, names: frozenset[str], target: Path) -> None:
    wanted = pa.array(sorted(names), pa.string())
    with pq.ParquetFile(part) as source, pq.ParquetWriter(target, RAW_TRANSACTIONS.arrow, compression="zstd") as writer:
        for group in range(source.num_row_groups):
            lines = source.read_row_group(group)
            writer.write_table(lines.filter(pc.is_in(lines["source_file"], wanted)))
