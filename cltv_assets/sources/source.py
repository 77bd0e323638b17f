"""The source as the platform sees it: months of delivered lines.

A line belongs to the month of its event time in the configured zone. A line without
a month of its own belongs to the month of its file: it could not be split into fields,
its time cannot be read, or it is dated in the future. Every line of the source is in
exactly one month, or is counted as outside all months.
"""

from __future__ import annotations

import datetime as dt
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

import pyarrow as pa

from cltv_assets.errors import EmptyFileError, SourceError
from cltv_assets.files.object_store import ObjectStore
from cltv_assets.files.storage import Storage
from cltv_assets.months import Month
from cltv_assets.settings import Settings, Source
from cltv_assets.settings.source import LOOKED_AT
from cltv_assets.sources.contents import NO_LINES, FileContent, FileRecord, MonthContent
from cltv_assets.sources.files import SourceFile, has_months, list_files, list_others
from cltv_assets.sources.inspection import SourceReport, first_lines, inspect_files
from cltv_assets.sources.landing import LandingCache, Part, month_at, month_index
from cltv_assets.sources.meaning import read_transactions
from cltv_assets.sources.reading import ListingReader, OpeningReader, Reader, SingleReader, columns_of
from cltv_assets.sources.spreading import Workers
from cltv_assets.sources.unused import unused_columns

#: Largest number of months that an error message lists.
_SHOWN = 24


@dataclass(frozen=True)
class Landing:
    """A month's lines, written.

    For a source with ``{month}`` in its path, ``before_first``, ``after_last`` and
    ``out_of_reach`` count lines of this month's own delivery. For any other source
    they count lines of all its files, and are the same for every month.

    Parameters
    ----------
    month : Month
        Which month.
    files : list of Path
        Parquet files in the schema of ``raw_transactions``.
    parts : list of Part
        Further lines, which the workers left on the storage that they share.
    lines, source_files : int
        Lines written, which belong to the month; and files that were searched for them.
    malformed, undatable, future, late : int
        How many of ``lines`` could not be split into fields, have no readable time, are dated
        later than tomorrow, or come from deliveries of other months.
    before_first, after_last : int
        Lines of no month, dated before the first month or after the last one (not yet closed,
        or past ``end_month``).
    out_of_reach : int
        Lines of no month, because their delivery is more than a month early or more
        than ``source.late_months`` late.
    continued : int
        Lines of the files that hold lines of the month, and lie inside quoted fields of others.
    records : mapping of str to FileRecord
        What was landed of each file that holds lines of the month, and of the month's own delivery.
    empty : tuple of str
        Files that hold nothing, not even a header.
    """

    month: Month
    files: list[Path]
    parts: list[Part]
    lines: int
    source_files: int
    malformed: int
    undatable: int
    future: int
    late: int
    before_first: int
    after_last: int
    out_of_reach: int
    continued: int = 0
    records: Mapping[str, FileRecord] = field(default_factory=dict)
    empty: tuple[str, ...] = ()


@dataclass
class TransactionSource:
    """Users' transactions, by month.

    ``path`` is a file, a folder or a glob, with or without ``{month}`` in it; ``reader_for`` opens what
    it names; ``today`` replaces the current day in tests.
    """

    settings: Settings
    storage: Storage
    path: str
    reader_for: Callable[[Source], Reader]
    today: dt.date | None = None
    #: How ``s3://`` is reached, for what is read beside the transactions.
    objects: ObjectStore | None = field(default=None, repr=False)
    reader: Reader = field(init=False, repr=False)
    #: Machines that parse large deliveries, and the storage that they share.
    workers: Workers | None = field(default=None, init=False, repr=False)
    _cache: LandingCache | None = field(default=None, init=False, repr=False)
    _unused: dict[SourceFile, list[str]] = field(default_factory=dict, init=False, repr=False)
    #: Rows of a table that belong to no month, as last listed.
    _before: int = field(default=0, init=False, repr=False)
    _after: int = field(default=0, init=False, repr=False)
    _lock: threading.RLock = field(default_factory=threading.RLock, init=False, repr=False)

    def __post_init__(self) -> None:
        self.reader = self.reader_for(self.settings.source)

    def land(self, month: Month, into: Path) -> Landing:
        """Write the lines of ``month`` into a folder, in no order, and create the folder.

        Raises
        ------
        SourceError
            If a file cannot be read as configured, or the month was not delivered.
        """
        with self._lock:
            files = self.list_files()
            if self.by_month:
                own = [file for file in files if file.delivery == month]
                if not own:
                    raise self._not_delivered(month, files)
                files = [file for file in files if self._reaches(file, month)]
            else:
                own = files
            cache = self._parsed(files)
            if self.by_month and all(map(self._is_empty, own)):
                # Raises what is wrong with it: a month without its delivery is no month without sales.
                self.reader.columns(own[0])
            into.mkdir(parents=True, exist_ok=True)
            landed, parts = cache.land(month, files, into)
            at = month_index(month)
            dated: Counter[str] = Counter()
            for file in files:
                dated.update(cache.tally(file).datings(at))
            records = self._records(files, month)
            before, after, beyond = (sum(counts) for counts in zip(*map(self._outside, own), strict=True))
            if isinstance(self.reader, ListingReader):
                # What a month's unit holds of other months was dated apart from how the engine compared it.
                before, after, beyond = self._before, self._after, before + after + beyond
            return Landing(
                month=month,
                files=landed,
                parts=parts,
                lines=sum(cache.tally(file).months()[at] for file in files),
                source_files=len(files),
                malformed=dated["malformed"],
                undatable=dated["undatable"],
                future=dated["future"],
                late=sum(cache.tally(file).months()[at] for file in files if file.delivery not in (None, month)),
                before_first=before,
                after_last=after,
                out_of_reach=beyond,
                continued=sum(cache.tally(file).continued for file in files if file.name in records),
                records=records,
                empty=tuple(file.name for file in files if self._is_empty(file)),
            )

    def line_counts(self, months: Iterable[Month] | None = None) -> dict[Month, int]:
        """Count the source's lines by month, by default for all months from the first to the last closed one."""
        with self._lock:
            if months is None:
                months = self.settings.first_month.until(self.settings.last_month(self._day()))
            asked = list(months)
            files = [file for file in self.list_files() if any(self._reaches(file, month) for month in asked)]
            if isinstance(self.reader, ListingReader) and "refund_amount" not in self.settings.source.mapping:
                # The listing has counted them; a refund beside a sale would be a line more than a row.
                return {month: sum(file.size for file in files if file.delivery == month) for month in asked}
            cache = self._parsed(files)
            counts = [(file, cache.tally(file).months()) for file in files]
            return {
                month: sum(count[month_index(month)] for file, count in counts if self._reaches(file, month))
                for month in asked
            }

    def contents(self, files: Sequence[SourceFile]) -> dict[SourceFile, FileContent]:
        """Read files, as listed, and summarise what each holds of the closed months that search it.

        Raises
        ------
        SourceError
            If a file cannot be read as configured.
        """
        with self._lock:
            cache = self._parsed(files)
            found = {}
            for file in files:
                months: dict[Month, MonthContent] = {}
                if file.delivery is not None:
                    months[file.delivery] = NO_LINES
                for at, content in cache.tally(file).contents.items():
                    if self._reaches(file, month_at(at)):
                        months[month_at(at)] = content
                found[file] = FileContent(self._lines_of_months(file), months)
            return found

    def file_lines(self, names: Collection[str]) -> dict[str, int]:
        """Count the lines of those of some files that are there, of whatever month that is or will be made."""
        with self._lock:
            files = [file for file in self.list_files() if file.name in names]
            self._parsed(files)
            return {file.name: self._lines_of_months(file) for file in files}

    def inspect(self) -> SourceReport:
        """Inspect the source without landing it: the files, their headers, a sample.

        Raises
        ------
        SourceError
            If a landing would fail or reject everything.
        """
        with self._lock:
            files = self.list_files()
            if not files:
                raise self._not_delivered(self.settings.first_month, files)
            if isinstance(self.reader, ListingReader):
                # The unit of undated rows has nothing to show, and that of a month without rows neither.
                months = [file for file in files if file.delivery and file.name.endswith(file.delivery.key)]
                files = [file for file in months if file.size] or months
            report = inspect_files(self.settings, self.reader, self.path, files, self._day())
            if isinstance(self.reader, ListingReader):
                report = replace(report, before_first=self._before, after_last=self._after)
            return replace(report, skipped=tuple(self.skipped_files()))

    def unused_columns(self) -> list[str]:
        """Return what columns that no setting uses would change, of the oldest, a middle and the newest file."""
        # One without a byte has none.
        files = [file for file in self.list_files() if file.size] if self.has_files else self.list_files()
        if not files:
            return []
        files.sort(key=lambda file: (file.mtime_ns, file.name))
        newest = files[-1]
        if newest not in self._unused:
            settings = self.settings.source
            used = {name.strip() for name in (*settings.wanted, *settings.not_needed)}
            try:
                headers = columns_of(self.reader, list(dict.fromkeys((files[0], files[len(files) // 2], newest))))
            except EmptyFileError:
                return []
            names = {
                file: [name for name, count in Counter(own).items() if count == 1] for file, own in headers.items()
            }
            there = set(chain.from_iterable(names.values()))
            said = []
            # Usually every column is used, and no line need be read.
            if any(name.strip() not in used for name in there):
                samples = [
                    pa.table(dict(first_lines(self.reader_for(settings.wanting(own, LOOKED_AT)), file)))
                    for file, own in names.items()
                ]
                table = pa.concat_tables(samples, promote_options="default").combine_chunks()
                found = {name: table[name] for name in table.column_names}
                columns = {name: texts for name, texts in found.items() if name.strip() not in used}
                amount = found.get(*settings.mapping.get("amount", ("",)))
                said = unused_columns(columns, self.settings.currency, settings.gives_back, amount)
            asked = settings.keep_other_columns if isinstance(settings.keep_other_columns, tuple) else ()
            for name in (name for name in asked if name not in there):
                said.append(
                    f"source.keep_other_columns names '{name}', which no file has that was looked at: correct it."
                )
            self._unused = {newest: said}
        return self._unused[newest]

    def list_files(self) -> list[SourceFile]:
        """List the source's files, those in archives and workbooks, or the months of its table, as they are now."""
        if isinstance(self.reader, ListingReader):
            first = self.settings.first_month
            listed = self.reader.list_months(first, max(first, self.settings.last_month(self._day())))
            self._before, self._after = listed.before, listed.after
            return listed.files
        if isinstance(self.reader, SingleReader):
            return [self.reader.as_file()]
        files = []
        for file in list_files(self.storage, self.path, self.reader.suffixes):
            members = self.reader.members(file).read if isinstance(self.reader, OpeningReader) else None
            if members is None:
                files.append(file)
            else:
                files += [replace(file, name=f"{file.name}/{member}", member=member) for member in members]
        return files

    def skipped_files(self) -> list[str]:
        """List what lies in the source's folders, archives and workbooks and is not read."""
        if not self.has_files:
            return []
        files = list_files(self.storage, self.path, self.reader.suffixes)
        found = list_others(self.storage, self.path, files)
        if isinstance(self.reader, OpeningReader):
            found += [f"{file.name}/{name}" for file in files for name in self.reader.members(file).skipped]
        return sorted(found)

    def transactions(self, file: SourceFile) -> Iterator[pa.RecordBatch]:
        """Yield all lines of a file, of whatever month, in the schema of ``raw_transactions``."""
        return read_transactions(self.settings.source, self.reader, file)

    @property
    def has_files(self) -> bool:
        """Whether lines come from files that are delivered, and not from a table or a query over several."""
        return not isinstance(self.reader, ListingReader | SingleReader)

    @property
    def by_month(self) -> bool:
        """Whether each month has a delivery of its own."""
        return isinstance(self.reader, ListingReader) or has_months(self.path)

    def close(self) -> None:
        """Remove the landing cache. The next use makes a new one."""
        with self._lock:
            if self._cache is not None:
                self._cache.close()
                self._cache = None

    def _day(self) -> dt.date:
        return self.today or dt.datetime.now(self.settings.zone).date()

    def _parsed(self, files: Sequence[SourceFile]) -> LandingCache:
        """Return the cache with ``files`` in it."""
        day = self._day()
        if self._cache is not None and self._cache.day != day:
            self.close()
        if self._cache is None:
            self._cache = LandingCache(self.settings, self.reader, day, self.storage)
        self._cache.ensure(files, self.workers)
        return self._cache

    def _reaches(self, file: SourceFile, month: Month) -> bool:
        """Return whether a file is searched for a month's lines."""
        if file.delivery is None:
            return True
        ahead = month_index(file.delivery) - month_index(month)
        if isinstance(self.reader, ListingReader):
            return ahead == 0
        return -1 <= ahead <= self.settings.source.late_months

    def _records(self, files: Sequence[SourceFile], month: Month) -> dict[str, FileRecord]:
        assert self._cache is not None
        records = {}
        for file in files:
            content = self._cache.tally(file).contents.get(month_index(month), NO_LINES)
            if content.lines or file.delivery == month:
                total = self._lines_of_months(file)
                records[file.name] = FileRecord(file.size, file.mtime_ns, content.lines, content.digest, total)
        return records

    def _is_empty(self, file: SourceFile) -> bool:
        """Return whether a parsed file holds nothing, not even a header."""
        assert self._cache is not None
        if not self.has_files or self._cache.tally(file).lines:
            return False
        try:
            self.reader.columns(file)
        except EmptyFileError:
            return True
        return False

    def _lines_of_months(self, file: SourceFile) -> int:
        """Count a file's lines that belong to a present or future partition which searches the file."""
        assert self._cache is not None
        first, fixed = month_index(self.settings.first_month), self.settings.fixed_last_month
        return sum(
            count
            for at, count in self._cache.tally(file).months().items()
            if at >= first and (fixed is None or at <= month_index(fixed)) and self._reaches(file, month_at(at))
        )

    def _outside(self, file: SourceFile) -> tuple[int, int, int]:
        """Count a file's lines of no month: before the first, after the last, out of reach."""
        assert self._cache is not None
        first = month_index(self.settings.first_month)
        last = month_index(self.settings.last_month(self._day()))
        before = after = beyond = 0
        for at, count in self._cache.tally(file).months().items():
            if at < first:
                before += count
            elif at > last:
                after += count
            elif not self._reaches(file, month_at(at)):
                beyond += count
        return before, after, beyond

    def _not_delivered(self, month: Month, files: Sequence[SourceFile]) -> SourceError:
        there = sorted({file.delivery.key for file in files if file.delivery})
        if not there:
            exist = "Nothing there matches it for any month"
        elif len(there) <= _SHOWN:
            exist = f"The months there are {', '.join(there)}"
        else:
            exist = f"There are {len(there)} months from {there[0]} to {there[-1]}"
        return SourceError(
            f"The delivery of {month} is missing: nothing matches {self.path.replace('{month}', month.key)} "
            f"(source.path '{self.path}').",
            f"{exist}. Deliver the month (a header alone, if nothing was sold), or correct source.path.",
        )
