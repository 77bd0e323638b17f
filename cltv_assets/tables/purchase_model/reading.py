"""Turns rows of ``purchase_model`` back into fits, what they predict together, and their clock."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from typing import Any

from cltv_assets.models.choosing.histories import OperationalTime
from cltv_assets.models.estimation.fits import PurchaseFit
from cltv_assets.models.mixture import Mixture
from cltv_assets.models.purchase.registry import model_named
from cltv_assets.months import DAYS_PER_UNIT
from cltv_assets.settings import Settings
from cltv_assets.tables.fitted_models import SEASON_COLUMNS
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.purchase_model.columns import PURCHASE_MODEL


def purchase_fit(row: Mapping[str, Any]) -> PurchaseFit:
    """Return the fit that a row of ``purchase_model`` holds, in units of the clock of `operational_time`."""
    names = model_named(row["model_name"]).parameter_names
    apart = ("parameters", "standard_errors", "log_covariance")
    values: dict[str, Any] = {
        field.name: row[field.name] for field in dataclasses.fields(PurchaseFit) if field.name not in apart
    }
    covariance = row["log_covariance"]
    return PurchaseFit(
        **values,
        parameters={name: row[name] for name in names},
        standard_errors={name: row[f"{name}_se"] for name in names},
        log_covariance=json.loads(covariance) if covariance is not None else None,
    )


def predicting(rows: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return the rows of a month of ``purchase_model`` whose models predict, the chosen one first."""
    found = [row for row in rows if row["role"] == "chosen" or (row.get("weight") or 0.0) > 0.0]
    return sorted(found, key=lambda row: (row["role"] != "chosen", -(row.get("weight") or 0.0), row["model_name"]))


def predicting_rows(run: MonthRun) -> list[Mapping[str, Any]]:
    """Return the month's rows whose models predict, the chosen one first."""
    return predicting(run.engine.collect(run.inputs[PURCHASE_MODEL.name]).to_pylist())


def mixture_of(rows: Sequence[Mapping[str, Any]]) -> Mixture:
    """Return what `predicting` rows predict together."""
    # Rows of earlier versions have no weight, and one of them predicts.
    return Mixture([purchase_fit(row) for row in rows], [row.get("weight") or 1.0 for row in rows])


def holdout_error(rows: Sequence[Mapping[str, Any]]) -> float | None:
    """Return how far `predicting` models missed the totals of their rolling holdouts, as `model_error` takes it.

    Relative errors of a mixture are the weighted sum of its models', so the weighted sum of their root mean squares is
    no less than its own.
    """
    errors = [row["holdout_total_error"] for row in rows]
    if None in errors:
        return next((error for error in errors if error is not None), None)
    return float(sum((row.get("weight") or 1.0) * error for row, error in zip(rows, errors, strict=True)))


def operational_time(row: Mapping[str, Any], settings: Settings) -> OperationalTime:
    """Return the clock of a row of ``purchase_model``: plain time unless its model is seasonal."""
    index = [row[name] for name in SEASON_COLUMNS] if row["seasonality"] == "monthly" else None
    return OperationalTime(index, DAYS_PER_UNIT[settings.time_unit])
