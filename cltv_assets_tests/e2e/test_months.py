"""What a month holds, how Dagster shows it, and that any reader can open it."""

from __future__ import annotations

import csv
import datetime as dt
import re
from collections import Counter
from decimal import Decimal
from pathlib import Path

import dagster as dg
import deltalake
import duckdb
import pyarrow as pa
import pyarrow.dataset as pads
import pytest

from cltv_assets.dagster_defs.build import build_definitions
from cltv_assets.tables import all_schemas
from cltv_assets_tests.e2e.ran import Ran
from cltv_assets_tests.e2e.reading import OPTIONAL, REPORT, TABLES, not_finite, rows_of, table_of, unfinished_files
from cltv_assets_tests.e2e.shop import DIRT, HEADER

MONTHS = ("2011-01", "2011-02", "2011-03", "2011-04")


def delivered(ran: Ran, month: str) -> list[dict[str, str]]:
    with (ran.settings.home / f"shop/{month}.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("month", MONTHS)
def test_raw_is_cleaned_plus_rejected_to_the_row(ran: Ran, month: str) -> None:
    raw, cleaned, rejected = (
        [(row["source_file"], row["source_line"]) for row in rows_of(ran.lake, name, month)] for name in TABLES[:3]
    )
    assert len(raw) == len(delivered(ran, month))
    assert sorted(raw) == sorted(cleaned + rejected)
    assert len(set(raw)) == len(raw)
    reasons = Counter(row["reason"] for row in rows_of(ran.lake, "rejected_transactions", month))
    assert reasons == Counter(reason for reason, _ in DIRT)


@pytest.mark.parametrize("month", MONTHS)
def test_money_reconciles_with_the_files(ran: Ran, month: str) -> None:
    bought = refunded = Decimal(0)
    for line in delivered(ran, month):
        if line["invoice"].startswith(("I", "RI")):
            value = Decimal(line["quantity"]) * Decimal(line["price"])
            bought += max(value, Decimal(0))
            refunded -= min(value, Decimal(0))
    assert refunded > 0
    cleaned = rows_of(ran.lake, "cleaned_transactions", month)
    assert sum(row["amount"] for row in cleaned) == bought - refunded
    days = rows_of(ran.lake, "purchase_days", month)
    assert sum(row["spend"] for row in days) == bought
    assert sum(row["refunds"] for row in days) == refunded


def test_history_adds_up_over_the_months(ran: Ran) -> None:
    spent = refunded = Decimal(0)
    for month in MONTHS:
        days = rows_of(ran.lake, "purchase_days", month)
        cancelled = sum(row["spend"] for row in days if not row["order_count"])
        # The customers' sums have neither side of what was cancelled on its own day.
        spent += sum(row["spend"] for row in days) - cancelled
        refunded += sum(row["refunds"] for row in days) - cancelled
        customers = rows_of(ran.lake, "rfm_summary", month)
        assert sum(row["total_spend"] for row in customers) == spent
        assert sum(row["total_refunds"] for row in customers) == refunded
        predictions = rows_of(ran.lake, "cltv_predictions", month)
        assert {row["customer_id"] for row in predictions} == {row["customer_id"] for row in customers}
        (model,) = [row for row in rows_of(ran.lake, "purchase_model", month) if row["role"] == "chosen"]
        assert model["customers"] == len(customers)
        assert model["repeat_customers"] == sum(row["is_repeat"] for row in customers)


def test_an_id_with_blanks_around_it_is_the_same_customer(ran: Ran) -> None:
    assert any(line[1].startswith(" ") for lines in ran.lines.values() for line in lines)
    customers = [row["customer_id"] for row in rows_of(ran.lake, "rfm_summary", "2011-04")]
    assert sorted(customers) == sorted({customer.strip() for customer in customers})


def test_every_number_is_finite(ran: Ran) -> None:
    assert not_finite(ran.lake) == []


def test_nothing_is_left_lying_about(ran: Ran) -> None:
    assert unfinished_files(ran.lake) == []
    assert sorted(path.name for path in ran.lake.iterdir()) == sorted((*TABLES, REPORT))


def test_holdout_looks_back_exactly_its_horizon(ran: Ran) -> None:
    found = {
        (f"{row['month']:%Y-%m}", row["horizon_months"], f"{row['origin_month']:%Y-%m}")
        for row in rows_of(ran.lake, "holdout_evaluation")
    }
    assert found == {
        ("2011-02", 1, "2011-01"),
        ("2011-03", 1, "2011-02"),
        ("2011-03", 2, "2011-01"),
        ("2011-04", 1, "2011-03"),
        ("2011-04", 2, "2011-02"),
    }
    # The actual purchases are those of the days table: customers known at the origin, days of the horizon.
    known = {row["customer_id"] for row in rows_of(ran.lake, "cltv_predictions", "2011-03")}
    days = [
        row
        for row in rows_of(ran.lake, "purchase_days", "2011-04")
        if row["order_count"] and row["customer_id"] in known
    ]
    actual = {
        row["value"]
        for row in rows_of(ran.lake, "holdout_evaluation", "2011-04")
        if row["metric"] == "total_actual" and row["target"] == "purchases" and row["horizon_months"] == 1
    }
    assert actual == {float(len(days))}


@pytest.mark.parametrize("month", MONTHS)
def test_every_check_is_recorded_every_month(ran: Ran, month: str) -> None:
    graph = build_definitions(ran.settings).resolve_asset_graph()
    # All but `on_time`, which is about all months and has a time of its own.
    expected = {(k.asset_key.to_user_string(), k.name) for k in graph.asset_check_keys if k.name != "on_time"}
    (record,) = ran.instance.get_run_records(dg.RunsFilter(tags={"dagster/partition": month}))
    found = Counter()
    for entry in ran.instance.all_logs(record.dagster_run.run_id, of_type=dg.DagsterEventType.ASSET_CHECK_EVALUATION):
        assert entry.dagster_event is not None
        evaluated = entry.dagster_event.asset_check_evaluation_data
        found[evaluated.asset_key.to_user_string(), evaluated.check_name] += 1
        assert evaluated.description
        assert evaluated.partition == month
        assert evaluated.passed or evaluated.severity == dg.AssetCheckSeverity.WARN
    assert found == Counter(expected)


@pytest.mark.parametrize("name", TABLES)
def test_metadata_of_each_materialisation(ran: Ran, name: str) -> None:
    events = ran.instance.fetch_materializations(dg.AssetKey(name), limit=10).records
    assert sorted(str(event.partition_key) for event in events) == list(MONTHS)
    schemas = {table.name: table for table in all_schemas(ran.settings.horizons_months)}
    for event in events:
        assert event.asset_materialization is not None
        shown = event.asset_materialization.metadata
        month = str(event.partition_key)
        assert shown["dagster/partition_row_count"].value == len(rows_of(ran.lake, name, month))
        uri = str(shown["dagster/uri"].value)
        assert uri == f"{ran.lake}/{name}/month={month}-01"
        files = list(Path(uri).glob("*.parquet")) if Path(uri).exists() else []
        assert shown["bytes"].value == sum(path.stat().st_size for path in files)
        version = int(str(shown["table_version"].value))
        then = deltalake.DeltaTable(f"{ran.lake}/{name}", version=version).to_pyarrow_table()
        assert len(then.filter(pads.field("month") == dt.date.fromisoformat(f"{month}-01"))) == len(
            rows_of(ran.lake, name, month)
        )
        columns = schemas[name].column_names
        if {"customer_id", "source_line"} & set(columns):
            assert "preview" not in shown, "rows of customers are not recorded"
        else:
            preview = str(shown["preview"].value)
            assert preview.endswith("_no rows_") or columns[0] in preview
    node = build_definitions(ran.settings).resolve_asset_graph().get(dg.AssetKey(name))
    assert "dagster/column_schema" in node.metadata


def test_metadata_of_the_report(ran: Ran) -> None:
    for event in ran.instance.fetch_materializations(dg.AssetKey(REPORT), limit=10).records:
        assert event.asset_materialization is not None
        shown = event.asset_materialization.metadata
        path = Path(str(shown["report"].value))
        assert path.read_bytes().startswith(b"<!doctype html>") or path.read_bytes().startswith(b"<!DOCTYPE html>")
        assert shown["bytes"].value == path.stat().st_size
        # Of several months the newest has its pictures, here and on its page.
        newest = event.asset_materialization.partition == ran.months[-1].key
        assert ("data:image/png;base64," in str(shown.get("picture"))) == newest
        assert ("pictures" in shown) != newest
        assert (path.read_bytes().count(b"<svg") > 3) == newest


@pytest.mark.parametrize("name", [name for name in TABLES if name not in OPTIONAL])
def test_any_delta_reader_opens_a_table(ran: Ran, name: str) -> None:
    uri = f"{ran.lake}/{name}"
    plain = deltalake.DeltaTable(uri)
    table = plain.to_pyarrow_table()
    assert table.schema.field("month").type == pa.date32()
    assert plain.metadata().partition_columns == ["month"]
    assert {f"{month:%Y-%m}" for month in table["month"].to_pylist()} <= set(MONTHS)

    paths = [path.removeprefix("file://") for path in plain.file_uris()]
    by_duckdb = duckdb.sql(
        "SELECT * FROM read_parquet($paths, hive_partitioning = true, hive_types = {'month': DATE})",
        params={"paths": paths},
    ).to_arrow_table()
    assert by_duckdb.schema.field("month").type == pa.date32()
    # DuckDB calls the same zone Etc/UTC.
    alike = by_duckdb.select(table.column_names).cast(table.schema)
    mine, theirs = (sorted(map(repr, t.to_pylist())) for t in (table, alike))
    assert mine == theirs

    scanned = pads.dataset(paths, partitioning=pads.partitioning(pa.schema([("month", pa.date32())]), flavor="hive"))
    assert scanned.count_rows() == table.num_rows
    # Declared types hold in the files themselves, not only in the log.
    declared = next(t for t in all_schemas(ran.settings.horizons_months) if t.name == name).arrow_with_month
    assert {field.name: field.type for field in table.schema} == {field.name: field.type for field in declared}


def test_one_month_is_read_by_its_partition(ran: Ran) -> None:
    table = deltalake.DeltaTable(f"{ran.lake}/cltv_predictions")
    uris = table.file_uris(file_pruning_predicate="month = '2011-03-01'")
    assert [re.search(r"month=[\d-]+", uri)[0] for uri in uris] == ["month=2011-03-01"]  # type: ignore[index]
    assert table_of(ran.lake, "cltv_predictions").filter(pads.field("month") == dt.date(2011, 3, 1)).num_rows == len(
        rows_of(ran.lake, "rfm_summary", "2011-03")
    )


def test_the_header_is_what_the_settings_map(ran: Ran) -> None:
    assert set(ran.settings.source.wanted) == set(HEADER)
