"""How many customers and lines there are, this month and the one before."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import ibis.expr.types as ir

from cltv_assets.sources.delivered import RAW_TRANSACTIONS
from cltv_assets.tables.cleaned_and_rejected.columns import REJECTED_TRANSACTIONS
from cltv_assets.tables.cltv_predictions.columns import predictions_schema
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.purchase_model.columns import PURCHASE_MODEL
from cltv_assets.tables.rfm_summary import RFM_SUMMARY


@dataclass(frozen=True)
class Population:
    """One month in a few numbers; ``None`` where a month does not have the number.

    Parameters
    ----------
    customers, repeat_customers : int or None
        Ever seen, and seen on two days or more.
    lines_in, rejected : int or None
        Delivered lines of the month, and those that were turned away.
    expected_value : float or None
        Total predicted value over the longest horizon, in currency.
    model : tuple of (str, bool) or None
        Name of the purchase model that predicted, and whether it was seasonal.
    """

    customers: int | None
    repeat_customers: int | None
    lines_in: int | None
    rejected: int | None
    expected_value: float | None
    model: tuple[str, bool] | None = None


@dataclass(frozen=True)
class CustomerCounts:
    """Customers by what the models' pictures need, and no finer.

    Parameters
    ----------
    by_frequency : dict of int to int
        Customers by number of repeat purchases.
    by_first_day : dict of date to int
        Customers by first purchase day.
    """

    by_frequency: dict[int, int]
    by_first_day: dict[dt.date, int]

    @property
    def customers(self) -> int:
        """All customers."""
        return sum(self.by_frequency.values())

    @property
    def repeat_customers(self) -> int:
        """Customers with a repeat purchase."""
        return sum(n for frequency, n in self.by_frequency.items() if frequency > 0)


def customer_counts(run: MonthRun) -> CustomerCounts:
    """Count the month's customers in the engine."""
    rfm = run.inputs[RFM_SUMMARY.name]
    return CustomerCounts(_counts(run, rfm, "frequency"), _counts(run, rfm, "first_purchase"))


def _counts(run: MonthRun, table: ir.Table, column: str) -> dict[Any, int]:
    counted = table.group_by(column).aggregate(n=table.count())
    return dict(sorted((row[column], row["n"]) for row in run.engine.collect(counted).to_pylist()))


def month_before(run: MonthRun) -> Population | None:
    """Read last month's figures from the lake; ``None`` where none of it is published."""
    horizon = run.settings.horizons_months[-1]
    model = run.earlier(PURCHASE_MODEL)
    customers = repeat = chosen_model = None
    if model is not None:
        chosen = model.filter(model.role == "chosen").select(
            "customers", "repeat_customers", "model_name", "seasonality"
        )
        for row in run.engine.collect(chosen).to_pylist():
            customers, repeat = row["customers"], row["repeat_customers"]
            chosen_model = row["model_name"], row["seasonality"] == "monthly"
    predictions = run.earlier(predictions_schema(run.settings.horizons_months))
    value = None
    if predictions is not None:
        value = run.engine.measure(predictions, {"value": predictions[f"cltv_{horizon}m"].sum()})["value"]
    before = run.month.shift(-1)
    lines, rejected = (
        run.earlier_row_counts(schema, 1).get(before) for schema in (RAW_TRANSACTIONS, REJECTED_TRANSACTIONS)
    )
    if customers is None and lines is None:
        return None
    return Population(customers, repeat, lines, rejected, value, chosen_model)
