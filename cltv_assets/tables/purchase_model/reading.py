"""Turns a row of ``purchase_model`` back into a fit and its clock."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from cltv_assets.models.arrays import FloatArray, IntArray
from cltv_assets.models.choosing.histories import DateArray, Histories, OperationalTime
from cltv_assets.models.choosing.older_base import Populations
from cltv_assets.models.estimation.fits import PurchaseFit
from cltv_assets.models.purchase.registry import model_named
from cltv_assets.models.sufficient_statistics import Patterns
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


@dataclasses.dataclass(frozen=True, eq=False)
class Reading:
    """One way to read histories: that of new customers, or that of customers older than the data.

    Parameters
    ----------
    fit : PurchaseFit
        Predicts them if this way is right. Where there are two, either has the covariance of the one model.
    patterns : Patterns
        The histories, read that way; n of them.
    probability : array of float64, shape (n,)
        That it is right. The probabilities of all ways add up to 1.
    """

    fit: PurchaseFit
    patterns: Patterns
    probability: FloatArray


def readings(
    row: Mapping[str, Any], clock: OperationalTime, frequency: IntArray, first: DateArray, last: DateArray, end: Any
) -> list[Reading]:
    """Return how a row of ``purchase_model`` reads histories up to ``end``: what is expected of them is the sum.

    Parameters
    ----------
    row : mapping
        The row that predicts.
    clock : OperationalTime
        That of `operational_time`.
    frequency : array of int64, shape (n,)
        Repeat purchases.
    first, last : arrays of datetime64[D], shape (n,)
        Days of the first and the last purchase.
    end : datetime64[D]
        Last day of the observation.
    """
    fit, two = purchase_fit(row), populations(row)
    ones = np.ones(len(frequency))
    histories = Histories(frequency, first, last, ones, np.datetime64(end, "D"))
    if two is None:
        return [Reading(fit, histories.patterns(clock), ones)]
    return [
        Reading(dataclasses.replace(fit, parameters=each.parameters), each.patterns, each.probability)
        for each in two.readings(histories, clock)
    ]


def populations(row: Mapping[str, Any]) -> Populations | None:
    """Return the populations that a row of ``purchase_model`` predicts from; None where it has but one."""
    if not row.get("populations"):
        return None
    values = json.loads(row["populations"])
    return Populations(**values | {"start": np.datetime64(values["start"], "D")})
