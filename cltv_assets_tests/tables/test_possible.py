"""Predictions of customers at the edge of what can be."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pyarrow as pa
import pytest

from cltv_assets.lake import Lake
from cltv_assets.months import Month
from cltv_assets.tables import checks_of
from cltv_assets.tables.check import audit
from cltv_assets.tables.cltv_predictions.columns import predictions_schema
from cltv_assets.tables.cltv_predictions.predict import make as make_predict
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.purchase_model.columns import PURCHASE_MODEL
from cltv_assets.tables.rfm_summary import RFM_SUMMARY
from cltv_assets.tables.spend_model.columns import SPEND_MODEL

MONTH = Month.parse("2012-03")
#: About CDNOW's, by day.
PURCHASE = {"r": 0.25, "alpha": 33.5, "a": 0.72, "b": 2.16}
SPEND = {"p": 6.25, "q": 3.74, "v": 15.44}


def customer(name: str, frequency: int, recency: int, age: int, mean: float):
    first = MONTH.last_day - dt.timedelta(days=age)
    return {
        "customer_id": name, "frequency": frequency, "recency": float(recency), "T": float(age),
        "monetary_value": mean, "first_purchase": first, "last_purchase": first + dt.timedelta(days=recency),
        "order_count": frequency + 1, "total_spend": Decimal(9), "repeat_spend": Decimal(5),
        "total_refunds": Decimal(0), "is_repeat": frequency > 0, "r_score": 3, "f_score": 3, "m_score": 3,
    }  # fmt: skip


@pytest.mark.parametrize("margin", [1.0, 0.3])
def test_whoever_buys_daily_is_left_or_came_today_is_possible(engine, shop_settings, margin):
    rfm = [
        customer("daily", 364, 364, 364, 12.0),
        # Forty purchases in as many days, then nothing for years: P(alive) is nil but for rounding.
        customer("left", 40, 40, 1500, 1e6),
        customer("today", 0, 0, 0, 0.0),
        customer("free", 1, 10, 30, 0.0),
    ]
    model = {
        "model_name": "bg_nbd", "role": "chosen", "status": "fitted", "seasonality": "none", "patterns": 4,
        "truncated": False, "holdout_folds": 0, "customers": 4, "repeat_customers": 3, "repeat_purchases": 405,
    } | PURCHASE  # fmt: skip
    spend = {"model_name": "gamma_gamma", "role": "chosen", "status": "fitted", "patterns": 2, "customers": 2} | SPEND
    tables = {RFM_SUMMARY: rfm, PURCHASE_MODEL: [model], SPEND_MODEL: [spend]}
    inputs = {
        schema.name: engine.from_arrow(pa.Table.from_pylist(rows, schema=schema.arrow))
        for schema, rows in tables.items()
    }
    settings = shop_settings(start_month="2008-01", end_month="2012-03", horizons_months=(3, 6), gross_margin=margin)
    run = MonthRun(MONTH, settings, engine, Lake("unused"), None, inputs)
    made = engine.cache(make_predict(run))
    schema = predictions_schema((3, 6))
    wanted = [check for check in checks_of((3, 6))[schema.name] if check.name in ("possible", "intervals_and_horizons")]
    assert [found.verdict.message for found in audit(made, wanted, run) if not found.verdict.passed] == []
    rows = {row["customer_id"]: row for row in engine.collect(made).to_pylist()}
    # April to June have 91 days; the model would leave a tenth of outcomes above 96 purchases.
    assert rows["daily"]["expected_purchases_3m_high"] == 91.0
    assert 75 < rows["daily"]["expected_purchases_3m"] < 91
    assert rows["left"]["p_alive"] < 1e-9
