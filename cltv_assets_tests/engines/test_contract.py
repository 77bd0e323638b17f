"""What steps and checks rely on, held against every engine."""

from __future__ import annotations

import datetime as dt
import gc
import os
import re
from decimal import Decimal

import duckdb
import ibis
import ibis.expr.operations as ops
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cltv_assets.engines import duckdb_engine, open_engine
from cltv_assets.engines.duckdb_engine import DuckDBEngine
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets_tests.engines import contract
from cltv_assets_tests.engines.contract import EVERY_TYPE, ROWS


def test_types_and_values_pass_through_unchanged(engine):
    contract.check_types_are_kept(engine)


def test_written_files_are_read_back(engine, tmp_path):
    contract.check_written_files_are_read_back(engine, tmp_path)


def test_an_empty_result_is_a_file_without_rows(engine, tmp_path):
    contract.check_an_empty_result_is_a_file_without_rows(engine, tmp_path)


def test_no_files_are_an_empty_table(engine):
    assert engine.collect(engine.read_files(EVERY_TYPE, [])).equals(EVERY_TYPE.arrow.empty_table())
    assert engine.collect(engine.read_lake(EVERY_TYPE, [])).schema.equals(EVERY_TYPE.arrow_with_month)


# DuckDB reads a window of up to a year otherwise than a longer one.
@pytest.mark.parametrize("months", [3, 27])
def test_only_the_files_named_are_read(engine, tmp_path, months):
    first = Month.parse("2011-01")
    table = tmp_path / "month=2010-01-01" / "every_type"
    for back in range(months):
        folder = table / f"month={first.shift(back)}-01"
        folder.mkdir(parents=True)
        for copy in ("published", "left_behind"):
            rows = contract.table([{"text": f"{back} {copy}"}])
            pq.write_table(rows, folder / f"{copy}.parquet")
    named = range(0, months, 2)
    files = [str(table / f"month={first.shift(n)}-01" / "published.parquet") for n in named]
    found = engine.read_lake(EVERY_TYPE, files)
    expected = {(f"{n} published", first.shift(n).first_day) for n in named}
    assert {(row["text"], row["month"]) for row in engine.collect(found).to_pylist()} == expected
    newest = first.shift(months - 1).first_day
    of_newest = engine.collect(found.filter(found.month == ibis.literal(newest))).to_pylist()
    assert {(row["text"], row["month"]) for row in of_newest} == {(f"{months - 1} published", newest)}


def test_columns_are_found_by_name_whatever_their_order(engine, tmp_path):
    path = tmp_path / "turned.parquet"
    pq.write_table(contract.table().select(list(reversed(EVERY_TYPE.column_names))), path)
    found = engine.collect(engine.read_files(EVERY_TYPE, [str(path)]))
    assert contract.sorted_rows(found) == contract.sorted_rows(contract.table())


def test_products_and_sums_of_money_are_exact_to_the_last_digit(engine):
    quantity, price = Decimal("99999999999999.9999"), Decimal("9999999999999.999999")
    given = pa.table(
        {
            "q": pa.array([quantity, Decimal("-0.0001")], pa.decimal128(18, 4)),
            "p": pa.array([price, Decimal("0.000001")], pa.decimal128(19, 6)),
        }
    )
    t = engine.from_arrow(given)
    # As the transformations do. (10^14 - 10^-4)(10^13 - 10^-6) = 10^27 - 10^8 - 10^9 + 10^-10
    found = engine.collect(t.select(p=(t.q * t.p).cast("decimal(38, 10)")))["p"].to_pylist()
    assert sorted(found) == [Decimal("-0.0000000001"), Decimal("999999999999999998900000000.0000000001")]
    many = engine.from_arrow(pa.table({"m": pa.array([Decimal("0.1000")] * 1001, pa.decimal128(18, 4))}))
    assert engine.measure(many, {"sum": many.m.sum()})["sum"] == Decimal("100.1")


def test_an_overflow_stops_the_query_and_makes_no_null(engine):
    t = engine.from_arrow(pa.table({"n": pa.array([2**63 - 1], pa.int64())}))
    # DuckDB and Spark have no error in common; that there is one is the point.
    with pytest.raises(Exception, match=re.compile("overflow", re.IGNORECASE)):
        engine.collect(t.select(n=t.n + 1))


def test_collected_types_are_the_expressions(engine):
    t = engine.from_arrow(contract.table())
    made = t.aggregate(
        n=t.count(), d=t.day.min(), m=t.money.sum(), i=t.small.sum(), x=t.real.max(), s=t.text.max(), at=t.at.max()
    )
    assert engine.collect(made).schema.equals(made.schema().to_pyarrow())


def test_naive_times_stay_naive(engine):
    t = engine.from_arrow(pa.table({"w": pa.array([dt.datetime(1900, 3, 1, 2, 30, 0, 7)], pa.timestamp("us"))}))
    found = engine.collect(t.select(w=t.w, later=t.w + ibis.interval(seconds=90)))
    assert found.to_pylist() == [
        {"w": dt.datetime(1900, 3, 1, 2, 30, 0, 7), "later": dt.datetime(1900, 3, 1, 2, 31, 30, 7)}
    ]


def test_nulls_first_and_last(engine):
    t = engine.from_arrow(contract.table())
    up = engine.collect(t.order_by(ibis.asc(t.small, nulls_first=True)).select("small"))["small"].to_pylist()
    assert up == [None, -(2**31), 0, 2**31 - 1]
    down = engine.collect(t.order_by(ibis.desc(t.small, nulls_first=False)).select("small"))["small"].to_pylist()
    assert down == [2**31 - 1, 0, -(2**31), None]


def test_text_in_an_expression_is_text(engine):
    t = engine.from_arrow(contract.table())
    for row in ROWS[:3]:
        found = engine.collect(t.filter(t.text == row["text"]).select("small"))["small"].to_pylist()
        assert found == [row["small"]]


def test_queries_that_differ_in_dates_only_are_compiled_once_and_each_has_its_own_dates(engine, monkeypatch):
    t = engine.from_arrow(contract.table())
    compiled = []
    plain = type(engine._backend).compile
    monkeypatch.setattr(type(engine._backend), "compile", lambda self, e: compiled.append(e) or plain(self, e))

    def asked(first: dt.date, last: dt.date, text: str = "none") -> list[dict[str, object]]:
        return engine.collect(
            t.filter(t.small == 0).select(first=ibis.literal(first), last=ibis.literal(last), text=ibis.literal(text))
        ).to_pylist()

    # As many days in a different order, days that stand for others within, and the same day twice.
    days = [dt.date(2011, 1, 1), dt.date(2011, 1, 31), dt.date(9101, 1, 1), dt.date(9100, 1, 1)]
    for first in days:
        for last in days:
            assert asked(first, last) == [{"first": first, "last": last, "text": "none"}]
    assert len(compiled) == 2
    looks_like_one = "MAKE_DATE(9100, 1, 1)"
    assert asked(days[0], days[1], looks_like_one) == [{"first": days[0], "last": days[1], "text": looks_like_one}]


def test_queries_that_differ_in_numbers_only_are_compiled_once_and_each_has_its_own_numbers(engine, monkeypatch):
    t = engine.from_arrow(contract.table([{"T": 1 / 3}]))
    compiled = []
    plain = type(engine._backend).compile
    monkeypatch.setattr(type(engine._backend), "compile", lambda self, e: compiled.append(e) or plain(self, e))
    for number in [0.1, -1.25, 12345678.123456789, 3.5e-07, 1e101, 2.0, 5e-324]:
        found = engine.collect(t.select(less=t["T"] - ibis.literal(number, "float64"))).to_pylist()
        assert found == [{"less": 1 / 3 - number}]
    assert len(compiled) == 1


def test_more_numbers_than_stand_for_others_are_all_their_own(engine):
    t = engine.from_arrow(contract.table([{"T": 1.0}]))
    numbers = [*(i / 7 for i in range(250)), 1e150]
    row = engine.collect(t.select(**{f"n{i}": t["T"] * ibis.literal(n, "float64") for i, n in enumerate(numbers)}))
    assert list(row.to_pylist()[0].values()) == numbers


def test_what_is_cached_is_kept_until_the_release(engine, tmp_path):
    path = tmp_path / "gone.parquet"
    pq.write_table(contract.table(), path)
    t = engine.read_files(EVERY_TYPE, [str(path)])
    kept = engine.cache(t.filter(t.small == 0))
    assert engine.collect(kept).num_rows == 1
    path.unlink()
    assert engine.collect(kept).schema.equals(EVERY_TYPE.arrow)
    engine.release()
    with pytest.raises(Exception, match=re.compile("not found|does not exist|cannot be found", re.IGNORECASE)):
        engine.collect(kept)
    engine.release()


def test_measures_are_one_query_and_equal_ones_are_computed_once(engine, monkeypatch):
    t = engine.from_arrow(contract.table())
    asked = []
    plain = type(engine)._row
    monkeypatch.setattr(type(engine), "_row", lambda self, e: asked.append(e.columns) or plain(self, e))
    found = engine.measure(t, {"one": t.count(), "again": t.count(), "largest": t.small.max()})
    assert found == {"one": 4, "again": 4, "largest": 2**31 - 1}
    assert [len(columns) for columns in asked] == [2]
    assert engine.measure(t, {}) == {}


def test_little_data_are_queried_on_one_thread_and_more_on_all(tmp_path, monkeypatch):
    engine = DuckDBEngine()
    threads = "SELECT current_setting('threads')"

    def now() -> int:
        return int(engine._backend.con.sql(threads).fetchall()[0][0])

    cores = int(duckdb.connect().sql(threads).fetchall()[0][0])
    path = tmp_path / "rows.parquet"
    pq.write_table(contract.table(), path)
    monkeypatch.setattr(duckdb_engine, "_ONE_THREAD", 2 * path.stat().st_size)
    assert now() == 1
    engine.read_files(EVERY_TYPE, [str(path)])
    assert now() == 1
    engine.read_files(EVERY_TYPE, [str(path)])
    assert now() == cores
    engine.release()
    assert now() == 1
    engine.close()


def test_opening_an_engine_starts_nothing():
    # A master that does not exist would fail if it were asked for anything.
    engine = open_engine(Settings.model_validate({"engine": "spark", "spark": {"master": "spark://127.0.0.1:1"}}))
    assert engine.name == "spark"
    engine.close()


def test_a_backfill_keeps_no_expressions_of_past_months(engine, monkeypatch):
    # Text instead of Ibis' compiler, which is what makes this slow.
    monkeypatch.setattr(type(engine._backend), "compile", lambda _self, _expression: "")
    t = engine.from_arrow(contract.table())

    def kept_after(months: range) -> int:
        for month in months:
            # A threshold of the month's own, as those of quantiles are.
            engine._sql(t.filter(t.small < month).select(day=ibis.literal(dt.date(2011 + month, 1, 1))))
        gc.collect()
        return sum(isinstance(one, ops.Filter) for one in gc.get_objects())

    assert kept_after(range(300)) == kept_after(range(300, 600)) < 200


def test_the_footer_of_a_file_is_read_once(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(contract.table(), path)
    duckdb_itself = DuckDBEngine()
    t = duckdb_itself.read_files(EVERY_TYPE, [str(path)])
    assert duckdb_itself.measure(t, {"rows": t.count()}) == {"rows": len(ROWS)}
    before, content = path.stat(), path.read_bytes()
    path.write_bytes(b"x" * len(content))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert duckdb_itself.measure(t, {"rows": t.count()}) == {"rows": len(ROWS)}
    duckdb_itself.close()
