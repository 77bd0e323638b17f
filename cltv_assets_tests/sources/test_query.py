"""A query over delivered files: joins, expressions, errors with their place, and nothing else within its reach."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cltv_assets.errors import ConfigError, SourceError
from cltv_assets.months import Month
from cltv_assets.settings import Settings, load_settings
from cltv_assets.sources import TransactionSource, new_source
from cltv_assets_tests.sources.conftest import TODAY, landed, read_all

JOIN = """SELECT o.id AS transaction_id, c.person AS customer_id, o.day AS transacted_at,
       i.price::DECIMAL(18, 2) * i.pieces::INT AS amount
FROM orders o
JOIN items i ON i.order_id = o.id
JOIN customers c ON c.customer = o.customer
WHERE o.state <> 'void'
"""
PATHS = {"orders": "orders/*.csv", "items": "items.csv", "customers": "customers.csv"}


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "orders").mkdir()
    (tmp_path / "orders/1.csv").write_text("id,customer,day,state\n1,a,2024-01-05,ok\n2,b,2024-02-03,ok\n")
    (tmp_path / "orders/2.csv").write_text("customer,id,day,state\na,3,2024-02-09,void\nb,4,2024-02-10,ok\n")
    (tmp_path / "items.csv").write_text("order_id,price,pieces\n1,2.50,2\n1,7.00,1\n2,1.10,3\n3,9.99,1\n4,,1\n")
    (tmp_path / "customers.csv").write_text("customer,person\na,Ann\nb,Bo\n")
    return tmp_path


@pytest.fixture
def source_of(shop: Path) -> Callable[..., TransactionSource]:
    def opened(query: str = JOIN, **source: Any) -> TransactionSource:
        values = {"kind": "csv", "paths": PATHS, "query": query, **source}
        settings = Settings.model_validate({"source": values, "start_month": "2024-01", "home": shop})
        return new_source(settings, TODAY)

    return opened


def test_joins_filters_and_expressions(source_of: Callable[..., TransactionSource], tmp_path: Path) -> None:
    source = source_of()
    rows = read_all(source)
    assert [(r["transaction_id"], r["customer_id"], r["transacted_at"], r["amount"]) for r in rows] == [
        ("1", "Ann", "2024-01-05", "5.00"),
        ("1", "Ann", "2024-01-05", "7.00"),
        ("2", "Bo", "2024-02-03", "3.30"),
        # An empty field is null in the query too, and so is what is made of it.
        ("4", "Bo", "2024-02-10", None),
    ]
    assert [(r["source_file"], r["source_line"]) for r in rows] == [("source.query", n) for n in (1, 2, 3, 4)]
    assert len(landed(source, "2024-02", tmp_path / "landed")) == 2
    assert source.line_counts([Month.parse("2024-01")]) == {Month.parse("2024-01"): 2}


def test_a_file_that_changes_changes_the_source(source_of: Callable[..., TransactionSource], shop: Path) -> None:
    source = source_of()
    (before,) = source.list_files()
    assert source.list_files() == [before]
    (shop / "customers.csv").write_text("customer,person\na,Ann\nb,Bob\n")
    assert source.list_files() != [before]


def test_other_names_of_columns_and_what_lines_mean(source_of: Callable[..., TransactionSource]) -> None:
    columns = {"customer_id": "who", "transacted_at": "day", "amount": "total", "status": "state"}
    query = "SELECT customer AS who, day, state, 5 AS total -- all of them\nFROM orders"
    rows = read_all(source_of(query, columns=columns, count_status="ok"))
    assert [(row["customer_id"], row["amount"], row["not_counted"]) for row in rows] == [
        ("a", "5", None), ("a", "5", "state: void"), ("b", "5", None), ("b", "5", None),
    ]  # fmt: skip


#: What is wrong with a query, and what the message says.
WRONG = [
    (
        JOIN.replace("o.state <>", "o.status <>"),
        r"line 6, column 7: .*does not have a column named \"status\"",
        "state",
    ),
    (JOIN.replace("JOIN items", "JOIN itmes"), r"line 4, column 6: .*itmes does not exist", 'Did you mean "items"'),
    (JOIN.replace("FROM", "FORM"), "line 3, column ", "source.paths"),
    ("SELECT * FROM read_csv('/etc/passwd')", "disabled by configuration", ""),
    ("SELECT * FROM 'items.csv'", "disabled by configuration", ""),
    ("ATTACH 'other.db'", "is not one SELECT", ""),
    ("DROP TABLE orders; SELECT 1", "is not one SELECT", ""),
    (JOIN.replace("i.pieces::INT", "c.person::INT"), "Conversion Error.*'Ann'", "TRY_CAST"),
    ("SELECT id AS transaction_id, day AS transacted_at, 1 AS amount FROM orders", "no column 'customer_id'", "id"),
    ("SELECT 1 AS transaction_id, [1] AS customer_id, day AS transacted_at, 1 AS amount FROM orders", "no plain", ""),
]


@pytest.mark.parametrize(("query", "said", "remedy"), WRONG)
def test_a_wrong_query_is_refused_with_its_place(
    source_of: Callable[..., TransactionSource], query: str, said: str, remedy: str
) -> None:
    with pytest.raises(SourceError, match=said) as caught:
        read_all(source_of(query))
    assert caught.value.problem.startswith("source.query")
    assert remedy in caught.value.remedy
    # Of the data, not of the query: Dagster is not told.
    assert "Ann" not in caught.value.recorded


def test_no_line_of_its_files_is_lost(source_of: Callable[..., TransactionSource], shop: Path) -> None:
    (shop / "customers.csv").write_text("customer,person\na,Ann\nb,Bo,b@x\n")
    with pytest.raises(SourceError, match=r"customers\.csv, line 3: .*'b,Bo,b@x'"):
        read_all(source_of())


def test_files_of_another_form_are_not_put_together(source_of: Callable[..., TransactionSource], shop: Path) -> None:
    (shop / "orders/2.csv").write_text("id,customer,day,status\n3,a,2024-02-09,void\n")
    with pytest.raises(SourceError, match=r"2\.csv: its columns differ .* source\.paths\.orders: state, status"):
        read_all(source_of())


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{kind: csv, query: SELECT 1}", "query and paths go together"),
        ("{kind: csv, path: a.csv, paths: {a: a.csv}, query: SELECT 1}", "name the files in paths instead of path"),
        ("{kind: csv, paths: {a-b: a.csv}, query: SELECT 1}", "'a-b' cannot be a table's name"),
        ("{kind: csv, paths: {a: '{month}.csv'}, query: SELECT 1}", "has no meaning with query"),
    ],
)
def test_settings_that_do_not_go_together(source: str, said: str) -> None:
    Path("cltv.yaml").write_text(f"source: {source}\nstart_month: 2024-01\n")
    with pytest.raises(ConfigError, match=said):
        load_settings(Path("cltv.yaml"), {})
