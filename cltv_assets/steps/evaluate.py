"""Predictions whose horizon has passed, against what then happened."""

from __future__ import annotations

from typing import Any

import ibis.expr.types as ir
import pyarrow as pa

from cltv_assets.schemas import HOLDOUT_EVALUATION, MONTH, PURCHASE_DAYS
from cltv_assets.steps.month_run import MonthRun
from cltv_assets.transforms import holdout

_TARGETS = ("purchases", "revenue")


def evaluate(run: MonthRun) -> ir.Table:
    """Return one row a metric for each horizon that ends with this month."""
    rows: list[dict[str, Any]] = []
    predictions, days = run.inputs["cltv_predictions"], run.inputs[PURCHASE_DAYS.name]
    for h in run.settings.horizons_months:
        case = holdout.Holdout(run.month.shift(-h), h)
        if case.origin >= run.settings.first_month:
            made = predictions.filter(predictions[MONTH] == case.origin.first_day)
            rows += _rows(run, made, days, case)
    return run.engine.from_arrow(pa.Table.from_pylist(rows, schema=HOLDOUT_EVALUATION.arrow))


def _rows(run: MonthRun, made: ir.Table, days: ir.Table, case: holdout.Holdout) -> list[dict[str, Any]]:
    name = run.engine.measure(made, {"name": made.model_name.max()})["name"]
    if name is None:
        return []
    table = holdout.outcomes(made, days, case, run.settings, name)
    contenders = (name, *holdout.BASELINES)
    measures = holdout.coverage_measure(table, name)
    for contender in contenders:
        for target in _TARGETS:
            measures |= holdout.error_measures(table, contender, target)
    values = run.engine.measure(table, measures)
    rows = []
    for key, value in values.items():
        contender, target, metric = key.split("|")
        if metric == "customers":
            continue
        rows.append(_row(case, target, contender, metric, value, values[f"{name}|purchases|customers"]))
    for contender in contenders:
        for target in _TARGETS:
            predicted, actual = (values[f"{contender}|{target}|total_{side}"] for side in ("predicted", "actual"))
            # Without any actual purchase a relative bias is not defined: no row.
            if actual:
                bias = predicted / actual - 1
                customers = values[f"{contender}|{target}|customers"]
                rows.append(_row(case, target, contender, "relative_bias", bias, customers))
    return rows


def _row(
    case: holdout.Holdout, target: str, contender: str, metric: str, value: float, customers: int
) -> dict[str, Any]:
    return {
        "origin_month": case.origin.first_day,
        "horizon_months": case.horizon,
        "target": target,
        "model_name": contender,
        "metric": metric,
        "value": value,
        "customers": customers,
    }
