"""Turns a row of ``purchase_model`` back into a fit and its clock."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from cltv_assets.models.choosing.histories import OperationalTime
from cltv_assets.models.estimation.fits import PurchaseFit
from cltv_assets.models.purchase.registry import model_named
from cltv_assets.months import DAYS_PER_UNIT
from cltv_assets.settings import Settings
from cltv_assets.tables.fitted_models import SEASON_COLUMNS


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


def operational_time(row: Mapping[str, Any], settings: Settings) -> OperationalTime:
    """Return the clock of a row of ``purchase_model``: plain time unless its model is seasonal."""
    index = [row[name] for name in SEASON_COLUMNS] if row["seasonality"] == "monthly" else None
    return OperationalTime(index, DAYS_PER_UNIT[settings.time_unit])
