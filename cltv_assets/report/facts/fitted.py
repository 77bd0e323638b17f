"""The month's models as fitted: one fact sheet a model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cltv_assets.schemas import PURCHASE_MODEL, SPEND_MODEL, TableSchema
from cltv_assets.steps.month_run import MonthRun


@dataclass(frozen=True)
class Parameter:
    """One estimate; ``error`` is its standard error, ``None`` where the data do not tell it."""

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
        """Plain words for another status than ``fitted``."""
        return str(self.row["status_reason"] or "")

    @property
    def usable(self) -> bool:
        """Whether it can predict."""
        return self.status != "not_fitted"


@dataclass(frozen=True)
class Models:
    """The models that predict, and those they are held against."""

    purchase: FittedModel
    spend: FittedModel
    comparisons: tuple[FittedModel, ...]


def fitted_models(run: MonthRun) -> Models:
    """Bring the month's model rows here."""
    purchase, comparisons = _split(run, PURCHASE_MODEL)
    spend, more = _split(run, SPEND_MODEL)
    return Models(purchase, spend, (*comparisons, *more))


def _split(run: MonthRun, schema: TableSchema) -> tuple[FittedModel, tuple[FittedModel, ...]]:
    rows = sorted(run.engine.collect(run.inputs[schema.name]).to_pylist(), key=lambda row: str(row["model_name"]))
    found = [FittedModel(row, _parameters(schema, row)) for row in rows]
    chosen = next(model for model in found if model.row["role"] == "chosen")
    return chosen, tuple(model for model in found if model is not chosen)


def _parameters(schema: TableSchema, row: Mapping[str, Any]) -> tuple[Parameter, ...]:
    names = set(schema.column_names)
    return tuple(
        Parameter(column.name, column.meaning, column.unit, row[column.name], row[f"{column.name}_se"])
        for column in schema.columns
        # A parameter is a column with a standard error; a null one belongs to another model.
        if f"{column.name}_se" in names and row[column.name] is not None
    )
