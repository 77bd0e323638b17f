"""Typed values become one canonical text each."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cltv_assets.errors import SourceError
from cltv_assets.sources.parquet_files import as_text
from cltv_assets_tests.sources.conftest import Opener, read_all

BERLIN = dt.timezone(dt.timedelta(hours=2))


def write(path: Path, **columns: Any) -> None:
    base = {"id": ["1"], "customer": ["c"], "when": ["2024-01-01"], "value": ["1"]}
    pq.write_table(pa.table({**base, **columns}), path)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (pa.array(["a ", "", None]), ["a ", "", None]),
        (pa.array(["a", "b"]).dictionary_encode(), ["a", "b"]),
        (pa.array(["a"], pa.large_string()), ["a"]),
        (pa.array(["a"], pa.string_view()), ["a"]),
        (pa.array(["é".encode()]), ["é"]),
        (pa.array([17850, -3, None], pa.int64()), ["17850", "-3", None]),
        (pa.array([2**64 - 1], pa.uint64()), ["18446744073709551615"]),
        (pa.array([True]), ["true"]),
        (
            pa.array([17850.0, 2.55, 1e20, 1e-7, -0.0]),
            ["17850.0", "2.55", "100000000000000000000.0", "0.0000001", "-0.0"],
        ),
        (pa.array([1e300, float("inf"), float("nan"), None]), ["1e+300", "inf", None, None]),
        (pa.array([2.55, 0.1], pa.float32()), ["2.55", "0.1"]),
        (pa.array(np.array([2.5], "float16")), ["2.5"]),
        (pa.array([Decimal("0E-10"), Decimal("1.5")], pa.decimal128(18, 10)), ["0.0000000000", "1.5000000000"]),
        (pa.array([Decimal("1.50"), None], pa.decimal128(9, 2)), ["1.50", None]),
        (pa.array([Decimal("12E3")], pa.decimal128(5, -3)), ["12000"]),
        (pa.array([dt.date(2024, 1, 2)], pa.date32()), ["2024-01-02"]),
        (pa.array([dt.date(2024, 1, 2)], pa.date64()), ["2024-01-02"]),
        (
            pa.array(
                [dt.datetime(2024, 1, 2, 3, 4, 5), dt.datetime(2024, 1, 2, 3, 4, 5, 60), None], pa.timestamp("us")
            ),
            ["2024-01-02 03:04:05", "2024-01-02 03:04:05.000060", None],
        ),
        (pa.array([1_704_164_645_000_000_999], pa.timestamp("ns")), ["2024-01-02 03:04:05"]),
        (pa.array([-1], pa.timestamp("ns")), ["1969-12-31 23:59:59.999999"]),
        (pa.array([1_704_164_645], pa.timestamp("s")), ["2024-01-02 03:04:05"]),
        (
            pa.array([dt.datetime(2024, 7, 2, 3, tzinfo=BERLIN)], pa.timestamp("ms", "Europe/Berlin")),
            ["2024-07-02 01:00:00+00:00"],
        ),
        (pa.nulls(1), [None]),
    ],
    ids=lambda value: str(value.type) if isinstance(value, pa.Array) else "",
)
def test_spelling(values: pa.Array, expected: list[str | None]) -> None:
    assert as_text(values).to_pylist() == expected


@given(st.lists(st.floats(allow_nan=False)))
def test_floats_read_back_the_same(values: list[float]) -> None:
    texts = as_text(pa.array(values, pa.float64())).to_pylist()
    assert [float(text) for text in texts] == values
    assert all("e" not in text for text, value in zip(texts, values, strict=True) if 1e-20 < abs(value) < 1e20)


@given(st.lists(st.floats(-1e7, 1e7, width=32) | st.integers(-(10**6), 10**6).map(float) | st.none()), st.booleans())
def test_floats_are_spelled_alike_in_any_company(values: list[float | None], single: bool) -> None:
    width = pa.float32() if single else pa.float64()
    alone = as_text(pa.array(values, width))
    with_odd_ones = as_text(pa.array([*values, 1e20, 1e-9], width))
    assert alone.to_pylist() == with_odd_ones.to_pylist()[:-2]


def test_float32_is_spelled_as_float32() -> None:
    values = np.random.default_rng(1).lognormal(3, 2, 1_000).astype("float32")
    texts = as_text(pa.array(values)).to_pylist()
    assert [np.float32(text) for text in texts] == list(values)
    assert max(map(len, texts)) < 14


def test_rows_are_numbered_from_one(tmp_path: Path, open_at: Opener) -> None:
    count = 150_000
    table = {
        "id": range(count),
        "customer": ["c"] * count,
        "when": [dt.date(2024, 1, 1)] * count,
        "value": [1.5] * count,
    }
    pq.write_table(pa.table(table), tmp_path / "a.parquet", row_group_size=40_000)
    rows = read_all(open_at("a.parquet", "parquet"))
    assert [row["source_line"] for row in rows] == list(range(1, count + 1))
    assert all(row["transaction_id"] == str(row["source_line"] - 1) for row in rows)
    assert rows[0]["amount"] == "1.5"


def test_a_frame_that_pandas_wrote(tmp_path: Path, open_at: Opener) -> None:
    frame = pd.DataFrame(
        {
            "id": [1, 2],
            "customer": [17850.0, None],
            "when": pd.to_datetime(["2024-01-02 08:26", None]),
            "value": ["", "1"],
        }
    )
    frame.to_parquet(tmp_path / "a.parquet")
    first, second = read_all(open_at(".", "parquet"))
    assert (first["customer_id"], first["transacted_at"], first["amount"]) == ("17850.0", "2024-01-02 08:26:00", None)
    assert (second["customer_id"], second["transacted_at"]) == (None, None)


def test_a_column_with_a_dot_beside_its_stem(tmp_path: Path, open_at: Opener) -> None:
    write(tmp_path / "a.parquet", **{"value.net": ["9"], "when.not": ["x"]})
    assert read_all(open_at("a.parquet", "parquet"))[0]["amount"] == "1"


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ({"value": pa.array([[1]])}, ["'value'", "list<", "source.columns.amount"]),
        ({"customer": pa.array([{"a": 1}])}, ["'customer'", "struct<"]),
        ({"value": pa.array([dt.timedelta(1)])}, ["'value'", "duration"]),
        ({"customer": pa.array([b"\xff"])}, ["'customer'", "no text"]),
    ],
)
def test_types_without_plain_values(
    tmp_path: Path, open_at: Opener, column: dict[str, pa.Array], expected: list[str]
) -> None:
    write(tmp_path / "a.parquet", **column)
    with pytest.raises(SourceError, match=r"a\.parquet") as raised:
        read_all(open_at("a.parquet", "parquet"))
    assert all(words in str(raised.value) for words in expected)


def test_columns_without_plain_values_that_nobody_asks_for_stop_nothing(tmp_path: Path, open_at: Opener) -> None:
    write(tmp_path / "a.parquet", tags=pa.array([[1]]), photo=pa.array([b"\xff"]), refund_value=["0.50"])
    source = open_at("a.parquet", "parquet")
    (said,) = source.unused_columns()
    assert "refund_value" in said
    assert len(read_all(source)) == 1


def test_a_typed_time_needs_the_iso_format(tmp_path: Path, open_at: Opener) -> None:
    write(tmp_path / "a.parquet", when=[dt.date(2024, 1, 1)])
    with pytest.raises(SourceError, match=r"'when'.*Set source\.timestamp_format: iso"):
        read_all(open_at("a.parquet", "parquet", source_timestamp_format="%d/%m/%Y"))


def test_a_missing_column(tmp_path: Path, open_at: Opener) -> None:
    pq.write_table(pa.table({"id": ["1"], "client": ["c"], "When": ["x"], "value": ["1"]}), tmp_path / "a.parquet")
    with pytest.raises(SourceError, match=r"a\.parquet: no columns 'customer'.*'when'.*did you mean 'When'"):
        read_all(open_at("a.parquet", "parquet"))


@pytest.mark.parametrize("content", [b"id,customer,when,value\n1,c,2024-01-01,1\n", b"PAR1" + b"x" * 99 + b"PAR1"])
def test_what_is_no_parquet(tmp_path: Path, open_at: Opener, content: bytes) -> None:
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(SourceError, match=r"a\.parquet is not a readable Parquet file"):
        read_all(open_at("a.parquet", "parquet"))


def test_damaged_pages(tmp_path: Path, open_at: Opener) -> None:
    write(tmp_path / "a.parquet", customer=["c" * 5_000])
    content = bytearray((tmp_path / "a.parquet").read_bytes())
    content[4:120] = b"\xff" * 116
    (tmp_path / "a.parquet").write_bytes(content)
    with pytest.raises(SourceError, match=r"a\.parquet"):
        read_all(open_at("a.parquet", "parquet"))


def test_a_file_that_changes_while_it_is_read(tmp_path: Path, open_at: Opener) -> None:
    count = 200_000
    columns = {name: ["1"] * count for name in ("id", "customer", "when", "value")}
    write(tmp_path / "a.parquet", **columns)
    source = open_at("a.parquet", "parquet")
    batches = source.transactions(source.list_files()[0])
    next(batches)
    with (tmp_path / "a.parquet").open("ab") as more:
        more.write(b"x")
    with pytest.raises(SourceError, match="changed while it was read"):
        list(batches)
