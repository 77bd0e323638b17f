"""How often the measures of checks are built, and what they are built from."""

from __future__ import annotations

import ibis
import pyarrow as pa

from cltv_assets.engines.duckdb_engine import DuckDBEngine
from cltv_assets.lake import Lake
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.tables.check import Check, Verdict, audit
from cltv_assets.tables.month_run import MonthRun
from cltv_assets_tests.tables.checks.good_month import NoSource


def test_measures_of_the_table_alone_are_built_once_and_others_for_each_month() -> None:
    built = []

    def of_table(table, _run):
        built.append("table")
        return {"sum": table.n.sum()}

    def of_month(table, run):
        month = run.month
        built.append(month.key)
        return {"first": ibis.literal(month.first_day), "count": table.count()}

    checks = [
        Check(name, name, lambda values, _run: Verdict(True, str(dict(values))), measures)
        for name, measures in (("of_table", of_table), ("of_month", of_month))
    ]
    engine, settings, said = DuckDBEngine(), Settings(), []
    for number in (1, 2):
        month = Month.parse(f"2011-0{number}")
        run = MonthRun(month, settings, engine, Lake("unused"), NoSource())
        found = audit(engine.from_arrow(pa.table({"n": pa.array([number, 10 * number], pa.int64())})), checks, run)
        said.append([finding.verdict.message for finding in found])
        engine.release()
    engine.close()
    assert built == ["table", "2011-01", "2011-02"]
    assert [table for table, _ in said] == ["{'sum': 11}", "{'sum': 22}"]
    assert ["2011, 1, 1" in said[0][1], "2011, 2, 1" in said[1][1]] == [True, True]
