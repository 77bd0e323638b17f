"""Inspects a source before anything is landed; ``cltv doctor`` shows the result."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from cltv_assets.errors import SourceError
from cltv_assets.months import Month
from cltv_assets.settings import Settings, Source
from cltv_assets.sources.dating import Dater
from cltv_assets.sources.files import SourceFile
from cltv_assets.sources.landing import month_at
from cltv_assets.sources.meaning import read_transactions
from cltv_assets.sources.proposing import Unreadable, quoted, too_many, unreadable_times
from cltv_assets.sources.reading import Reader

#: Lines read of each sampled file.
SAMPLE_LINES = 10_000


@dataclass(frozen=True)
class SourceReport:
    """What a source looks like.

    Parameters
    ----------
    path : str
        As configured.
    files, bytes : int
        Files found, and their size; the header of each was checked.
    columns : tuple of str
        Column names of the first file.
    sampled_files : tuple of str
        The first and the last file; the first ``SAMPLE_LINES`` lines of each were read.
    sampled_lines, malformed, undatable, future : int
        Lines read, and how many of them could not be split, have no readable time, or
        are dated later than tomorrow.
    first_month, last_month : Month or None
        First and last month of the dated lines in the sample.
    deliveries : tuple of Month
        Months found in place of ``{month}`` in the path.
    missing_deliveries : tuple of Month
        Closed months of the configured range without a delivery.
    """

    path: str
    files: int
    bytes: int
    columns: tuple[str, ...]
    sampled_files: tuple[str, ...]
    sampled_lines: int
    malformed: int
    undatable: int
    future: int
    first_month: Month | None
    last_month: Month | None
    deliveries: tuple[Month, ...]
    missing_deliveries: tuple[Month, ...]


def inspect_files(
    settings: Settings, reader: Reader, path: str, files: Sequence[SourceFile], day: dt.date
) -> SourceReport:
    """Check every file's header, and a sample of lines.

    Raises
    ------
    SourceError
        If a header is wrong, no sampled line can be split into fields, or none has
        a readable time: landing would reject them all.
    """
    columns = [reader.columns(file) for file in files]
    sampled = list(dict.fromkeys((files[0], files[-1])))
    months: list[int] = []
    lines = malformed = undatable = future = 0
    with closing(Dater(settings, day)) as dater:
        for file in sampled:
            sample = _sample(settings.source, reader, file)
            if sample.num_rows == 0:
                continue
            split = sample.filter(pc.is_null(sample["source_text"]))
            _require_split(file, sample, split)
            found, in_future = dater.date(split["transacted_at"])
            _require_dates(settings, file, split, found)
            ahead = pc.fill_null(in_future, False)
            lines += sample.num_rows
            malformed += sample.num_rows - split.num_rows
            undatable += found.null_count
            future += pc.sum(ahead).as_py() or 0
            months += pc.unique(found.filter(pc.invert(ahead)).drop_null()).to_pylist()
    deliveries = tuple(sorted({file.delivery for file in files if file.delivery}))
    expected = settings.first_month.until(settings.last_month(day)) if deliveries else ()
    return SourceReport(
        path=path,
        files=len(files),
        bytes=sum(file.size for file in files),
        columns=columns[0],
        sampled_files=tuple(file.name for file in sampled),
        sampled_lines=lines,
        malformed=malformed,
        undatable=undatable,
        future=future,
        first_month=month_at(min(months)) if months else None,
        last_month=month_at(max(months)) if months else None,
        deliveries=deliveries,
        missing_deliveries=tuple(month for month in expected if month not in deliveries),
    )


def _sample(source: Source, reader: Reader, file: SourceFile) -> pa.Table:
    batches: list[pa.RecordBatch] = []
    count = 0
    for batch in read_transactions(source, reader, file):
        batches.append(batch)
        count += batch.num_rows
        if count >= SAMPLE_LINES:
            break
    if not batches:
        return pa.table({"source_text": pa.array([], pa.string())})
    return pa.Table.from_batches(batches).slice(0, SAMPLE_LINES)


def _require_split(file: SourceFile, sample: pa.Table, split: pa.Table) -> None:
    if split.num_rows:
        return
    line, text = sample["source_line"][0].as_py(), sample["source_text"][0].as_py()
    raise SourceError(
        f"{file.path}: none of its first {sample.num_rows:,} lines has as many fields as the header; line {line} "
        f"reads {quoted(text)}.",
        "Deliver the file with one header name for each field, or set source.delimiter to what separates them.",
    )


def _require_dates(settings: Settings, file: SourceFile, split: pa.Table, found: pa.Array) -> None:
    counting = pc.is_null(split["not_counted"].combine_chunks())
    split, found = split.filter(counting), found.filter(counting)
    unreadable = Unreadable()
    unreadable.add(split, found)
    if too_many(settings, split.num_rows, unreadable.lines) or 0 < split.num_rows == unreadable.lines:
        raise unreadable_times(settings, file.path, split.num_rows, unreadable, sampled=True)
