"""A month of a shop whose order values double within half a year: model, warning and predictions."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from cltv_assets.engines.duckdb_engine import DuckDBEngine
from cltv_assets.lake import Lake
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.tables import checks_of, group_totals, rfm_summary, spend_model
from cltv_assets.tables.check import audit
from cltv_assets.tables.cltv_predictions import predict
from cltv_assets.tables.cltv_predictions.scoring import as_counted
from cltv_assets.tables.fitted_models import chosen_row
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.purchase_days import PURCHASE_DAYS
from cltv_assets.tables.purchase_model.columns import PURCHASE_MODEL

END, HORIZONS = Month.parse("2012-12"), (3, 6)
YEARLY = 4.0
PURCHASE = {
    "model_name": "bg_nbd", "role": "chosen", "status": "fitted", "seasonality": "none", "r": 0.8, "alpha": 40.0,
    "a": 0.8, "b": 3.0, "patterns": 9, "truncated": False, "holdout_folds": 0, "customers": 9, "repeat_customers": 9,
    "repeat_purchases": 9,
}  # fmt: skip


def days(yearly: float, customers: int = 500) -> tuple[pa.Table, float]:
    """Return a year's purchase days, and what the mean customer's order is worth in its last month."""
    rng = np.random.default_rng(8)
    level = 40.0 * rng.gamma(6.0, 1 / 6.0, customers)
    rows = {}
    for i, mean in enumerate(level):
        day = int(rng.integers(0, 330))
        while day < 366:
            on = dt.date(2012, 1, 1) + dt.timedelta(days=day)
            price = mean * rng.gamma(5.0, 1 / 5.0) * yearly ** ((on.month - 12) / 12)
            rows[i, on] = {
                "customer_id": f"c{i:04}", "purchase_day": on, "order_count": 1, "line_count": 1,
                "spend": Decimal(f"{max(price, 0.01):.2f}"), "refunds": Decimal(0),
            }  # fmt: skip
            day += 1 + int(rng.exponential(25.0))
    return pa.Table.from_pylist(list(rows.values()), schema=PURCHASE_DAYS.arrow), float(level.mean())


@pytest.fixture(scope="module")
def engine():
    opened = DuckDBEngine()
    yield opened
    opened.close()


def made(engine, yearly: float) -> tuple[MonthRun, float]:
    settings = Settings(horizons_months=HORIZONS, annual_discount_rate=0.0, gross_margin=0.5)
    table, level = days(yearly)
    run = MonthRun(END, settings, engine, Lake("unused"), None, {PURCHASE_DAYS.name: engine.from_arrow(table)})  # type: ignore[arg-type]
    run.inputs["rfm_summary"] = engine.cache(rfm_summary.make(run))  # type: ignore[index]
    filled = {column.name: None for column in PURCHASE_MODEL.columns} | PURCHASE
    run.inputs[PURCHASE_MODEL.name] = engine.from_arrow(pa.Table.from_pylist([filled], schema=PURCHASE_MODEL.arrow))  # type: ignore[index]
    run.inputs["spend_model"] = engine.cache(spend_model.make(run))  # type: ignore[index]
    run.inputs["cltv_predictions"] = engine.cache(predict.make(run))  # type: ignore[index]
    return run, level


def failed(run: MonthRun, table: str, *names: str) -> dict[str, str]:
    checks = [check for check in checks_of(HORIZONS)[table] if check.name in names]
    found = audit(run.inputs[table], checks, run)
    return {one.check.name: one.verdict.message for one in found if not one.verdict.passed}


def test_order_values_that_double_in_half_a_year(engine):
    run, level = made(engine, YEARLY)
    (row,) = engine.collect(run.inputs["spend_model"]).to_pylist()
    assert row["value_trend_use"] == "goes_on"
    assert row["value_trend"] == pytest.approx(YEARLY - 1, abs=3.5 * row["value_trend_se"])
    # A newcomer's order is worth what orders are at the year's end.
    assert row["expected_order_value"] == pytest.approx(level, rel=0.08)
    told = failed(run, "spend_model", "order_values_steady")["order_values_steady"]
    assert f"change by {row['value_trend']:+.1%} a year" in told
    assert f"lies {row['value_trend_lag']:.1%} above the mean of the orders so far" in told
    rows = engine.collect(run.inputs["cltv_predictions"]).to_pylist()
    monthly = (1 + row["value_trend"]) ** (1 / 12)
    for h in HORIZONS:
        purchases, spend = (sum(one[f"expected_{what}_{h}m"] for one in rows) for what in ("purchases", "spend"))
        plain = sum(one[f"expected_purchases_{h}m"] * one["expected_order_value"] for one in rows)
        # Purchases become fewer towards the horizon, so growth is a little less than in its middle.
        assert monthly ** ((h + 1) / 2 - 0.5) < spend / plain < monthly ** ((h + 1) / 2)
        assert sum(one[f"cltv_{h}m"] for one in rows) == pytest.approx(0.5 * spend, rel=1e-9)
        assert purchases > 100
    assert failed(run, "cltv_predictions", "possible", "order_values_fit_frequency") == {}


def test_totals_with_a_trend_have_the_predictions_for_their_mean(engine):
    run, _ = made(engine, YEARLY)
    predictions = run.inputs["cltv_predictions"]
    counted = as_counted(predictions, chosen_row(run, "spend_model"))
    groups = engine.collect(group_totals.segment_groups(counted, 1, HORIZONS, 1.0))
    totals = group_totals.group_totals(run, groups)
    value = [sum(engine.collect(predictions)[f"cltv_{h}m"].to_pylist()) for h in HORIZONS]
    # What a group's customers are expected to bring is computed again from the sums of their mean order values.
    (alone,) = totals.parts
    assert alone.value.expected.sum(axis=0) == pytest.approx(value, rel=1e-5)


def test_steady_order_values_are_left_alone(engine):
    run, level = made(engine, 1.0)
    (row,) = engine.collect(run.inputs["spend_model"]).to_pylist()
    assert row["value_trend_use"] is None
    assert abs(row["value_trend"]) < 3.5 * row["value_trend_se"]
    assert row["expected_order_value"] == pytest.approx(level, rel=0.08)
    assert failed(run, "spend_model", "order_values_steady") == {}
    rows = engine.collect(run.inputs["cltv_predictions"]).to_pylist()
    for one in rows:
        assert one["expected_spend_6m"] == pytest.approx(one["expected_purchases_6m"] * one["expected_order_value"])
