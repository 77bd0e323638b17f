"""A made-up shop's predictions and purchases, and their evaluation written out customer by customer."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.stats import rankdata

from cltv_assets.columns import TableSchema
from cltv_assets.engines import Engine
from cltv_assets.lake import Lake
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.tables.cltv_predictions.columns import predictions_schema
from cltv_assets.tables.holdout_evaluation.columns import HOLDOUT_EVALUATION
from cltv_assets.tables.holdout_evaluation.evaluate import make as make_evaluate
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.purchase_days import PURCHASE_DAYS
from cltv_assets.tables.purchase_model.columns import PURCHASE_MODEL
from cltv_assets.tables.segment_summary import SEGMENT_SUMMARY

Rows = list[dict[str, Any]]


def prediction(month: Month, customer: str, horizons: Sequence[int] = (3, 6), **changes: Any) -> dict[str, Any]:
    """Return a row of ``cltv_predictions`` with its month."""
    row: dict[str, Any] = {
        "month": month.first_day, "customer_id": customer, "frequency": 2, "recency": 50.0, "T": 100.0,
        "monetary_value": 8.0, "p_alive": 0.8, "expected_order_value": 10.0, "value_segment": "low",
        "rfm_segment": "loyal", "model_name": "bg_nbd+gamma_gamma", "model_version": "0",
    }  # fmt: skip
    for h in horizons:
        # Value is 0.9 of spend, for discounting, at a margin of a half.
        row |= {f"expected_purchases_{h}m": 0.5 * h, f"cltv_{h}m": 0.5 * h * 10.0 * 0.45}
        row |= {f"expected_purchases_{h}m_low": 0.0, f"expected_purchases_{h}m_high": 3.0}
        row |= {f"cltv_{h}m_low": 0.0, f"cltv_{h}m_high": 18.0}
    return row | changes


def day(customer: str, on: dt.date, spend: str = "10", refunds: str = "0", orders: int = 1) -> dict[str, Any]:
    """Return a row of ``purchase_days`` with its month."""
    money = {"spend": Decimal(spend), "refunds": Decimal(refunds)}
    return {
        "month": on.replace(day=1), "customer_id": customer, "purchase_day": on, "order_count": orders,
        "line_count": orders, **money,
    }  # fmt: skip


def nbd_row(month: Month, r: float, alpha: float, **changes: Any) -> dict[str, Any]:
    """Return a row of ``purchase_model`` of the null model with its month."""
    return {
        "month": month.first_day, "model_name": "nbd", "seasonality": "none", "role": "comparison", "r": r,
        "alpha": alpha, "status": "fitted",
    } | changes  # fmt: skip


def run_of(
    engine: Engine,
    settings: Settings,
    month: Month,
    predictions: Rows,
    days: Rows,
    models: Rows = (),  # type: ignore[assignment]
    segments: Rows = (),  # type: ignore[assignment]
    lake: str = "unused",
) -> MonthRun:
    """Return a run of ``holdout_evaluation`` with these inputs."""

    def table(schema: TableSchema, rows: Rows) -> Any:
        return engine.from_arrow(pa.Table.from_pylist(list(rows), schema=schema.arrow_with_month))

    inputs = {
        "cltv_predictions": table(predictions_schema(settings.horizons_months), predictions),
        PURCHASE_DAYS.name: table(PURCHASE_DAYS, days),
        PURCHASE_MODEL.name: table(PURCHASE_MODEL, models),
        SEGMENT_SUMMARY.name: table(SEGMENT_SUMMARY, segments),
    }
    return MonthRun(month, settings, engine, Lake(lake), None, inputs)  # type: ignore[arg-type]


def evaluated(run: MonthRun) -> dict[tuple[int, str, str, str], float]:
    """Return the evaluation's values by horizon, target, model name and metric; each key once."""
    made = run.engine.collect(make_evaluate(run).select(*HOLDOUT_EVALUATION.column_names)).to_pylist()
    found = {(r["horizon_months"], r["target"], r["model_name"], r["metric"]): r["value"] for r in made}
    assert len(found) == len(made)
    assert all(r["origin_month"] == run.month.shift(-r["horizon_months"]).first_day for r in made)
    return found


def tied(value: float, steps: float) -> float:
    """Cut a prediction to four digits, as docs/models.md says that ties are formed."""
    whole = str(int(np.floor(abs(value) * steps + 0.5)))
    cut = int(whole[:4] + "0" * (len(whole) - 4))
    return -cut if value < 0 else cut


def metrics_by_hand(predicted: np.ndarray, actual: np.ndarray, steps: float) -> dict[str, float]:
    """Compute every metric of one contender with each customer written out."""
    n, total = len(actual), actual.sum()
    found = {
        "mae": np.abs(predicted - actual).mean(),
        "rmse": np.sqrt(((predicted - actual) ** 2).mean()),
        "total_predicted": predicted.sum(),
        "total_actual": total,
    }
    by, own = (np.array([tied(v, steps) for v in values]) for values in (predicted, actual))
    possible = np.cov(actual, rankdata(own), ddof=0)[0, 1]
    if possible > 1e-9:
        found["normalised_gini"] = np.cov(actual, rankdata(by), ddof=0)[0, 1] / possible
    # Ten copies of each customer, ties at their mean: tenths are whole.
    order = np.argsort(by, kind="stable")
    sides = {}
    for side, values in (("predicted", predicted), ("actual", actual)):
        mean = {key: values[by == key].mean() for key in set(by)}
        sides[side] = np.repeat([mean[key] for key in by[order]], 10).reshape(10, n)
        found |= {f"decile_{i + 1:02}_{side}": sides[side][i].mean() for i in range(10)}
    if total > 0:
        found["relative_bias"] = predicted.sum() / total - 1
        found["top_decile_capture"] = sides["actual"][9].sum() / 10 / total
    return {name: float(value) for name, value in found.items()}


def bought(days: Rows, first: dt.date, last: dt.date, net: bool) -> tuple[dict[str, int], dict[str, float]]:
    """Count purchase days and add up spend of each customer between two days."""
    count: dict[str, int] = defaultdict(int)
    spent: dict[str, float] = defaultdict(float)
    for row in days:
        if first <= row["purchase_day"] <= last:
            count[row["customer_id"]] += row["order_count"] > 0
            spent[row["customer_id"]] += float(row["spend"]) - (float(row["refunds"]) if net else 0.0)
    return count, spent
