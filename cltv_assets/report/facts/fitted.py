"""The month's models as fitted: one fact sheet a model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from cltv_assets.columns import TableSchema
from cltv_assets.tables.fitted_models import SEASON_COLUMNS
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.purchase_model.columns import PURCHASE_MODEL
from cltv_assets.tables.spend_model import SPEND_MODEL

#: The model without dropout: what every other purchase model is held against.
NULL_MODEL = "nbd"


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
        """Whether it was fitted on the condition of a repeat purchase."""
        return bool(self.row.get("truncated"))

    @property
    def choice_reason(self) -> str:
        """Why this model predicts; empty on others."""
        return str(self.row.get("choice_reason") or "")

    def figure(self, column: str) -> float | None:
        """Return a column as a number; ``None`` where the model or the table has none."""
        value = self.row.get(column)
        return None if value is None else float(value)


@dataclass(frozen=True)
class Models:
    """The models that predict, and those they are held against."""

    purchase: FittedModel
    spend: FittedModel
    comparisons: tuple[FittedModel, ...]

    @property
    def candidates(self) -> tuple[FittedModel, ...]:
        """The purchase models, the chosen one first, the others by their holdout score."""
        return in_order(self.purchase, (one for one in self.comparisons if "seasonality" in one.row))

    @property
    def null(self) -> FittedModel | None:
        """The model without dropout, on the chosen one's clock where there is one."""
        found = [one for one in self.candidates if one.name == NULL_MODEL]
        return min(found, key=lambda one: one.seasonal != self.purchase.seasonal, default=None)


def fitted_models(run: MonthRun) -> Models:
    """Bring the month's model rows here."""
    purchase, comparisons = _split(run, PURCHASE_MODEL)
    spend, more = _split(run, SPEND_MODEL)
    return Models(purchase, spend, (*comparisons, *more))


def fitted_purchase_models(run: MonthRun) -> tuple[FittedModel, ...]:
    """Bring the purchase models here, the chosen one first, the others by their holdout score."""
    return in_order(*_split(run, PURCHASE_MODEL))


def fitted_spend_model(run: MonthRun) -> FittedModel:
    """Bring the spend model that predicts here."""
    return _split(run, SPEND_MODEL)[0]


def in_order(chosen: FittedModel, others: Iterable[FittedModel]) -> tuple[FittedModel, ...]:
    """Return the chosen model, then the others by their holdout score."""

    def deficit(one: FittedModel) -> float:
        found = one.figure("holdout_deficit")
        return float("inf") if found is None else found

    return (chosen, *sorted(others, key=lambda one: (deficit(one), one.name, one.seasonal)))


def _split(run: MonthRun, schema: TableSchema) -> tuple[FittedModel, tuple[FittedModel, ...]]:
    rows = run.engine.collect(run.inputs[schema.name]).to_pylist()
    rows.sort(key=lambda row: (str(row["model_name"]), str(row.get("seasonality"))))
    found = [FittedModel(row, _parameters(schema, row)) for row in rows]
    chosen = next(model for model in found if model.row["role"] == "chosen")
    return chosen, tuple(model for model in found if model is not chosen)


def _parameters(schema: TableSchema, row: Mapping[str, Any]) -> tuple[Parameter, ...]:
    names = set(schema.column_names)
    return tuple(
        Parameter(column.name, column.meaning, column.unit, row[column.name], row[f"{column.name}_se"])
        for column in schema.columns
        # A parameter is a column with a standard error, as is the distance in the holdouts;
        # a null one belongs to another model.
        if f"{column.name}_se" in names and not column.name.startswith("holdout_") and row[column.name] is not None
    )
