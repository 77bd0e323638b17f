"""How many customers and lines there are, this month and the one before."""

from __future__ import annotations

from dataclasses import dataclass

from cltv_assets.sources.delivered import RAW_TRANSACTIONS
from cltv_assets.tables.cleaned_and_rejected.columns import REJECTED_TRANSACTIONS
from cltv_assets.tables.cltv_predictions.columns import predictions_schema
from cltv_assets.tables.month_run import MonthRun
from cltv_assets.tables.purchase_model.columns import PURCHASE_MODEL


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
