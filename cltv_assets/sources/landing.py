"""The landing cache: every file parsed once, its lines filed by month.

A process that lands 18 months, or 100, parses no file twice. Lines are written once, into a
parquet file for each month; a month that takes all of such a file takes a copy of it.
The cache is valid for one day, because the boundary of the future moves at midnight.
"""

from __future__ import annotations

import datetime as dt
import logging
import shutil
import weakref
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cltv_assets.errors import NoWorkersError
from cltv_assets.files.scratch import ScratchFolder
from cltv_assets.files.storage import Storage
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.sources.contents import BLOCK, MonthContent, joined
from cltv_assets.sources.dating import Dater
from cltv_assets.sources.delivered import RAW_TRANSACTIONS
from cltv_assets.sources.files import SourceFile
from cltv_assets.sources.meaning import read_transactions
from cltv_assets.sources.parts import LOOSE, Slot, part_of
from cltv_assets.sources.proposing import Unreadable, too_many, unreadable_times
from cltv_assets.sources.reading import CuttingReader, Reader
from cltv_assets.sources.spreading import (
    SPREAD_BYTES,
    Counts,
    Dating,
    NotSpreadError,
    Parsed,
    Parsing,
    Workers,
    new_folder,
    spread,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FileTally:
    """What a file holds.

    ``lines`` counts them by (month index, dating); ``contents`` summarises those of each kept month; ``continued``
    counts lines of the text that continue the line before, in a quoted field.
    """

    lines: Mapping[tuple[int, Dating], int]
    contents: Mapping[int, MonthContent]
    continued: int

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
class Part:
    """Lines on shared storage: parquet files, and of which source files the lines are wanted; None for all."""

    uris: Sequence[str]
    names: frozenset[str] | None


@dataclass(frozen=True)
class _Batch:
    """Files parsed together: a folder with a parquet file for each month, or shared parts.

    ``holds`` says whose lines a month's parquet file holds; ``files`` are those that no later
    batch has parsed again. ``parts`` are by slot, on shared storage, where lines without a month
    of their own stay apart; ``loose`` is the month of each file for those.
    """

    folder: Path
    holds: Mapping[int, frozenset[str]]
    files: frozenset[str]
    parts: Mapping[Slot, Sequence[str]] | None = None
    loose: Mapping[str, int] = field(default_factory=dict)
    remove: Callable[[], object] = lambda: None


def month_index(month: Month) -> int:
    """Months since year 0."""
    return month.first_day.year * 12 + month.first_day.month - 1


def month_at(index: int) -> Month:
    """Return the month of an index."""
    return Month(dt.date(index // 12, index % 12 + 1, 1))


class LandingCache:
    """Parsed files on disk. ``day`` is the current day in the configured zone."""

    def __init__(self, settings: Settings, reader: Reader, day: dt.date, storage: Storage) -> None:
        self.day = day
        first = month_index(settings.first_month)
        last = max(first, month_index(settings.last_month(day)))
        self._parsing = Parsing(settings, reader, day, first, last, BLOCK)
        self._storage = storage
        self._scratch = ScratchFolder("landing")
        self._batches: list[_Batch] = []
        self._batch_count = 0
        self._known: dict[str, tuple[SourceFile, FileTally]] = {}

    def ensure(self, files: Sequence[SourceFile], workers: Workers | None = None) -> None:
        """Parse those of ``files`` that are new or have changed since they were parsed; large ones on ``workers``."""
        fresh = [file for file in files if file.name not in self._known or self._known[file.name][0] != file]
        if not fresh:
            return
        self._batch_count += 1
        folder = self._scratch.path / f"batch-{self._batch_count}"
        folder.mkdir()
        try:
            found = self._spread(fresh, folder, workers) if workers is not None else None
            tallies, made = found if found is not None else self._parse(fresh, folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        names = made.files
        kept = []
        for batch in self._batches:
            if batch.files <= names:
                batch.remove()
            else:
                kept.append(replace(batch, files=batch.files - names))
        self._batches = [*kept, made]
        self._known |= {file.name: (file, tallies[file.name]) for file in fresh}

    def tally(self, file: SourceFile) -> FileTally:
        """Return what a parsed file holds."""
        return self._known[file.name][1]

    def land(self, month: Month, files: Sequence[SourceFile], into: Path) -> tuple[list[Path], list[Part]]:
        """Put the lines of ``files`` that belong to ``month`` into a folder, as parquet files.

        Lines that others parsed stay where they are; their parts are returned too.
        """
        landed: list[Path] = []
        parts: list[Part] = []
        at, wanted = month_index(month), {file.name for file in files}
        for batch in self._batches:
            held = batch.holds.get(at, frozenset())
            names = held & batch.files & wanted
            if not names:
                continue
            if batch.parts is not None:
                loose = frozenset(name for name in names if batch.loose[name] == at)
                if uris := batch.parts.get(at):
                    parts.append(Part(uris, None if names == held else names))
                if loose and (uris := batch.parts.get(LOOSE)):
                    parts.append(Part(uris, loose))
                continue
            landed.append(into / f"part-{len(landed):05d}.parquet")
            part = batch.folder / part_of(at)
            if names == held:
                shutil.copyfile(part, landed[-1])
            else:
                _select(part, names, landed[-1])
        if not landed and not parts:
            landed.append(into / "part-00000.parquet")
            pq.write_table(RAW_TRANSACTIONS.arrow.empty_table(), landed[0], compression="zstd")
        return landed, parts

    def close(self) -> None:
        """Remove everything."""
        for batch in self._batches:
            batch.remove()
        self._scratch.close()

    def _parse(self, files: Sequence[SourceFile], folder: Path) -> tuple[dict[str, FileTally], _Batch]:
        with self._parsing.parts(folder) as parts:
            parsed = self._parsing.parse([(file, None) for file in files], parts)
            self._require_times(files, parsed.counts)
            loose = self._loose_months(files, parsed.counts)
            parts.place(loose)
        parsed.contents = parts.contents()
        tallies, batch = self._tallied(parsed, loose, folder)
        return tallies, replace(batch, parts=None, remove=partial(shutil.rmtree, folder, ignore_errors=True))

    def _spread(
        self, files: Sequence[SourceFile], folder: Path, workers: Workers
    ) -> tuple[dict[str, FileTally], _Batch] | None:
        """Parse files on the workers; None if that is not worth it, or not possible."""
        small = sum(file.size for file in files) < SPREAD_BYTES
        # A line that takes a field of the line before needs that line.
        apart = isinstance(self._parsing.reader, CuttingReader) and not self._parsing.settings.source.fill_down
        if small or not apart:
            return None
        shared = new_folder(workers.storage)
        # A process that is killed leaves it to `cltv vacuum`.
        remove = weakref.finalize(self, _delete, workers.storage, shared)
        try:
            parsed = spread(workers, self._storage, self._parsing, files, shared)
            self._require_times(files, parsed.counts)
        except (NotSpreadError, NoWorkersError) as reason:
            remove()
            log.warning("Deliveries are parsed by the driver alone: %s", reason)
            return None
        except BaseException:
            remove()
            raise
        tallies, batch = self._tallied(parsed, self._loose_months(files, parsed.counts), folder)
        return tallies, replace(batch, remove=remove)

    def _require_times(self, files: Sequence[SourceFile], counts: Counts) -> None:
        """Refuse a file most of whose times cannot be read: its lines would be rejected in a wrong month.

        Raises
        ------
        SourceError
            For the first such file.
        """
        lines: dict[str, Counter[Dating]] = defaultdict(Counter)
        for (name, _, dating), count in counts.items():
            lines[name][dating] += count
        settings = self._parsing.settings
        for file in files:
            found = lines[file.name]
            if not too_many(settings, found.total() - found["malformed"], found["undatable"]):
                continue
            # Read it again, for the values, and without the lines that do not count.
            unreadable, split = Unreadable(), 0
            with closing(Dater(settings, self.day)) as dater:
                for batch in read_transactions(settings.source, self._parsing.reader, file):
                    counting = pc.and_(pc.is_null(batch["source_text"]), pc.is_null(batch["not_counted"]))
                    own = pa.Table.from_batches([batch]).filter(counting)
                    months, _ = dater.date(own["transacted_at"])
                    unreadable.add(own, months)
                    split += own.num_rows
            if too_many(settings, split, unreadable.lines):
                raise unreadable_times(settings, file.path, split, unreadable)

    def _tallied(self, parsed: Parsed, loose: Mapping[str, int], folder: Path) -> tuple[dict[str, FileTally], _Batch]:
        """Give each line that has no month of its own that of its file."""
        tallies: dict[str, Counter[tuple[int, Dating]]] = defaultdict(Counter)
        for (name, at, dating), lines in parsed.counts.items():
            tallies[name][loose[name] if at is None else at, dating] += lines
        blocks: dict[tuple[str, int], dict[tuple[bool, int], MonthContent]] = defaultdict(dict)
        for (name, slot, block), content in parsed.contents.items():
            month = loose[name] if slot == LOOSE else slot
            if self._parsing.first <= month <= self._parsing.last:
                blocks[name, month][slot == LOOSE, block] = content
        contents: dict[str, dict[int, MonthContent]] = defaultdict(dict)
        holds: dict[int, set[str]] = defaultdict(set)
        for (name, month), found in blocks.items():
            contents[name][month] = joined(found)
            holds[month].add(name)
        held = {month: frozenset(names) for month, names in holds.items()}
        batch = _Batch(folder, held, frozenset(loose), parsed.parts, loose)
        continued = parsed.continued
        return {name: FileTally(tallies[name], contents[name], continued[name]) for name in loose}, batch

    def _loose_months(self, files: Sequence[SourceFile], counts: Counts) -> dict[str, int]:
        dated: dict[str, Counter[int]] = defaultdict(Counter)
        for (name, month, _), lines in counts.items():
            if month is not None:
                dated[name][month] += lines
        return {file.name: self._loose_month(file, dated[file.name]) for file in files}

    def _loose_month(self, file: SourceFile, lines: Mapping[int, int]) -> int:
        """Return the month for those of the file's lines that have none, from the lines by month of the others."""
        if file.delivery is not None:
            return month_index(file.delivery)
        # Take the month of most of its lines. One late line must not move all undatable lines into its month.
        usual = min(lines, key=lambda month: (-lines[month], month), default=self._parsing.first)
        return min(max(usual, self._parsing.first), self._parsing.last)


def _delete(storage: Storage, folder: str) -> None:
    # At the process's end the store may be out of reach already.
    with suppress(Exception):
        storage.delete(folder)


def _select(part: Path, names: frozenset[str], target: Path) -> None:
    wanted = pa.array(sorted(names), pa.string())
    with pq.ParquetFile(part) as source, pq.ParquetWriter(target, RAW_TRANSACTIONS.arrow, compression="zstd") as writer:
        for group in range(source.num_row_groups):
            lines = source.read_row_group(group)
            writer.write_table(lines.filter(pc.is_in(lines["source_file"], wanted)))
