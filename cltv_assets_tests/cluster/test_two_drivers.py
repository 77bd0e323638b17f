"""An embedded run and a Spark run publish to the same tables on S3 at the same moment."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from deltalake import DeltaTable
from deltalake.exceptions import TableNotFoundError

from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets_tests.cluster.failing_run import (
    ASSETS,
    PATIENCE_SECONDS,
    SELECT,
    Content,
    Run,
    content,
    direct,
    entry_of,
    secrets_found,
    stock,
    write_config,
)
from cltv_assets_tests.cluster.fault_proxy import FaultProxy, Hold
from cltv_assets_tests.cluster.radosgw import Radosgw
from cltv_assets_tests.e2e.running import run, settings_in, values_in

#: A month of Spark's meets one of DuckDB's; then both want the same.
MONTHS = SPARK_S, BOTH_S, DUCKDB_S = "2011-01", "2011-02", "2011-03"
TABLE = "purchase_days"


@pytest.fixture
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Content]:
    """Return each month's rows of an undisturbed run."""
    home = tmp_path_factory.mktemp("undisturbed")
    stock(home, 1, len(MONTHS))
    settings = settings_in(home, end_month=MONTHS[-1])
    results = run(settings, [Month.parse(month) for month in MONTHS], ASSETS)
    assert [result.errors for result in results] == [[]] * len(MONTHS)
    return {month: content(settings, month) for month in MONTHS}


def version_of(reader: Settings, table: str) -> int:
    """Return a table's version; -1 without a table."""
    options = {"AWS_ENDPOINT_URL": reader.s3.endpoint_url or "", "AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1"}
    try:
        return DeltaTable(f"{reader.lake_root}/{table}", storage_options=options).version()
    except TableNotFoundError:
        return -1


def wait_for(reached: Callable[[], bool], what: str, *runs: Run) -> None:
    """Wait; a run that ends meanwhile will never get there."""
    until = time.monotonic() + PATIENCE_SECONDS
    while not reached():
        for each in runs:
            assert each.running, f"ended before {what}: {each.said[-2000:]}"
        assert time.monotonic() < until, f"never {what}"
        time.sleep(0.2)


def hold_commits(proxy: FaultProxy) -> Hold:
    """Stop commits to the table, one from each driver, whose entries have the same name; its creation passes."""
    return proxy.hold("PUT", rf"/{TABLE}/_delta_log/(?!0{{20}})\d{{20}}\.json")


def test_a_duckdb_and_a_spark_driver(
    cluster_settings: Callable[..., Settings],
    s3_proxy: FaultProxy,
    s3_server: Radosgw,
    expected: dict[str, Content],
    tmp_path: Path,
) -> None:
    values = values_in(end_month=MONTHS[-1])
    on_spark = cluster_settings("spark", "s3", **values)
    homes = {}
    for engine in ("spark", "duckdb"):
        homes[engine] = tmp_path / engine
        # Two settings differ, as of two teams: engine, and what belongs to it. The lake is one.
        write_config(on_spark.model_copy(update={"engine": engine}), homes[engine])
        stock(homes[engine], 1, len(MONTHS))
    reader = direct(on_spark, s3_server.endpoint_url)
    hold = hold_commits(s3_proxy)
    with Run(homes["spark"], "run", "--select", SELECT, "--from", SPARK_S, "--to", BOTH_S) as spark:
        wait_for(lambda: hold.seen >= 1, "Spark's commit held", spark)
        # A driver waits half a minute for the store, so the faster one starts when the slower one is there.
        arguments = ("--from", DUCKDB_S, "--to", DUCKDB_S)
        with Run(homes["duckdb"], "run", "--select", SELECT, *arguments, name=DUCKDB_S) as duckdb:
            wait_for(lambda: hold.seen >= 2, "two commits at once", spark, duckdb)
            assert version_of(reader, TABLE) == 0
            hold.release()
            # The next hold is set when these two commits have landed.
            wait_for(lambda: version_of(reader, TABLE) >= 2, "both landed", spark)
            hold = hold_commits(s3_proxy)
            assert duckdb.ended() == 0, duckdb.said[-3000:]
        wait_for(lambda: hold.seen >= 1, "Spark at the month of both", spark)
        with Run(homes["duckdb"], "run", "--select", TABLE, "--from", BOTH_S, "--to", BOTH_S, name="same") as same:
            wait_for(lambda: hold.seen >= 2, "two commits of one month", spark, same)
            hold.release()
            codes = [spark.ended(), same.ended()]
    loser = same if codes[1] else spark
    assert sorted(codes) == [0, 1], f"{codes}: {spark.said[-2000:]} {same.said[-2000:]}"
    assert f"Another run published month {BOTH_S} of table {TABLE}" in loser.said
    assert f"run month {BOTH_S} again" in loser.said
    assert s3_proxy.count("PUT", entry_of(TABLE), 412) == 2, "they never met"
    assert version_of(reader, TABLE) == len(MONTHS), "each month is one commit"
    for month in MONTHS:
        found = content(reader, month)
        assert [name for name, rows in found.items() if rows != expected[month][name]] == [], month
    assert secrets_found(tmp_path, [s3_server.owner]) == []
