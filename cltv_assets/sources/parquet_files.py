"""Reading Parquet files: typed columns become text, rows are numbered from 1.

``raw_transactions`` holds text. A value is spelled the same in every batch, has no exponent
where a person would not write one, and reads back as the same value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pyarrow.types as pt

from cltv_assets.errors import EmptyFileError, SourceError
from cltv_assets.files.storage import Storage
from cltv_assets.settings import Source
from cltv_assets.settings.source import LOOKED_AT
from cltv_assets.sources.files import SourceFile
from cltv_assets.sources.header import find_columns, other_places
from cltv_assets.sources.parts import ROW_GROUP
from cltv_assets.sources.reading import Lines, Stretch, Survey, reading, values_in_path, with_path_values

#: Numbers whose plain spelling would have more digits than this keep their exponent.
_PLAIN_DIGITS = 40


class ParquetReader:
    """Reads Parquet files with the columns and the time format that ``source`` names."""

    suffixes: tuple[str, ...] = (".parquet",)

    def __init__(self, storage: Storage, source: Source) -> None:
        self._storage = storage
        self._source = source

    def columns(self, file: SourceFile) -> tuple[str, ...]:
        """Return the names of the file's columns of plain values, and those that its path gives."""
        with self._open(file) as parquet:
            self._places(file, parquet.schema_arrow)
            names = tuple(field.name for field in parquet.schema_arrow if can_be_text(field.type))
            return (*names, *(name for name in values_in_path(file) if name not in names))

    def stretches(self, file: SourceFile, block: int, surveys: Sequence[Survey]) -> list[Stretch | None]:  # noqa: ARG002
        """Cut the file by its footer into whole blocks of rows, so that no row group is read by more than two."""
        if file.size == 0:
            return [None]
        with self._open(file) as parquet:
            self._places(file, parquet.schema_arrow)
            found: list[Stretch | None] = []
            first, end = 1, 0
            for group in range(parquet.num_row_groups):
                end += parquet.metadata.row_group(group).num_rows
                if end >= first:
                    last = (end // block + 1) * block - 1
                    found.append(Stretch(first, last))
                    first = last + 1
            return found or [None]

    def read(self, file: SourceFile, stretch: Stretch | None = None) -> Iterator[Lines]:
        """Yield all rows or those of a stretch, each value as text."""
        return with_path_values(self._read(file, stretch), file, self._source.wanted)

    def _read(self, file: SourceFile, stretch: Stretch | None) -> Iterator[Lines]:
        with self._open(file) as parquet:
            places = self._places(file, parquet.schema_arrow)
            there = parquet.schema_arrow.names
            for name, at in other_places(there, self._source).items():
                # By a name that stands there twice Arrow finds neither.
                if can_be_text(parquet.schema_arrow.field(at).type) and there.count(there[at]) == 1:
                    places[name] = at
            names = {name: there[at] for name, at in places.items()}
            groups, row = _groups(parquet.metadata, stretch)
            for batch in parquet.iter_batches(
                ROW_GROUP, row_groups=groups, columns=list(names.values()), use_threads=False
            ):
                first, row = row, row + batch.num_rows
                if stretch is not None:
                    skipped = min(max(stretch.first - first, 0), batch.num_rows)
                    first += skipped
                    batch = batch.slice(skipped, max(stretch.last + 1 - first, 0))
                    if not batch.num_rows:
                        continue
                texts = {name: self._text(file, name, batch.column(own)) for name, own in names.items()}
                yield Lines(pa.array(np.arange(first, first + batch.num_rows), pa.int64()), texts)

    @contextmanager
    def _open(self, file: SourceFile) -> Iterator[Any]:
        with reading(self._storage, file.path):
            if file.size == 0:
                raise EmptyFileError(f"{file.path} is empty (0 bytes).", "Deliver it again, or remove it.")
            try:
                with self._storage.open(file.path) as stream, pq.ParquetFile(stream) as parquet:
                    yield parquet
            except pa.ArrowException as error:
                raise SourceError(
                    f"{file.path} is not a readable Parquet file: {' '.join(str(error).split())}.",
                    "Deliver it again; if it is text, set source.kind: csv.",
                ) from None

    def _places(self, file: SourceFile, schema: pa.Schema) -> dict[str, int]:
        """Check the types of the wanted columns and return the columns' positions."""
        places = find_columns(schema.names, self._source.wanted, file.path, given=values_in_path(file))
        formats = self._source.timestamp_format
        for name, at in places.items():
            field = schema.field(at)
            if not can_be_text(field.type):
                raise SourceError(
                    f"{file.path}, column '{field.name}' ({self._source.wanted[name]}): its type {field.type} "
                    "holds no plain values.",
                    "Write one text, number, date or timestamp to a row of that column, or name another one.",
                )
            if is_time(field.type) and name in self._source.columns["transacted_at"] and "iso" not in formats:
                raise SourceError(
                    f"{file.path}, column '{field.name}': it is a {field.type}, which source.timestamp_format "
                    f"'{' or '.join(formats)}' cannot read.",
                    "Set source.timestamp_format: iso.",
                )
        return places

    def _text(self, file: SourceFile, name: str, values: pa.Array) -> pa.Array:
        try:
            return as_text(values)
        except pa.ArrowException as error:
            if self._source.wanted.get(name, LOOKED_AT) == LOOKED_AT:
                return pa.nulls(len(values), pa.string())
            raise SourceError(
                f"{file.path}, column '{name}' ({self._source.wanted[name]}): values that are no text.",
                "Write that column as text, number, date or timestamp.",
                quoted=f"It says: {' '.join(str(error).split())}.",
            ) from None


def _groups(metadata: pq.FileMetaData, stretch: Stretch | None) -> tuple[list[int], int]:
    """Return the row groups that hold a stretch, and the number of the first row in them."""
    ends = np.cumsum([metadata.row_group(at).num_rows for at in range(metadata.num_row_groups)])
    if stretch is None:
        return list(range(len(ends))), 1
    begins = np.concatenate(([0], ends[:-1]))
    groups = [at for at in range(len(ends)) if ends[at] >= stretch.first and begins[at] < stretch.last]
    return groups, int(begins[groups[0]]) + 1 if groups else 1


#: Types of plain values. Old writers do not mark bytes as text, so binary is included.
_PLAIN_TYPES: tuple[Callable[[pa.DataType], bool], ...] = (
    pt.is_string, pt.is_large_string, pt.is_string_view, pt.is_binary, pt.is_large_binary, pt.is_binary_view,
    pt.is_integer, pt.is_floating, pt.is_decimal, pt.is_boolean, pt.is_null, pt.is_timestamp, pt.is_date,
)  # fmt: skip


def can_be_text(type_: pa.DataType) -> bool:
    """Return whether a column of this type holds plain values."""
    if pt.is_dictionary(type_):
        return can_be_text(type_.value_type)
    return any(is_one(type_) for is_one in _PLAIN_TYPES)


def is_time(type_: pa.DataType) -> bool:
    """Return whether a column of this type holds dates or timestamps."""
    return bool(pt.is_timestamp(type_) or pt.is_date(type_))


def as_text(values: pa.Array) -> pa.Array:
    """Return values as text.

    Timestamps are ISO, with six digits after the second where there is a fraction
    and with ``+00:00`` where they have a time zone; floats are the shortest
    spelling that reads back the same (``17850.0`` keeps its ``.0``); a float NaN,
    which is how data frames write a missing number, is null.

    Raises
    ------
    pyarrow.ArrowInvalid
        If binary values are not UTF-8.
    """
    type_ = values.type
    if pt.is_dictionary(type_):
        values, type_ = values.dictionary_decode(), type_.value_type
    if pt.is_floating(type_):
        return _float_text(values)
    if pt.is_timestamp(type_):
        return _timestamp_text(values)
    if pt.is_date64(type_):
        values = values.cast(pa.date32())
    text = values.cast(pa.string())
    if pt.is_decimal(type_) and pc.any(pc.match_substring(text, "E")).as_py():
        return _distinct(values, lambda distinct: (format(value, "f") for value in distinct.to_pylist()))
    return text


def _float_text(values: pa.Array) -> pa.Array:
    # Arrow and NumPy spell each width in its shortest form: 2.55 as float32 does not become
    # 2.549999952316284. Outside these bounds Arrow writes exponents.
    if not pt.is_float16(values.type):
        values = pc.if_else(pc.is_nan(values), pa.scalar(None, values.type), values)
        size = pc.abs(values)
        usual = pc.or_(pc.and_(pc.greater_equal(size, 1e-4), pc.less(size, 1e6)), pc.equal(size, 0))
        if pc.all(usual).as_py() is not False:
            # Arrow writes a whole number without the point.
            point = pc.if_else(pc.equal(pc.trunc(values), values), ".0", "")
            return pc.binary_join_element_wise(values.cast(pa.string()), point, "")
    return _distinct(values, lambda distinct: map(_plain, distinct.to_numpy(zero_copy_only=False)))


def _distinct(values: pa.Array, spell: Callable[[pa.Array], Iterable[str | None]]) -> pa.Array:
    """Spell each distinct value only once, because prices repeat."""
    encoded = values.dictionary_encode()
    spelled = pa.array(list(spell(encoded.dictionary)), pa.string())
    return spelled.take(encoded.indices)


def _plain(value: np.floating[Any]) -> str | None:
    # A null became NaN on its way to NumPy.
    if np.isnan(value):
        return None
    text = str(value)
    if "e" not in text:
        return text
    plain = format(Decimal(text), "f")
    if len(plain) > _PLAIN_DIGITS:
        return text
    return plain if "." in plain else plain + ".0"


def _timestamp_text(values: pa.Array) -> pa.Array:
    aware = values.type.tz is not None
    # The stored numbers are in UTC, so without the zone they read as UTC wall-clock time.
    naive = values.cast(pa.int64()).cast(pa.timestamp(values.type.unit))
    if values.type.unit == "ns":
        naive = pc.floor_temporal(naive, unit="microsecond")
    naive = naive.cast(pa.timestamp("us"))
    seconds = naive.cast(pa.timestamp("s"), safe=False)
    # A cast gives the same text as strftime, which takes fifty times as long.
    if pc.all(pc.equal(seconds, naive)).as_py() is not False:
        text = seconds.cast(pa.string())
    else:
        text = pc.replace_substring_regex(naive.cast(pa.string()), r"\.000000$", "")
    return pc.binary_join_element_wise(text, "+00:00", "") if aware else text
