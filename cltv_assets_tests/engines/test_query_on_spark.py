"""A query over delivered files on Spark's executors: DuckDB's rows, or an error with its place."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlglot

from cltv_assets.engines.spark_engine import SparkEngine
from cltv_assets.errors import SourceError
from cltv_assets.files.storage import Storage
from cltv_assets.settings import Settings
from cltv_assets.sources import TransactionSource, Workers, new_source, query_machines, spreading
from cltv_assets_tests.sources.conftest import TODAY, read_all
from cltv_assets_tests.sources.test_query import JOIN, PATHS


@pytest.fixture
def spark(spark_lease: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[SparkEngine]:
    monkeypatch.setattr(query_machines, "BLOCK", 300)
    monkeypatch.setattr(spreading, "RANGE_BYTES", 3000)
    opened = SparkEngine(spark_lease.session)
    yield opened
    opened.close()


@pytest.fixture
def opened(tmp_path: Path, spark: SparkEngine) -> Callable[..., TransactionSource]:
    (tmp_path / "orders").mkdir()
    (tmp_path / "orders/1.csv").write_text("id,customer,day,state\n1,a,2024-01-05,ok\n2,b,2024-02-03,ok\n")
    (tmp_path / "orders/2.csv").write_text("customer,id,day,state\na,3,2024-02-09,void\nb,4,2024-02-10,ok\n")
    (tmp_path / "items.csv").write_text("order_id,price,pieces\n1,2.50,2\n1,7.00,1\n2,1.10,3\n3,9.99,1\n4,,1\n")
    (tmp_path / "customers.csv").write_text("customer,person\na,Ann\nb,Bo\n")

    def source(query: str = JOIN, *, on_spark: bool = True, **values: Any) -> TransactionSource:
        values = {"kind": "csv", "paths": PATHS, "query": query, **values}
        settings = Settings.model_validate({"source": values, "start_month": "2024-01", "home": tmp_path})
        made = new_source(settings, TODAY)
        if on_spark:
            made.workers = Workers(spark.workers(), Storage(str(tmp_path / "lake")), spark.querier())
        return made

    return source


def rows_of(source: TransactionSource) -> list[tuple[Any, ...]]:
    """Return all columns of the query's rows."""
    (file,) = source.list_files()
    reader = source.reader_for(source.settings.source.wanting(source.reader.columns(file)))
    found = [pa.RecordBatch.from_pydict(dict(lines.columns)) for lines in reader.read(file)]
    return list(zip(*pa.Table.from_batches(found).to_pydict().values(), strict=True))


def on_both(opened: Callable[..., TransactionSource], query: str, **values: Any) -> list[Any]:
    """Return the rows that Spark finds, which are DuckDB's."""
    found = [rows_of(opened(query, on_spark=where, **values)) for where in (True, False)]
    assert found[0] == found[1]
    return found[0]


def test_executors_find_the_rows_that_the_driver_finds(
    opened: Callable[..., TransactionSource], tmp_path: Path
) -> None:
    assert not list(tmp_path.glob("lake/_landing/*"))
    assert [amount for *_, amount in on_both(opened, JOIN)] == ["5.00", "7.00", "3.30", None]


#: Expressions over odd values that both engines must take in the same way.
EXPRESSIONS = r"""
n::DECIMAL(18, 2), n::DECIMAL, TRY_CAST(t AS DECIMAL(9, 1)), n::INT, TRY_CAST(t AS INTEGER), TRY_CAST(t AS BIGINT)
(n::DOUBLE * 2.5)::INT, (n::DECIMAL(18, 3) * 2)::BIGINT, n::DECIMAL(18, 2) / 3, n::INT / 2, TRY_CAST(t AS DOUBLE)
n::DECIMAL(18, 3) * 1.19, n::DECIMAL(18, 3) % 2, -n::INT, round(n::DECIMAL(18, 3), 1), abs(n::INT), ceil(n::DOUBLE)
floor(n::DECIMAL(18, 3)), upper(t), lower(t), trim(t), length(t), replace(t, 'e', ''), t || n, concat(t, '-', n)
starts_with(t, 'Ca'), ends_with(t, 'é'), contains(t, 'af'), strpos(t, 'f'), split_part(t, '-', 2), substring(t, 2, 2)
left(t, 2), right(t, 2), t LIKE 'C%é', t ILIKE 'c_fé', t = 'it''s', t IN ('x', 'Café'), t IS NULL, t <> 'a\b'
coalesce(t, n), nullif(t, 'x'), CASE WHEN n::INT > 1 THEN t ELSE '-' END, if(t IS NULL, 'none', t), greatest(t, n)
least(t, n), t IS DISTINCT FROM n, t < n, d::DATE, d::TIMESTAMP, date_trunc('month', d::DATE), day(d::DATE)
date_trunc('month', d::TIMESTAMP), extract('year' FROM d::TIMESTAMP), d::DATE + INTERVAL 1 MONTH, d::DATE + 3
date_diff('day', DATE '2024-01-01', d::DATE), strftime(d::TIMESTAMP, '%d/%m/%Y %H:%M:%S'), d::DATE - DATE '2024-01-01'
strptime(strftime(d::TIMESTAMP, '%Y-%m-%d'), '%Y-%m-%d'), d::TIMESTAMP::VARCHAR, n::DECIMAL(18, 2)::VARCHAR, NOT t = 'x'
lag(n) OVER (ORDER BY t DESC, n), row_number() OVER (PARTITION BY k ORDER BY t, n DESC), t::VARCHAR(2), true, 1e3, 'a\b'
sum(n::DECIMAL(18, 2)) OVER (PARTITION BY k ORDER BY t, n), first_value(t) OVER (PARTITION BY k ORDER BY t, n)
count(t) OVER (), sum(n::DECIMAL(18, 2)) OVER (PARTITION BY k) / count(n) OVER (PARTITION BY k), max(t) OVER (), dense_rank() OVER (ORDER BY k), 2 / 3
"""  # noqa: E501

ODD = r"""k,n,t,d
a,1.5,Café,2024-01-31 23:59:59
a,2.5,x,2024-02-29 00:00:00
b,-2.505,it's,2023-12-01 10:20:30
b, 7 ,a\b,2024-01-05
b,0.285,,2024-01-05 10:00:00.5
c,12,2.5,
c,1e3,-0.5,2024-01-31 23:59:59
c,-1.005,1e3,2024-01-31 23:59:59
c,,99999999999,2024-01-31 23:59:59
"""


def test_expressions_mean_what_they_mean_in_duckdb(opened: Callable[..., TransactionSource], tmp_path: Path) -> None:
    (tmp_path / "odd.csv").write_text(ODD)
    each = [one for line in EXPRESSIONS.strip().splitlines() for one in split(line)]
    names = ", ".join(f"{one} AS c{at}" for at, one in enumerate(each))
    query = f"SELECT transaction_id, * EXCLUDE (transaction_id) FROM (SELECT k AS transaction_id, {names} FROM odd)"
    found = [rows_of(opened(query, on_spark=where, paths={"odd": "odd.csv"})) for where in (True, False)]
    differing = {
        one: values
        for one, *values in zip(["k", *each], *(zip(*rows, strict=True) for rows in found), strict=True)
        if values[0] != values[1]
    }
    assert not differing


def split(line: str) -> list[str]:
    """Split a list of expressions at the commas that are in no bracket."""
    return [one.sql("duckdb") for one in sqlglot.parse_one(f"SELECT {line}", read="duckdb").expressions]


#: Queries whose parts Spark has under other names, or not at all.
QUERIES = [
    "WITH orders AS (SELECT * FROM orders WHERE state = 'ok') SELECT id AS transaction_id FROM orders"
    " UNION ALL FROM orders SELECT day",
    "SELECT DISTINCT ON (customer) customer AS transaction_id, id FROM orders ORDER BY customer, id DESC -- the last",
    "SELECT id AS transaction_id FROM orders QUALIFY row_number() OVER (PARTITION BY customer ORDER BY day DESC) = 1;",
    "SELECT * EXCLUDE (state), count(*) FROM orders o LEFT JOIN items i ON i.order_id = o.id GROUP BY ALL",
    "SELECT id AS transaction_id FROM orders o ANTI JOIN items i ON i.order_id = o.id AND i.price IS NOT NULL",
    "SELECT id AS transaction_id, sum(pieces::INT) FILTER (WHERE price <> '') AS n, (SELECT max(person) FROM customers)"
    " FROM orders JOIN items ON order_id = id WHERE id IN (SELECT order_id FROM items) GROUP BY id HAVING n > 0",
]


@pytest.mark.parametrize("query", QUERIES)
def test_queries_give_the_rows_of_duckdb(opened: Callable[..., TransactionSource], query: str) -> None:
    assert on_both(opened, query)


#: What is wrong with a query on Spark, and what the message says.
WRONG = [
    (
        JOIN.replace("o.state <>", "o.status <>"),
        r"line 6, column 7: .*does not have a column named \"status\"",
        "state",
    ),
    (JOIN.replace("FROM", "FORM"), "line 3, column .*syntax error", "source.paths"),
    (JOIN.replace("i.pieces::INT", "c.person::INT"), r"source\.query, line 2, column 34: .*'Ann'", "TRY_CAST"),
    (
        "SELECT id AS transaction_id, customer AS customer_id, day AS transacted_at,\n 1 AS amount,"
        " id::INT AS number FROM orders WHERE\n number > 1",
        r"source\.query, line 3, column 2: .*`number`",
        "DuckDB",
    ),
    (
        "SELECT (SELECT max(day::INT) FROM orders WHERE id = 'x') AS transaction_id, customer AS customer_id,\n"
        "  day::INT AS amount, day AS transacted_at FROM orders",
        r"source\.query, line 2, column 3: .*'2024-",
        "TRY_CAST",
    ),
    (
        f"SELECT *,\n  list(1) OVER () AS n FROM (\n{JOIN}\n)",
        r"line 2, column 3: ARRAY_AGG\(1\).* is not known to mean",
        "engine: duckdb",
    ),
    (
        "SELECT id AS transaction_id, customer AS customer_id, day AS transacted_at, '1' AS amount FROM orders\n"
        "UNION ALL SELECT 0, '', '', '2'",
        r"line 1, column 8: SELECT id .* is not known to mean",
        "engine: duckdb",
    ),
    ("INSERT INTO orders SELECT * FROM orders", "is not one SELECT", "only reads"),
    ("CREATE TABLE stolen AS SELECT * FROM orders", "is not one SELECT", "only reads"),
    ("SELECT java_method('java.lang.System', 'exit', 1) AS id", "line 1, column 8: .*java_method does not exist", ""),
    ("SELECT * FROM csv.`/etc/passwd`", "line 1, column 15: .*csv", ""),
    ('SELECT * FROM csv."/etc/passwd"', "line 1, column 15: .*csv", ""),
    ("SELECT * FROM 'items.csv'", "disabled by configuration", ""),
]


@pytest.mark.parametrize(("query", "said", "remedy"), WRONG)
def test_a_wrong_query_is_refused_with_its_place(
    opened: Callable[..., TransactionSource], query: str, said: str, remedy: str
) -> None:
    with pytest.raises(SourceError, match=said) as caught:
        read_all(opened(query))
    assert caught.value.problem.startswith("source.query")
    assert remedy in caught.value.remedy


def test_large_files_are_read_in_stretches_and_sorted(
    opened: Callable[..., TransactionSource], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = []
    spread = query_machines._rows

    def counted(*given: Any) -> Any:
        rows = spread(*given)
        counts.append(rows[2])
        return rows

    monkeypatch.setattr(query_machines, "_rows", counted)
    lines = [f"{at * 7919 % 10_007},a,2024-01-{at % 28 + 1:02},ok" for at in range(4000)]
    (tmp_path / "orders/1.csv").write_text("\n".join(["id,customer,day,state", *lines]))
    rows = on_both(opened, "SELECT id AS transaction_id, customer, day FROM orders")
    assert len(rows) == 4002
    assert rows == sorted(rows)
    assert counts[0] > 10


def test_forms_of_files_are_what_they_are_on_one_machine(
    opened: Callable[..., TransactionSource], tmp_path: Path
) -> None:
    query = """SELECT "order id" AS transaction_id, "customer.name" AS customer_id, "it's `odd`" AS amount FROM lines"""
    rows = [{"order id": n, "customer": {"name": f"Zoë {n}"}, "it's `odd`": n / 4 or None} for n in range(3)]
    with gzip.open(tmp_path / "a.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write("\n".join(map(json.dumps, rows)))
    assert len(on_both(opened, query, kind="jsonl", paths={"lines": "a.jsonl.gz"})) == 3
    flat = [{**row, "customer.name": "Ann", "customer": None} for row in rows]
    (tmp_path / "p/customer=7").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(flat).drop_columns("customer"), tmp_path / "p/customer=7/x.parquet")
    both = query.replace("amount", "amount, customer")
    assert on_both(opened, both, kind="parquet", paths={"lines": "p"})[1] == ("1", "Ann", "0.25", "7")
    (tmp_path / "b.csv").write_bytes("Title\n1;Zoë;2\n2;Bé".encode("cp1252"))
    form = {"delimiter": ";", "encoding": "cp1252", "header": False, "skip_rows": 1, "ragged": "pad"}
    query = 'SELECT "1" AS transaction_id, "2" AS customer_id, "3" AS amount FROM lines'
    assert on_both(opened, query, paths={"lines": "b.csv"}, **form) == [("1", "Zoë", "2"), ("2", "Bé", None)]


def test_a_line_that_cannot_be_split_is_named_by_the_executor(
    opened: Callable[..., TransactionSource], tmp_path: Path
) -> None:
    (tmp_path / "customers.csv").write_text("customer,person\na,Ann\nb,Bo,b@x\n")
    with pytest.raises(SourceError, match=r"customers\.csv, line 3: .*'b,Bo,b@x'"):
        read_all(opened())


def test_the_driver_runs_it_where_the_executors_do_not_see_the_files(
    opened: Callable[..., TransactionSource], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(query_machines, "Sight", lambda storage: spreading.Sight(storage, "0.0.0"))
    assert len(read_all(opened())) == 4
    assert "source.query is run by the driver alone: the executors have version" in caplog.text


def test_it_runs_once_until_a_file_changes(
    opened: Callable[..., TransactionSource], spark: SparkEngine, tmp_path: Path
) -> None:
    ran = []
    source, query = opened(), spark.querier()

    def counted(*given: Any) -> None:
        ran.append(given)
        query(*given)

    source.workers = Workers(spark.workers(), Storage(str(tmp_path / "lake")), counted)
    assert read_all(source) == read_all(source)
    assert source.unused_columns() == []
    assert len(ran) == 1
    (tmp_path / "customers.csv").write_text("customer,person\na,Ann\nb,Bob\n")
    assert {row["customer_id"] for row in read_all(source)} == {"Ann", "Bob"}
    assert len([*(tmp_path / "lake/_landing").iterdir()]) == 1
