"""The digest of a file's lines: the same however they come, different when anything of them differs."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from cltv_assets.sources.contents import ContentDigest, MonthContent
from cltv_assets.sources.delivered import RAW_TRANSACTIONS

_LINES: list[dict[str, Any]] = [
    {"source_file": "a.csv", "source_line": 2, "customer_id": "17850", "quantity": "1", "unit_price": "2.50"},
    {"source_file": "a.csv", "source_line": 3, "customer_id": None, "quantity": "12", "unit_price": "€ 0.50"},
    {"source_file": "a.csv", "source_line": 7, "source_text": "no;fields"},
    {"source_file": "a.csv", "source_line": 9, "customer_id": "c", "quantity": "4", "unit_price": "1", "margin": "0"},
]


def _content(*batches: list[dict[str, Any]]) -> MonthContent:
    digest = ContentDigest()
    for batch in batches:
        digest.add(pa.Table.from_pylist(batch, RAW_TRANSACTIONS.arrow))
    return digest.content()


def test_lines_may_come_in_any_batches() -> None:
    whole = _content(_LINES)
    assert whole.lines == 4
    assert _content(*[[line] for line in _LINES]) == whole
    # A slice shares its buffers with the lines beside it.
    table = pa.Table.from_pylist([*_LINES[::-1], *_LINES], RAW_TRANSACTIONS.arrow)
    digest = ContentDigest()
    digest.add(table.slice(4, 1))
    digest.add(table.slice(5))
    assert digest.content() == whole


@pytest.mark.parametrize(
    "change",
    [
        {"customer_id": "17851"},
        {"customer_id": None},
        {"customer_id": ""},
        {"source_line": 4},
        {"quantity": "11", "unit_price": ".50"},
        {"currency": "GBP"},
    ],
    ids=str,
)
def test_any_change_is_seen(change: dict[str, Any]) -> None:
    assert _content([_LINES[0] | change, *_LINES[1:]]) != _content(_LINES)


def test_characters_that_move_to_the_next_line_are_seen() -> None:
    first, second = _LINES[0] | {"quantity": "11"}, _LINES[1] | {"quantity": "2"}
    assert _content([first, second]) != _content(_LINES[:2])
