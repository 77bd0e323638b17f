"""Typed values as canonical text, the form that ``raw_transactions`` keeps.

A value has one spelling whatever batch it stands in, never an exponent where a
person would write none, and reads back as the same value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pt

#: Numbers whose plain spelling would have more digits than this keep their exponent.
_PLAIN_DIGITS = 40


def can_be_text(type_: pa.DataType) -> bool:
    """Return whether a column of this type holds plain values."""
    if pt.is_dictionary(type_):
        return can_be_text(type_.value_type)
    return bool(
        _is_text(type_)
        or _is_bytes(type_)
        or pt.is_integer(type_)
        or pt.is_floating(type_)
        or pt.is_decimal(type_)
        or pt.is_boolean(type_)
        or pt.is_null(type_)
        or is_time(type_)
    )


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
        If binary values are no UTF-8.
    """
    type_ = values.type
    if pt.is_dictionary(type_):
        values, type_ = values.dictionary_decode(), type_.value_type
    if pt.is_floating(type_):
        # NumPy knows each width's own shortest spelling: 2.55 as float32 is no 2.549999952316284.
        return _distinct(values, lambda distinct: map(_plain, distinct.to_numpy(zero_copy_only=False)))
    if pt.is_timestamp(type_):
        return _timestamp_text(values)
    if pt.is_date64(type_):
        values = values.cast(pa.date32())
    text = values.cast(pa.string())
    if pt.is_decimal(type_) and pc.any(pc.match_substring(text, "E")).as_py():
        return _distinct(values, lambda distinct: (format(value, "f") for value in distinct.to_pylist()))
    return text


def _is_text(type_: pa.DataType) -> bool:
    return bool(pt.is_string(type_) or pt.is_large_string(type_) or pt.is_string_view(type_))


def _is_bytes(type_: pa.DataType) -> bool:
    # Old writers leave out the mark that says that bytes are text.
    return bool(pt.is_binary(type_) or pt.is_large_binary(type_) or pt.is_binary_view(type_))


def _distinct(values: pa.Array, spell: Callable[[pa.Array], Iterable[str | None]]) -> pa.Array:
    """Spell each distinct value once: prices repeat."""
    encoded = values.dictionary_encode()
    spelled = pa.array(list(spell(encoded.dictionary)), pa.string())
    return spelled.take(encoded.indices)


def _plain(value: np.floating[Any]) -> str | None:
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
    # The stored numbers count UTC: without the zone they read as UTC wall-clock time.
    naive = values.cast(pa.int64()).cast(pa.timestamp(values.type.unit))
    if values.type.unit == "ns":
        naive = pc.floor_temporal(naive, unit="microsecond")
    # The same text as strftime's, which takes fifty times as long.
    text = naive.cast(pa.timestamp("us")).cast(pa.string())
    text = pc.replace_substring_regex(text, r"\.000000$", "")
    return pc.binary_join_element_wise(text, "+00:00", "") if aware else text
