"""Turns rows of ``purchase_model`` back into fits, what they predict together, and their clock."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cltv_assets.models.arrays import FloatArray, IntArray
from cltv_assets.models.choosing.candidates import NULL_MODEL
from cltv_assets.models.choosing.histories import DateArray, Histories, OperationalTime
from cltv_assets.models.choosing.older_base import Populations
from cltv_assets.models.estimation.fits import PurchaseFit
from cltv_assets.models.mixture import Mixture
from cltv_assets.models.purchase.registry import model_named
from cltv_assets.models.sufficient_statistics import Patterns
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


def staying_weight(rows: Sequence[Mapping[str, Any]]) -> float:
    """Return the weight of the model in which nobody leaves among `predicting` rows: no P(alive) is below it."""
    return sum(row.get("weight") or 1.0 for row in rows if row["model_name"] == NULL_MODEL)


def new_customers_mixture(rows: Sequence[Mapping[str, Any]]) -> Mixture:
    """Return what `predicting` rows say of customers yet to come: of two populations, that of the new ones."""
    two = populations(rows[0])
    if two is None:
        return mixture_of(rows)
    return Mixture.of(dataclasses.replace(purchase_fit(rows[0]), parameters=two.newer))


def holdout_errors(rows: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Return the relative errors of the totals of `predicting` models together, by origin of the rolling holdouts."""
    each = [json.loads(row.get("holdout_errors") or "{}") for row in rows]
    weights = [row.get("weight") or 1.0 for row in rows]
    common = [origin for origin in each[0] if all(origin in errors for errors in each)]
    return {
        origin: sum(weight * errors[origin] for weight, errors in zip(weights, each, strict=True)) for origin in common
    }


def holdout_error(rows: Sequence[Mapping[str, Any]]) -> float | None:
    """Return how far `predicting` models missed the totals of their rolling holdouts, as `model_error` takes it."""
    errors = holdout_errors(rows).values()
    if errors:
        return math.sqrt(sum(error * error for error in errors) / len(errors))
    # Rows of earlier versions, and models that stand beside a seasonal one, know no single errors.
    return next((row["holdout_total_error"] for row in rows if row["holdout_total_error"] is not None), None)


def operational_time(row: Mapping[str, Any], settings: Settings) -> OperationalTime:
    """Return the clock of a row of ``purchase_model``: plain time unless its model is seasonal."""
    index = [row[name] for name in SEASON_COLUMNS] if row["seasonality"] == "monthly" else None
    return OperationalTime(index, DAYS_PER_UNIT[settings.time_unit])


@dataclasses.dataclass(frozen=True, eq=False)
class Reading:
    """One way to read histories: that of new customers, or that of customers older than the data.

    Parameters
    ----------
    mixture : Mixture
        Predicts them if this way is right. Where there are two ways, each is one model, and both have its covariance.
    patterns : Patterns
        The histories, read that way; n of them.
    probability : array of float64, shape (n,)
        That it is right. The probabilities of all ways add up to 1.
    """

    mixture: Mixture
    patterns: Patterns
    probability: FloatArray


def readings(
    rows: Sequence[Mapping[str, Any]],
    clock: OperationalTime,
    frequency: IntArray,
    first: DateArray,
    last: DateArray,
    end: Any,
) -> list[Reading]:
    """Return how `predicting` rows read histories up to ``end``: what is expected of them is the sum.

    Parameters
    ----------
    rows : sequence of mapping
        The rows that predict.
    clock : OperationalTime
        That of `operational_time`.
    frequency : array of int64, shape (n,)
        Repeat purchases.
    first, last : arrays of datetime64[D], shape (n,)
        Days of the first and the last purchase.
    end : datetime64[D]
        Last day of the observation.
    """
    two = populations(rows[0])
    ones = np.ones(len(frequency))
    histories = Histories(frequency, first, last, ones, np.datetime64(end, "D"))
    if two is None:
        return [Reading(mixture_of(rows), histories.patterns(clock), ones)]
    fit = purchase_fit(rows[0])
    return [
        Reading(Mixture.of(dataclasses.replace(fit, parameters=each.parameters)), each.patterns, each.probability)
        for each in two.readings(histories, clock)
    ]


def populations(row: Mapping[str, Any]) -> Populations | None:
    """Return the populations that a row of ``purchase_model`` predicts from; None where it has but one."""
    if not row.get("populations"):
        return None
    values = json.loads(row["populations"])
    return Populations(**values | {"start": np.datetime64(values["start"], "D")})
