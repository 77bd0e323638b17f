"""What is read from JSON lines."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cltv_assets.errors import SourceError
from cltv_assets_tests.sources.conftest import COLUMNS, Opener, read_all

NESTED = {
    "transaction_id": "order.id",
    "customer_id": ["order.customer.email", "user"],
    "transacted_at": "at",
    "amount": "v.x",
}


def test_values_keep_their_spelling(tmp_path: Path, open_at: Opener) -> None:
    lines = [
        '{"id":12345678901234567890123,"customer":"Zo\\u00eb","when":"2024-01-02","value":12.50,"more":[{"a":1}]}',
        "",
        '{"id":true,"customer":null,"when":1.7e9}',
        '{"value":-0.10,"customer":"","id":NaN,"id":"00\\"7","when":"\u2028x"}',
    ]
    (tmp_path / "a.ndjson").write_bytes("\ufeff".encode() + "\r\n".join(lines).encode())
    rows = read_all(open_at(".", "jsonl"))
    names = ("source_line", "transaction_id", "customer_id", "transacted_at", "amount", "source_text")
    assert [tuple(row[name] for name in names) for row in rows] == [
        (1, "12345678901234567890123", "Zoë", "2024-01-02", "12.50", None),
        (3, "true", None, "1.7e9", None, None),
        (4, '00"7', None, "\u2028x", "-0.10", None),
    ]


def test_nested_fields_and_names_with_dots(tmp_path: Path, open_at: Opener) -> None:
    first = {"order": {"id": 1, "customer": {"email": "a"}}, "at": "2024-01-01", "v.x": 5, "v": {"x": 6}}
    second = {"order": {"id": 2, "customer": None}, "user": "b", "at": "2024-01-01", "v": {"x": 7}}
    (tmp_path / "a.json").write_text(f"{json.dumps(first)}\n{json.dumps(second)}\n")
    source = open_at("a.json", "jsonl", source_columns=NESTED)
    rows = read_all(source)
    assert [(r["transaction_id"], r["customer_id"], r["amount"]) for r in rows] == [("1", "a", "5"), ("2", "b", "7")]
    assert "order.customer.email" in source.inspect().columns


@pytest.mark.parametrize(
    "odd", ["[1]", "12", "{", '{"id": {"x": 1}}', '{"customer": []}', "x" * 20, '{"id": "\\ud83d"}', "[" * 5000]
)
def test_a_line_that_is_no_object_of_plain_values_keeps_its_text(tmp_path: Path, open_at: Opener, odd: str) -> None:
    line = '{"id":1,"customer":"a","when":"2024-01-01","value":1}'
    (tmp_path / "a.jsonl").write_text(f"{line}\n{odd}\r\n{line}")
    assert [row["source_text"] for row in read_all(open_at("a.jsonl", "jsonl"))] == [None, odd, None]


@pytest.mark.parametrize(
    ("text", "options", "expected"),
    [
        ('[{"id":1},\n{"id":2}]', {}, ["is one JSON array", "one object to a line"]),
        ('{\n"id": 1\n}\n', {}, ["holds no JSON object in its first 3 lines"]),
        ('{"id":1,"custmer":2,"when":3,"value":4}', {}, ["no column 'customer'", "did you mean 'custmer'"]),
        ('{"id":1,"customer":2,"when":3}', {}, ["a.jsonl, first 1 objects: no column 'value'"]),
        (
            '{"id":1,"customer":2,"when":3,"value":4,"canceled_at":5}',
            {"where": {"cancelled_at": {"empty": True}}},
            ["source.where", "did you mean 'canceled_at'"],
        ),
        ("PAR1", {}, ["is a Parquet file, not a file of JSON lines"]),
    ],
)
def test_what_cannot_be_read(
    tmp_path: Path, open_at: Opener, text: str, options: dict[str, Any], expected: list[str]
) -> None:
    (tmp_path / "a.jsonl").write_text(text)
    with pytest.raises(SourceError) as raised:
        read_all(open_at("a.jsonl", "jsonl", **{f"source_{k}": v for k, v in options.items()}))
    assert [words for words in expected if words not in str(raised.value)] == []


def test_fields_that_nothing_filled_yet_may_be_absent(tmp_path: Path, open_at: Opener) -> None:
    (tmp_path / "a.jsonl").write_text('{"id":1,"customer":2,"when":"2024-01-01","value":4}\n')
    (tmp_path / "b.jsonl").write_text("")
    columns = {**COLUMNS, "refund_amount": "refunded"}
    rows = read_all(open_at(".", "jsonl", source_columns=columns, source_where={"void": {"empty": True}}))
    assert [(row["amount"], row["not_counted"]) for row in rows] == [("4", None)]


def test_folders_name_columns(tmp_path: Path, open_at: Opener) -> None:
    (tmp_path / "in" / "when=2024-01-05").mkdir(parents=True)
    (tmp_path / "in" / "when=2024-01-05" / "a.jsonl").write_text('{"id":1,"customer":2,"value":4}\n')
    assert [row["transacted_at"] for row in read_all(open_at("in", "jsonl"))] == ["2024-01-05"]
