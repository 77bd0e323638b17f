"""Months that break programs: empty, one customer, nobody who comes back, the last day, every other setting."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import deltalake
import pytest

from cltv_assets.cli.runner import MonthResult, run_months
from cltv_assets.dagster_defs.graph import assets_of_half
from cltv_assets.dagster_defs.instance import open_instance
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets_tests.conftest import SHOP_COLUMNS
from cltv_assets_tests.e2e.reading import REPORT, TABLES, contents, not_finite, rows_of
from cltv_assets_tests.e2e.running import run, settings_in
from cltv_assets_tests.e2e.shop import HEADER, Line, deliver, lines_of_shop, months_of

JAN, FEB, MAR = months_of("2011-01", 3)
FIRST_HALF = assets_of_half("preprocess")


def sale(customer: str, day: str, price: str = "10.00", quantity: str = "1") -> Line:
    return (f"{customer}/{day}", customer, f"{day} 12:00:00", quantity, price)


def in_order(settings: Settings, months: list[Month], assets: list[str] | None = None) -> list[MonthResult]:
    results = run(settings, months, assets)
    assert [result.errors for result in results] == [[] for _ in months]
    return results


def warned(result: MonthResult) -> set[str]:
    return {text.split(":")[0] for text in result.warnings}


def test_an_empty_month_in_the_middle(tmp_path: Path) -> None:
    lines = lines_of_shop([JAN, FEB, MAR], customers=60)
    deliver(tmp_path / "shop", {JAN: lines[JAN], MAR: lines[MAR]})
    settings = settings_in(tmp_path, end_month="2011-03")
    _, empty = in_order(settings, [JAN, FEB])
    (after,) = in_order(settings, [MAR], FIRST_HALF)
    assert "raw_transactions.month_has_lines" in warned(empty)
    assert "raw_transactions.month_has_lines" not in warned(after)
    found = contents(settings.lake_root)
    for name in TABLES[:4]:
        assert (name, "2011-02") not in found
        # A real publish, not a month left out: it stands in the table's own log.
        assert deltalake.DeltaTable(f"{settings.lake_root}/{name}").version() >= 3
    # History goes on: everyone of January has a row, a month older.
    before, later = (
        {row["customer_id"]: row for row in rows_of(settings.lake_root, "rfm_summary", m)}
        for m in ("2011-01", "2011-02")
    )
    assert before.keys() == later.keys()
    assert {later[c]["T"] - before[c]["T"] for c in before} == {28.0}
    assert {later[c]["recency"] - before[c]["recency"] for c in before} == {0.0}
    assert before.keys() < {row["customer_id"] for row in rows_of(settings.lake_root, "rfm_summary", "2011-03")}
    assert len(rows_of(settings.lake_root, "cltv_predictions", "2011-02")) == len(later)
    actual = [
        r["value"]
        for r in rows_of(settings.lake_root, "holdout_evaluation", "2011-02")
        if r["metric"] == "total_actual"
    ]
    assert set(actual) == {0.0}
    assert {month for name, month in found if name == REPORT} == {"2011-01", "2011-02"}
    assert not_finite(settings.lake_root) == []

    # A month that had lines and has none any more is emptied by running it again, where that is meant.
    deliver(tmp_path / "shop", {JAN: [], MAR: lines[MAR]})
    with open_instance(settings) as instance:
        (emptied,) = run_months(settings, [JAN], instance, FIRST_HALF, accepted=[JAN])
    assert emptied.errors == []
    models = {"purchase_model", "spend_model", "cltv_predictions", "segment_summary", "cohort_value"}
    kept = {name for name, month in contents(settings.lake_root) if month == "2011-01"}
    assert kept == models | {"new_customer_value", "customer_scores", REPORT}


def test_a_month_of_dirt_alone_and_one_customer(tmp_path: Path) -> None:
    """First a month without any customer; then one who buys on the last day, and no model either."""
    deliver(tmp_path / "shop", {JAN: lines_of_shop([JAN], customers=0)[JAN], FEB: [sale("only", "2011-02-28")]})
    # All of it rejected is more than checks.reject_share unless that is 1.
    settings = settings_in(tmp_path, end_month="2011-02", checks={"reject_share": 1.0})
    for result in in_order(settings, [JAN, FEB]):
        assert {
            "purchase_model.model_fitted",
            "spend_model.model_fitted",
            "cltv_predictions.predictions_made",
        } <= warned(result)
    assert len(rows_of(settings.lake_root, "rejected_transactions")) == len(
        rows_of(settings.lake_root, "raw_transactions", "2011-01")
    )
    (row,) = rows_of(settings.lake_root, "rfm_summary")
    assert (row["month"], row["customer_id"]) == (FEB.first_day, "only")
    assert (row["T"], row["recency"], row["frequency"], row["monetary_value"]) == (0.0, 0.0, 0, 0.0)
    for name in ("purchase_model", "spend_model"):
        for model in rows_of(settings.lake_root, name):
            assert model["status"] == "not_fitted"
            assert model["status_reason"]
    assert rows_of(settings.lake_root, "repeat_customers") == []
    assert rows_of(settings.lake_root, "cltv_predictions") == []
    assert rows_of(settings.lake_root, "holdout_evaluation") == []
    assert {month for name, month in contents(settings.lake_root) if name == REPORT} == {"2011-01", "2011-02"}
    page = Path(settings.lake_root, REPORT, "month=2011-02-01/report.html").read_text(encoding="utf-8").lower()
    assert "nan" not in page.split("<body", 1)[1].replace("finance", "").split()
    assert not_finite(settings.lake_root) == []

    (strict,) = run(settings_in(tmp_path, end_month="2011-02"), [JAN], FIRST_HALF)
    assert "rejected_transactions.reject_share" in strict.errors[0]


def test_someone_new_on_the_last_day_is_predicted(tmp_path: Path) -> None:
    lines = lines_of_shop([JAN], customers=80)
    deliver(tmp_path / "shop", {JAN: [*lines[JAN], ("N1", "NEW", "2011-01-31 23:59:59", "1", "12.50")]})
    settings = settings_in(
        tmp_path,
        end_month="2011-01",
        population="all",
        time_unit="week",
        outliers={"method": "quantile", "upper": 0.9, "action": "cap"},
    )
    in_order(settings, [JAN])
    (row,) = [row for row in rows_of(settings.lake_root, "cltv_predictions") if row["customer_id"] == "NEW"]
    assert (row["T"], row["recency"], row["frequency"]) == (0.0, 0.0, 0)
    assert row["p_alive"] == 1.0
    assert row["cltv_1m"] > 0
    assert not_finite(settings.lake_root) == []

    # Weeks are days over seven, and the models say so.
    for customer in rows_of(settings.lake_root, "rfm_summary"):
        days = (dt.date(2011, 1, 31) - customer["first_purchase"]).days
        assert abs(customer["T"] * 7 - days) < 1e-9
    assert {row["time_unit"] for row in rows_of(settings.lake_root, "purchase_model")} == {"week"}

    # Capped lines keep their delivered amount beside the capped one, and no line is lost.
    cleaned = rows_of(settings.lake_root, "cleaned_transactions")
    assert len(cleaned) == len([line for line in lines[JAN] if line[0].startswith(("I", "RI"))]) + 1
    capped = [row for row in cleaned if row["amount"] != row["amount_delivered"]]
    assert capped
    (bound,) = {row["amount"] for row in capped}
    assert all(row["amount_delivered"] > bound for row in capped)
    assert max(row["amount"] for row in cleaned) == bound


def test_repeat_population_and_dropped_refunds_and_outliers(tmp_path: Path) -> None:
    lines = lines_of_shop([JAN, FEB], customers=80)
    deliver(tmp_path / "shop", lines)
    settings = settings_in(
        tmp_path,
        end_month="2011-02",
        population="repeat",
        refunds="drop",
        outliers={"method": "iqr", "iqr_factor": 1.5, "action": "drop"},
        repeat_window_months=1,
    )
    # Nothing that is asked below comes from January's models.
    in_order(settings, [JAN], FIRST_HALF)
    in_order(settings, [FEB])
    repeat = {row["customer_id"] for row in rows_of(settings.lake_root, "repeat_customers", "2011-02")}
    assert repeat
    assert {row["customer_id"] for row in rows_of(settings.lake_root, "cltv_predictions", "2011-02")} == repeat
    # The models are fitted on everybody all the same: on repeaters alone they would be biased.
    (model,) = [r for r in rows_of(settings.lake_root, "purchase_model", "2011-02") if r["role"] == "chosen"]
    assert model["customers"] == len(rows_of(settings.lake_root, "rfm_summary", "2011-02")) > len(repeat)

    reasons = [row["reason"] for row in rows_of(settings.lake_root, "rejected_transactions")]
    refunds = [line for month in lines.values() for line in month if line[0].startswith("RI")]
    assert reasons.count("refund") == len(refunds) > 0
    assert reasons.count("outlier") > 0
    assert len(rows_of(settings.lake_root, "raw_transactions")) == len(reasons) + len(
        rows_of(settings.lake_root, "cleaned_transactions")
    )
    assert {row["refunds"] for row in rows_of(settings.lake_root, "purchase_days")} == {Decimal(0)}
    assert not_finite(settings.lake_root) == []


def test_refunds_net_or_dropped(tmp_path: Path) -> None:
    lines: list[Any] = [
        sale("A", "2011-01-03", "40.00"),
        sale("A", "2011-01-10", "40.00"),
        sale("A", "2011-01-11", "40.00", "-1"),
        sale("B", "2011-01-04", "30.00", "-1"),  # only ever returned something: no customer
        sale("C", "2011-01-05", "10.00"),
        sale("C", "2011-01-06", "20.00"),
        sale("C", "2011-01-06", "100.00", "-1"),  # more back than ever spent: worth nothing, not less
    ]
    deliver(tmp_path / "shop", {JAN: lines})
    values = {}
    for refunds in ("net", "drop"):
        settings = settings_in(tmp_path, end_month="2011-01", refunds=refunds, lake_uri=f"lake-{refunds}")
        in_order(settings, [JAN], FIRST_HALF)
        values[refunds] = {r["customer_id"]: r["monetary_value"] for r in rows_of(settings.lake_root, "rfm_summary")}
        assert {r["frequency"] for r in rows_of(settings.lake_root, "rfm_summary")} == {1}
    assert values == {"net": {"A": 20.0, "C": 0.0}, "drop": {"A": 40.0, "C": 20.0}}


def test_customers_who_buy_what_costs_more_are_worth_less(tmp_path: Path) -> None:
    """The cost of each line is delivered: customers with even numbers leave 60 %, the others bring losses."""

    def with_cost(line: Line) -> Line:
        customer, price = line[1].strip(), line[4]
        if len(line) > 5 or not customer.startswith("C") or not price.replace(".", "").isdigit():
            return line
        return (*line[:5], f"{float(price) * (0.4 if int(customer[1:]) % 2 == 0 else 1.2):.4f}")

    lines = {month: [with_cost(line) for line in some] for month, some in lines_of_shop([JAN, FEB]).items()}
    deliver(tmp_path / "shop", lines, header=(*HEADER, "cost"))
    settings = settings_in(
        tmp_path,
        end_month="2011-02",
        source={"columns": {**SHOP_COLUMNS, "unit_cost": "cost"}, "ragged": "pad"},
        gross_margin=0.3,
        annual_discount_rate=0.0,
    )
    in_order(settings, [JAN], FIRST_HALF)
    in_order(settings, [FEB])
    days = rows_of(settings.lake_root, "purchase_days")
    assert all(row["margin_spend"] == row["spend"] for row in days if row["order_count"])
    predictions = rows_of(settings.lake_root, "cltv_predictions", "2011-02")
    assert len(predictions) > 50
    for row in predictions:
        own = 0.6 if int(row["customer_id"][1:]) % 2 == 0 else -0.2
        assert abs(row["gross_margin"] - own) < 0.01
        spend = row["expected_purchases_2m"] * row["expected_order_value"]
        assert row["cltv_2m"] == pytest.approx(spend * row["gross_margin"], rel=1e-9)
    (total,) = [
        row
        for row in rows_of(settings.lake_root, "segment_summary", "2011-02")
        if (row["scheme"], row["horizon_months"]) == ("all", 2)
    ]
    assert total["expected_value"] == pytest.approx(sum(row["cltv_2m"] for row in predictions), rel=1e-6)
    assert total["expected_value_low"] < total["expected_value"] < total["expected_value_high"]
    page = Path(settings.lake_root, REPORT, "month=2011-02-01/report.html").read_text(encoding="utf-8")
    assert "each customer&#39;s own margin" in page
    assert "the gross margin of 30% until any is known" in page


def test_article_numbers_taken_for_costs_are_told_and_stop_no_month(tmp_path: Path) -> None:
    lines = {month: [(*line[:5], "10007919") for line in some] for month, some in lines_of_shop([JAN, FEB]).items()}
    deliver(tmp_path / "shop", lines, header=(*HEADER, "article"))
    columns = {**SHOP_COLUMNS, "unit_cost": "article"}
    settings = settings_in(tmp_path, end_month="2011-02", source={"columns": columns, "ragged": "pad"})
    in_order(settings, [JAN], FIRST_HALF)
    (found,) = in_order(settings, [FEB])
    assert any("source.columns.unit_cost: article is what its name says" in text for text in found.warnings)
    summary = rows_of(settings.lake_root, "segment_summary", "2011-02")
    assert any(row["expected_value"] < -1e6 for row in summary)
    # Nobody holds a share of a loss.
    assert {row["share_of_value"] for row in summary} == {0.0}
