"""Rows of ``purchase_model`` and ``spend_model`` for people to read: parameters, status, usual names."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cltv_assets.columns import TableSchema
from cltv_assets.figures import wording
from cltv_assets.tables.fitted_models import SEASON_COLUMNS
from cltv_assets.tables.month_run import MonthRun

_MODELS = {
    "bg_nbd": "BG/NBD",
    "mbg_nbd": "MBG/NBD",
    "pareto_nbd": "Pareto/NBD",
    "nbd": "NBD",
    "gamma_gamma": "Gamma-Gamma",
}
#: Models of regular purchases have their k in the name.
_FAMILIES = {"bg_cnbd": "BG/CNBD", "mbg_cnbd": "MBG/CNBD"}
_NAMES = re.compile(rf"\b({'|'.join(_MODELS)})\b")
_REGULAR = re.compile(rf"\b({'|'.join(_FAMILIES)})_(\d+)\b")


@dataclass(frozen=True)
class Parameter:
    """One estimate; ``error`` is its standard error, ``None`` where the data do not determine it."""

    name: str
    meaning: str
    unit: str
    value: float
    error: float | None


@dataclass(frozen=True)
class FittedModel:
    """One row of ``purchase_model`` or ``spend_model``.

    Parameters
    ----------
    row : mapping
        All its columns.
    parameters : tuple of Parameter
        Those the model has; empty where it is not fitted.
    """

    row: Mapping[str, Any]
    parameters: tuple[Parameter, ...]

    @property
    def name(self) -> str:
        """The model's name in the tables."""
        return str(self.row["model_name"])

    @property
    def status(self) -> str:
        """``fitted``, ``boundary`` or ``not_fitted``."""
        return str(self.row["status"])

    @property
    def reason(self) -> str:
        """Why the status is not ``fitted``, in plain words."""
        return str(self.row["status_reason"] or "")

    @property
    def usable(self) -> bool:
        """Whether it can predict."""
        return self.status != "not_fitted"

    @property
    def seasonal(self) -> bool:
        """Whether purchase intensity differs by calendar month."""
        return self.row.get("seasonality") == "monthly"

    @property
    def seasonal_index(self) -> tuple[float, ...] | None:
        """Intensity of January to December, mean 1; ``None`` without seasonality."""
        if not self.seasonal:
            return None
        found = [self.row[name] for name in SEASON_COLUMNS]
        return None if None in found else tuple(float(value) for value in found)

    @property
    def truncated(self) -> bool:
        """Whether it was fitted conditionally on a repeat purchase or more."""
        return bool(self.row.get("truncated"))

    @property
    def least_frequency(self) -> int:
        """The repeat purchases of that condition; 0 without one."""
        return int(self.row.get("least_frequency") or self.truncated)

    @property
    def weight(self) -> float:
        """Its share in the predictions; 0 for a comparison."""
        weight = self.row.get("weight")
        return float(self.row["role"] == "chosen") if weight is None else float(weight)

    @property
    def choice_reason(self) -> str:
        """Why the models that predict do; on the chosen one only."""
        return str(self.row.get("choice_reason") or "")

    @property
    def title(self) -> str:
        """The model's usual name, and whether it has seasons."""
        return model_title(self.name) + (" with seasons" if self.seasonal else "")

    @property
    def numbers(self) -> dict[str, object]:
        """Parameters by name, and the status with its reason, for the UI."""
        found: dict[str, object] = {one.name: float(f"{one.value:.8g}") for one in self.parameters}
        return found | {name: self.row[name] for name in ("status", "status_reason") if self.row[name]}

    def figure(self, column: str) -> float | None:
        """Return a column as a number; ``None`` where the model or the table has none."""
        value = self.row.get(column)
        return None if value is None else float(value)


def fitted_rows(run: MonthRun, schema: TableSchema) -> tuple[FittedModel, ...]:
    """Collect a table's models: the chosen one first, then those beside it by weight, the others by holdout score.

    Parameters
    ----------
    run : MonthRun
        The month, with the table among its inputs.
    schema : TableSchema
        ``purchase_model`` or ``spend_model``.
    """
    rows = run.engine.collect(run.inputs[schema.name]).to_pylist()
    found = [FittedModel(row, _parameters(schema, row)) for row in rows]
    chosen = next(one for one in found if one.row["role"] == "chosen")

    def place(one: FittedModel) -> tuple[bool, float, float, str, bool]:
        deficit = one.figure("holdout_deficit")
        return one is not chosen, -one.weight, math.inf if deficit is None else deficit, one.name, one.seasonal

    return tuple(sorted(found, key=place))


def _parameters(schema: TableSchema, row: Mapping[str, Any]) -> tuple[Parameter, ...]:
    names = set(schema.column_names)
    return tuple(
        Parameter(column.name, column.meaning, column.unit, row[column.name], row[f"{column.name}_se"])
        for column in schema.columns
        # A parameter is a column with a standard error; so is the distance in the holdouts.
        # A null parameter belongs to another model.
        if f"{column.name}_se" in names and not column.name.startswith("holdout_") and row[column.name] is not None
    )


def together(models: Sequence[FittedModel]) -> str:
    """Return the titles of the models that predict, with their shares where there are several."""
    predict = [one for one in models if one.weight > 0.0]
    if len(predict) < 2:
        return "".join(one.title for one in predict)
    return wording.listing([f"{one.title} ({wording.percent(one.weight, 0)})" for one in predict])


def model_title(name: str) -> str:
    """Return a model's usual name; a pair such as ``bg_nbd+gamma_gamma`` keeps its plus, ``bg_nbd+none`` has none."""
    return " + ".join(named(part) for part in name.removesuffix("+none").split("+"))


def in_words(reason: str) -> str:
    """Return a reason from a table as a sentence, with the models' usual names."""
    return wording.sentence(named(reason))


def named(reason: str) -> str:
    """Return a reason from a table with the models' usual names."""
    usual = _NAMES.sub(lambda match: _MODELS[match[0]], reason)
    return _REGULAR.sub(lambda match: f"{_FAMILIES[match[1]]}-{match[2]}", usual)
