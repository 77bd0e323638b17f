"""Inspects a source before anything is landed; ``cltv doctor`` shows the result."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from cltv_assets.errors import SourceError
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.sources.dating import Dater
from cltv_assets.sources.delivered import RAW_TRANSACTIONS
from cltv_assets.sources.files import SourceFile
from cltv_assets.sources.landing import month_at
from cltv_assets.sources.meaning import Meaning
from cltv_assets.sources.proposing import Unreadable, quoted, too_many, unreadable_times
from cltv_assets.sources.reading import CuttingReader, Reader, Survey, SurveyingReader, columns_of
from cltv_assets.sources.spreading import RANGE_BYTES

#: A source of up to so many bytes is read whole; of a larger one, lines at the beginning, the middle and the end.
WHOLE_BYTES = 16 << 20
#: Lines at each of these places, in the first, the middle and the last file.
SAMPLE_LINES = 4_096


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
    sample : pyarrow.Table
        Lines of the source, in the schema of ``raw_transactions``.
    whole : bool
        Whether these are all lines.
    continued : int
        Lines of the files that lie inside a field of the line before, and are no lines of the sample.
    sampled_lines, malformed, undatable, future : int
        Lines read, and how many of them could not be split, have no readable time, or
        are dated later than tomorrow.
    first_month, last_month : Month or None
        First and last month of the dated lines in the sample.
    before_first, after_last : int
        Lines of the sample, or rows of a table, before the first and after the last closed month of the settings.
    deliveries : tuple of Month
        Months found in place of ``{month}`` in the path.
    missing_deliveries : tuple of Month
        Closed months of the configured range without a delivery.
    skipped : tuple of str
        What lies in the source's folders, archives and workbooks and is not read.
    empty : tuple of str
        Files that hold nothing, not even a header.
    """

    path: str
    files: int
    bytes: int
    columns: tuple[str, ...]
    sample: pa.Table
    whole: bool
    continued: int
    sampled_lines: int
    malformed: int
    undatable: int
    future: int
    first_month: Month | None
    last_month: Month | None
    before_first: int
    after_last: int
    deliveries: tuple[Month, ...]
    missing_deliveries: tuple[Month, ...]
    skipped: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()


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
    columns = columns_of(reader, files)
    empty = tuple(file.name for file in files if file not in columns)
    files = list(columns)
    whole = sum(file.size for file in files) <= WHOLE_BYTES
    sampled = files if whole else list(dict.fromkeys((files[0], files[len(files) // 2], files[-1])))
    samples = []
    months = Counter[int]()
    lines = malformed = undatable = future = continued = 0
    with closing(Dater(settings, day)) as dater:
        for file in sampled:
            meaning = Meaning(settings.source, file.name)
            sample = _sample(meaning, reader, file, whole)
            continued += meaning.continued
            if sample.num_rows == 0:
                continue
            samples.append(sample)
            split = sample.filter(pc.is_null(sample["source_text"]))
            _require_split(file, sample, split)
            found, in_future = dater.date(split["transacted_at"])
            _require_dates(settings, file, split, found)
            ahead = pc.fill_null(in_future, False)
            lines += sample.num_rows
            malformed += sample.num_rows - split.num_rows
            undatable += found.null_count
            future += pc.sum(ahead).as_py() or 0
            counts = pc.value_counts(found.filter(pc.invert(ahead)).drop_null())
            months.update({count["values"]: count["counts"] for count in counts.to_pylist()})
    deliveries = tuple(sorted({file.delivery for file in files if file.delivery}))
    expected = settings.first_month.until(settings.last_month(day)) if deliveries else ()
    return SourceReport(
        path=path,
        files=len(files) + len(empty),
        bytes=sum({file.path: file.size for file in files}.values()),
        columns=columns[files[0]],
        continued=continued,
        sample=pa.concat_tables([RAW_TRANSACTIONS.arrow.empty_table(), *samples]),
        whole=whole,
        sampled_lines=lines,
        malformed=malformed,
        undatable=undatable,
        future=future,
        first_month=month_at(min(months)) if months else None,
        last_month=month_at(max(months)) if months else None,
        before_first=sum(count for at, count in months.items() if month_at(at) < settings.first_month),
        after_last=sum(count for at, count in months.items() if month_at(at) > settings.last_month(day)),
        deliveries=deliveries,
        missing_deliveries=tuple(month for month in expected if month not in deliveries),
        empty=empty,
    )


def first_lines(reader: Reader, file: SourceFile) -> Mapping[str, pa.Array]:
    """Return the columns that a reader reads, of the first lines of a file."""
    columns: dict[str, list[pa.Array]] = {}
    count = 0
    for lines in reader.read(file):
        for name, texts in lines.columns.items():
            columns.setdefault(name, []).append(texts)
        count += len(lines.numbers)
        if count >= SAMPLE_LINES:
            break
    return {name: pa.concat_arrays(texts) for name, texts in columns.items()}


def _sample(meaning: Meaning, reader: Reader, file: SourceFile, whole: bool) -> pa.Table:
    """Return all lines of a file, or those at its beginning, middle and end; only its beginning if it cannot be cut."""
    if whole:
        return _table(meaning.transactions(reader.read(file)))
    # A line that takes a field of the line before needs that line.
    if not isinstance(reader, CuttingReader) or meaning.fills_down:
        return _first(meaning.transactions(reader.read(file)))
    surveys: list[Survey] = []
    if isinstance(reader, SurveyingReader):
        surveys = [reader.survey(file, *span) for span in reader.ranges(file, RANGE_BYTES)]
    stretches = reader.stretches(file, SAMPLE_LINES, surveys)
    places = sorted({0, len(stretches) // 2, len(stretches) - 1})
    read = (reader.read(file, stretches[at]) if stretches[at] else reader.read(file) for at in places)
    return pa.concat_tables([_first(meaning.transactions(lines)) for lines in read])


def _first(batches: Iterator[pa.RecordBatch]) -> pa.Table:
    """Return the first ``SAMPLE_LINES`` lines."""
    taken, count = [], 0
    for batch in batches:
        taken.append(batch)
        count += batch.num_rows
        if count >= SAMPLE_LINES:
            break
    return _table(taken).slice(0, SAMPLE_LINES)


def _table(batches: Iterable[pa.RecordBatch]) -> pa.Table:
    return pa.Table.from_batches(batches, RAW_TRANSACTIONS.arrow)


def _require_split(file: SourceFile, sample: pa.Table, split: pa.Table) -> None:
    if split.num_rows:
        return
    line, text = sample["source_line"][0].as_py(), sample["source_text"][0].as_py()
    raise SourceError(
        f"{file.address}: none of {sample.num_rows:,} lines has as many fields as the header; see line {line}.",
        "Deliver the file with one header name for each field, or set source.delimiter to what separates them. If only "
        "empty fields at the end are lacking or too many, set source.ragged: pad.",
        quoted=f"Line {line} reads {quoted(text)}.",
    )


def _require_dates(settings: Settings, file: SourceFile, split: pa.Table, found: pa.Array) -> None:
    counting = pc.is_null(split["not_counted"].combine_chunks())
    split, found = split.filter(counting), found.filter(counting)
    unreadable = Unreadable()
    unreadable.add(split, found)
    if too_many(settings, split.num_rows, unreadable.lines) or 0 < split.num_rows == unreadable.lines:
        raise unreadable_times(settings, file.address, split.num_rows, unreadable, sampled=True)
