"""Rows that tests make up for the month of the small shop, and that do not follow from its customers."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from cltv_assets.months import Month

NOW = Month.parse("1997-04")
HORIZONS = (1, 3)
#: What a new customer of each channel is worth in 3 months; 'all' stands for everyone.
NEW_CUSTOMERS = {"all": 50.0, "mail": 80.0, "<b>Ads</b>": 20.0}


def new_customer_rows(worths: Mapping[str, float]) -> list[dict[str, Any]]:
    """A third of the value in a third of the time; intervals and earlier predictions are a tenth off."""
    rows = []
    for name, worth in worths.items():
        for h in HORIZONS:
            value = worth * h / HORIZONS[-1]
            row: dict[str, Any] = {
                "attribute": "all" if name == "all" else "channel", "attribute_value": name, "horizon_months": h,
                "customers": 40, "cohort_customers": 10, "first_order_value": 5.0, "repeat_order_value": 6.0,
                "holdout_customers": 9, "holdout_predicted_value": 1.1 * value, "holdout_actual_value": value,
                "holdout_predicted_orders": 1.1 * value / 12.5, "holdout_actual_orders": value / 12.5,
            }  # fmt: skip
            for end, factor in (("", 1.0), ("_low", 0.9), ("_high", 1.1)):
                row[f"expected_orders{end}"] = value * factor / 12.5
                row[f"expected_value{end}"] = value * factor
                row[f"discounted_value{end}"] = 0.98 * value * factor
            rows.append(row)
    return rows


def payback_rows(
    value: str, cohort: Month, spend: int, customers: int, brings: float, state: str, **changes: Any
) -> tuple[dict[str, Any], ...]:
    """What a cohort cost and brings, by horizon: the same at each; intervals are a tenth to both sides."""
    cac = spend / customers if customers else None
    row: dict[str, Any] = {
        "attribute": "all" if value == "all" else "channel", "attribute_value": value, "cohort": cohort.first_day,
        "age_months": 4, "spend": Decimal(spend), "customers": customers, "cac": cac, "value_so_far": brings / 2,
        "payback": state, "too_young": False,
    }  # fmt: skip
    if state in ("paid back", "expected"):
        row |= dict.fromkeys(("payback_age", "payback_age_low", "payback_age_high"), 2.0)
    for end, factor in (("", 1.0), ("_low", 0.9), ("_high", 1.1)):
        row[f"ltv{end}"] = brings * factor
        row[f"ltv_to_cac{end}"] = brings * factor / cac if cac else None
    return tuple({**row, "horizon_months": h, **changes} for h in HORIZONS)


def holdout_rows(
    horizon: int = 1,
    total: float = 1100.0,
    model_mae: float = 0.412,
    name: str = "bg_nbd+gamma_gamma",
    ended: Month = NOW,
    interval: tuple[float, float] | None = (950.0, 1250.0),
) -> tuple[dict[str, Any], ...]:
    """Metrics of one horizon: the model 10 % too high, the naive rate 60 %, the last year right."""
    predicted = {name: total, "nbd": 1300.0, "naive_rate": 1600.0, "last_year": 1000.0}
    mae = {name: model_mae, "nbd": 0.466, "naive_rate": 0.655, "last_year": 0.501}
    rows = []
    for target, scale in (("purchases", 1.0), ("revenue", 30.0)):
        for contender, amount in predicted.items():
            metrics = {
                "total_predicted": amount * scale,
                "total_actual": 1000.0 * scale,
                "relative_bias": amount / 1000.0 - 1,
                "mae": mae[contender] * scale,
                "rmse": 2 * mae[contender] * scale,
                "normalised_gini": 1.2 - mae[contender],
                "top_decile_capture": 0.61 if contender == name else 0.5,
            }
            for decile in range(1, 11):
                metrics[f"decile_{decile:02d}_predicted"] = decile**2 / 35.0 * scale
                metrics[f"decile_{decile:02d}_actual"] = decile**2 / 38.5 * scale
            if contender == name:
                metrics["interval_coverage"] = 0.934
                if interval is not None:
                    metrics |= {"total_low": interval[0] * scale, "total_high": interval[1] * scale}
            rows += [
                {
                    "origin_month": ended.shift(-horizon).first_day,
                    "horizon_months": horizon,
                    "target": target,
                    "model_name": contender,
                    "metric": metric,
                    "value": value,
                    "customers": 500,
                }
                for metric, value in metrics.items()
            ]
    return tuple(rows)
