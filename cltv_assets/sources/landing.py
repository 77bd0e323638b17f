"""The landing cache: every file parsed once, its lines filed by month.

A process that lands 18 months, or 100, parses no file twice. Lines are processed in
batches: first into one staging file with the month of each line, then, when the months
of whole files are known, into a folder for each month. The cache is valid for one day,
because the boundary of the future moves at midnight.
"""

from __future__ import annotations

import datetime as dt
import shutil
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from cltv_assets.files.scratch import ScratchFolder
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.sources.contents import CONTENTS, MonthContent
from cltv_assets.sources.dating import Dater
from cltv_assets.sources.delivered import RAW_TRANSACTIONS
from cltv_assets.sources.files import SourceFile
from cltv_assets.sources.reading import Reader

#: Why a line has the month of its file, and 'dated' where it has its own.
Dating = Literal["dated", "malformed", "undatable", "future"]

#: Number of lines dated together; many small files share one batch.
_STAGE_LINES = 131_072
_ROW_GROUP = 122_880


_STAGED = pa.schema([*RAW_TRANSACTIONS.arrow, pa.field("event_month", pa.int32()), pa.field("dating", pa.string())])

_TALLY = "SELECT source_file, event_month, dating, count(*) FROM staged GROUP BY ALL"

_FILE = """
SELECT staged.* EXCLUDE (event_month, dating), $batch AS batch, coalesce(staged.event_month, places.loose_month) AS slot
FROM staged JOIN places USING (source_file)
WHERE coalesce(staged.event_month, places.loose_month) BETWEEN $first AND $last
"""

# If a file was parsed again, an older batch still holds its stale rows.
_SERVE = """
SELECT * EXCLUDE (batch) FROM filed
WHERE (batch, source_file) IN (SELECT (batch, name) FROM wanted)
ORDER BY source_file, source_line
"""


@dataclass(frozen=True)
class FileTally:
    """How many lines of a file belong to each (month index, dating)."""

    lines: Mapping[tuple[int, Dating], int]

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
    """Files parsed together: a folder with one folder for each month."""

    number: int
    folder: Path
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
            tallies = self._parse(fresh, self._batch_count, folder)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        names = frozenset(file.name for file in fresh)
        kept = []
        for batch in self._batches:
            if batch.files <= names:
                shutil.rmtree(batch.folder, ignore_errors=True)
            else:
                kept.append(_Batch(batch.number, batch.folder, batch.files - names))
        self._batches = [*kept, _Batch(self._batch_count, folder, names)]
        self._known |= {file.name: (file, tallies[file.name]) for file in fresh}

    def tally(self, file: SourceFile) -> FileTally:
        """Return what a parsed file holds."""
        return self._known[file.name][1]

    def write(self, month: Month, files: Sequence[SourceFile], path: Path) -> int:
        """Write the lines of ``files`` that belong to ``month``, in their order; return how many there are."""
        wanted, parts = self._filed(files, f"slot={month_index(month)}")
        if not parts:
            pq.write_table(RAW_TRANSACTIONS.arrow.empty_table(), path, compression="zstd")
            return 0
        with self._connect() as connection:
            connection.register("wanted", wanted)
            connection.read_parquet(parts, hive_partitioning=False).create_view("filed")
            # pyarrow writes the file, because DuckDB declares a column without nulls as not
            # nullable, and the months' files would differ in schema.
            schema, lines = RAW_TRANSACTIONS.arrow, 0
            with pq.ParquetWriter(path, schema, compression="zstd") as writer:
                for batch in connection.sql(_SERVE).to_arrow_reader(_ROW_GROUP):
                    writer.write_table(pa.Table.from_batches([batch]).cast(schema))
                    lines += batch.num_rows
        return lines

    def contents(self, files: Sequence[SourceFile], month: Month | None = None) -> dict[tuple[str, int], MonthContent]:
        """Summarise what parsed files hold, by name and month index.

        If ``month`` is given, only that month is included; by default every closed month is.
        """
        wanted, parts = self._filed(files, f"slot={month_index(month)}" if month else "slot=*")
        if not parts:
            return {}
        with self._connect() as connection:
            connection.register("wanted", wanted)
            connection.read_parquet(parts, hive_partitioning=True).create_view("filed")
            found = connection.execute(CONTENTS).fetchall()
        return {(name, int(slot)): MonthContent(lines, f"{int(total):x}") for name, slot, lines, total in found}

    def close(self) -> None:
        """Remove everything."""
        self._scratch.close()

    def _filed(self, files: Sequence[SourceFile], slots: str) -> tuple[pa.Table, list[str]]:
        """Return which batch holds each file, and those batches' files of the months."""
        names = {file.name for file in files}
        batches = [batch for batch in self._batches if batch.files & names]
        wanted = [(batch.number, name) for batch in batches for name in sorted(batch.files & names)]
        schema = pa.schema({"batch": pa.int32(), "name": pa.string()})
        table = pa.Table.from_pylist([{"batch": number, "name": name} for number, name in wanted], schema)
        return table, [
            str(part) for batch in batches for part in sorted(batch.folder.glob(f"months/{slots}/*.parquet"))
        ]

    def _connect(self) -> duckdb.DuckDBPyConnection:
        return duckdb.connect(
            config={
                "memory_limit": self._settings.duckdb_memory_limit,
                "temp_directory": str(self._scratch.path / "spill"),
                "preserve_insertion_order": "false",
                # Rows buffered for each month before they are written; the default is 524,288.
                "partitioned_write_flush_threshold": "65536",
            }
        )

    def _parse(self, files: Sequence[SourceFile], batch: int, folder: Path) -> dict[str, FileTally]:
        staging = folder / "staging.parquet"
        self._stage(files, staging)
        with self._connect() as connection:
            connection.read_parquet(str(staging)).create_view("staged")
            counts: dict[str, dict[tuple[int | None, Dating], int]] = defaultdict(dict)
            for name, month, dating, count in connection.execute(_TALLY).fetchall():
                counts[name][month, dating] = count
            loose = {file.name: self._loose_month(file, counts[file.name]) for file in files}
            places = {"source_file": list(loose), "loose_month": pa.array(loose.values(), pa.int32())}
            connection.register("places", pa.table(places))
            connection.sql(_FILE, params={"batch": batch, "first": self._first, "last": self._last}).write_parquet(
                str(folder / "months"), compression="snappy", row_group_size=_ROW_GROUP, partition_by=["slot"]
            )
        staging.unlink(missing_ok=True)
        return {
            name: FileTally({(loose[name] if m is None else m, dating): n for (m, dating), n in counts[name].items()})
            for name in loose
        }

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

    def _stage(self, files: Sequence[SourceFile], path: Path) -> None:
        with (
            closing(Dater(self._settings, self.day)) as dater,
            pq.ParquetWriter(path, _STAGED, compression="snappy") as writer,
        ):
            for lines in self._collected(files):
                months, in_future = dater.date(lines["transacted_at"])
                writer.write_table(_with_months(lines, months, in_future))

    def _collected(self, files: Sequence[SourceFile]) -> Iterator[pa.Table]:
        """Yield the lines of all files in larger batches."""
        waiting: list[pa.RecordBatch] = []
        count = 0
        for file in files:
            for batch in self._reader.read(file):
                waiting.append(batch)
                count += batch.num_rows
                if count >= _STAGE_LINES:
                    yield pa.Table.from_batches(waiting)
                    waiting, count = [], 0
        if waiting:
            yield pa.Table.from_batches(waiting)


def _with_months(lines: pa.Table, months: pa.Array, in_future: pa.Array) -> pa.Table:
    future = pc.fill_null(in_future, False)
    dating = pc.case_when(
        pc.make_struct(pc.is_valid(lines["source_text"].combine_chunks()), pc.is_null(months), future),
        pa.scalar("malformed"),
        pa.scalar("undatable"),
        pa.scalar("future"),
        pa.scalar("dated"),
    )
    months = pc.if_else(future, pa.scalar(None, pa.int32()), months)
    return lines.append_column(_STAGED.field("event_month"), months).append_column(_STAGED.field("dating"), dating)
