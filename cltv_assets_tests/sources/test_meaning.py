"""What a source's own columns mean: which id counts, whether a line does, and refunds beside sales."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cltv_assets.months import Month
from cltv_assets.sources.meaning import fold
from cltv_assets.sources.source import TransactionSource
from cltv_assets_tests.sources.conftest import read_all

Opener = Callable[..., TransactionSource]
COLUMNS = {"transaction_id": "order", "customer_id": "who", "transacted_at": "day", "amount": "total"}


@pytest.fixture
def delivered(tmp_path: Path, open_at: Opener) -> Callable[..., list[dict[str, Any]]]:
    """Return the raw lines of a CSV text, read with some settings."""

    def read(text: str, columns: dict[str, Any] | None = None, **source: Any) -> list[dict[str, Any]]:
        (tmp_path / "a.csv").write_text(text)
        settings = {f"source_{name}": value for name, value in source.items()}
        return read_all(open_at("a.csv", source_columns=COLUMNS | (columns or {}), **settings))

    return read


def test_the_first_id_that_is_not_missing_counts(delivered):
    rows = delivered(
        "order,day,total,user,mail\n1,2024-01-01,1,77,a@x\n2,2024-01-01,1,0,b@x\n3,2024-01-01,1,,c@x\n4,2024-01-01,1,NULL,\n",
        {"customer_id": ["user", "mail"]},
        missing_values=[0],
    )
    assert [row["customer_id"] for row in rows] == ["77", "b@x", "c@x", None]


def test_date_and_time_in_two_columns_are_one_time(delivered):
    rows = delivered(
        "order,who,day,clock,total\n1,a,2024-01-01,10:00:00,1\n2,a,2024-01-02,,1\n3,a,,,1\n4,a,,11:00:00,1\n",
        {"transacted_at": ["day", "clock"]},
    )
    assert [row["transacted_at"] for row in rows] == ["2024-01-01 10:00:00", "2024-01-02", None, "11:00:00"]


def test_a_line_that_does_not_count_says_why(delivered):
    rows = delivered(
        "order,who,day,total,state,kind,void\n"
        "1,a,2024-01-01,1, Paid ,sale,\n"
        "2,a,2024-01-01,1,failed,sale,\n"
        "3,a,2024-01-01,1,,sale,\n"
        "4,a,2024-01-01,1,PAID,TEST,\n"
        "5,a,2024-01-01,1,paid,sale,2024-01-02\n",
        {"status": "state"},
        count_status=["paid"],
        where={"kind": {"not": ["test"]}, "void": {"empty": True}},
    )
    assert [row["not_counted"] for row in rows] == [
        None, "state: failed", "state: empty", "kind: TEST", "void: 2024-01-02",
    ]  # fmt: skip


def test_what_stands_on_the_first_line_of_an_order_is_that_of_all_its_lines(delivered):
    lines = ["order,who,day,total,state", "1,a,2024-01-01,1,paid", "1,,2024-01-01,1,", "2,,2024-01-01,1,"]
    # An order that goes on beyond what is read at once.
    lines += ["3,c,2024-01-01,1,void", *["3,,2024-01-01,1,"] * 6_000, "4,d,2024-01-01,1,"]
    rows = delivered("\n".join(lines) + "\n", {"status": "state"}, count_status=["paid"], fill_down=["state", "who"])
    assert [row["customer_id"] for row in rows[:3]] == ["a", "a", None]
    assert [row["not_counted"] for row in rows[:3]] == [None, None, "state: empty"]
    assert {(row["customer_id"], row["not_counted"]) for row in rows[3:-1]} == {("c", "state: void")}
    assert (rows[-1]["customer_id"], rows[-1]["not_counted"]) == ("d", "state: empty")


def test_a_refund_beside_the_sale_is_a_second_line_with_its_own_date(delivered):
    rows = delivered(
        "order,who,day,total,back,on\n"
        "1,a,2024-01-01,50,20.00,2024-03-05\n"
        "2,a,2024-01-01,50,0.00,\n"
        "3,a,2024-01-01,50,,\n"
        '4,a,2024-01-01,50,"€ 5",\n'
        "5,a,2024-01-01,50,n/a,\n"
        "6,a,2024-01-01,50,some,\n"
        "7,a,2024-01-01,50,-,\n",
        {"refund_amount": "back", "refunded_at": "on"},
    )
    refunds = {row["source_line"]: row for row in rows if row["booked_as"] == "refund"}
    # What cannot be read is not taken for nothing.
    assert sorted(refunds) == [2, 5, 7]
    assert [row["source_line"] for row in rows] == [2, 2, 3, 4, 5, 5, 6, 7, 7, 8]
    assert (refunds[2]["amount"], refunds[2]["transacted_at"]) == ("20.00", "2024-03-05")
    assert (refunds[5]["amount"], refunds[5]["transacted_at"]) == ("€ 5", "2024-01-01")
    assert all(row["amount"] == "50" for row in rows if row["booked_as"] is None)


def test_money_that_goes_out_may_have_a_column_of_its_own(delivered):
    rows = delivered(
        "order,who,day,total,debit\n1,a,2024-01-01,50,\n2,a,2024-01-02,,20\n3,a,2024-01-03,,\n",
        {"refund_amount": "debit"},
    )
    found = [(row["source_line"], row["amount"], row["booked_as"]) for row in rows]
    assert found == [(2, "50", None), (3, "20", "refund"), (4, None, None)]


def test_the_refund_belongs_to_the_month_in_which_it_was_paid(tmp_path: Path, open_at: Opener):
    (tmp_path / "a.csv").write_text(
        "order,who,day,total,back,on\n1,a,2024-01-01,50,20,2024-03-05\n2,b,2024-03-01,9,,\n"
    )
    columns = COLUMNS | {"refund_amount": "back", "refunded_at": "on"}
    source = open_at("a.csv", source_columns=columns)
    assert source.line_counts([Month.parse("2024-01"), Month.parse("2024-03")]) == {
        Month.parse("2024-01"): 1, Month.parse("2024-03"): 2,
    }  # fmt: skip


def test_a_flag_marks_refunds(delivered):
    rows = delivered(
        "order,who,day,total,SH\n1,a,2024-01-01,50,S\n2,a,2024-01-01,50,H\n3,a,2024-01-01,50, h\n",
        sign={"column": "SH", "refund": "H"},
    )
    assert [row["booked_as"] for row in rows] == [None, "refund", "refund"]


@pytest.mark.parametrize(
    ("spellings", "folding"),
    [
        (["25", "\u00a025", "25\u200b", "\ufeff25\u2009"], ["trim", "nfc"]),
        (["é", "e\u0301"], ["trim", "nfc"]),
        (["Straße@X.de", "STRASSE@x.DE"], ["casefold"]),
    ],
)
def test_spellings_of_one_id_are_one_customer(delivered, spellings, folding):
    lines = [f"{n},{text},2024-01-01,1" for n, text in enumerate(spellings)]
    rows = delivered("order,who,day,total\n" + "\n".join(lines) + "\n", customer_id_folding=folding)
    assert len({row["customer_id"] for row in rows}) == 1
    assert {fold(text, folding) for text in spellings} == {row["customer_id"] for row in rows}


def test_an_id_is_not_folded_unasked(delivered):
    rows = delivered("order,who,day,total\n1,A,2024-01-01,1\n2,a,2024-01-01,1\n3,00025,2024-01-01,1\n")
    assert [row["customer_id"] for row in rows] == ["A", "a", "00025"]
