"""Predictions of an earlier month against what then happened."""

from __future__ import annotations

from dataclasses import dataclass

import ibis
import ibis.expr.types as ir

from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.transforms.customers import DAYS_PER_UNIT

#: What stands beside the model: each customer goes on at the rate so far, or does
#: what it did in the period of the same length before.
NAIVE_RATE, SAME_AGAIN = "naive_rate", "same_as_last_period"
BASELINES = (NAIVE_RATE, SAME_AGAIN)


@dataclass(frozen=True)
class Holdout:
    """One evaluation: predicted at the end of ``origin``, ``horizon`` months ahead."""

    origin: Month
    horizon: int

    @property
    def last(self) -> Month:
        """The month at whose end the outcome is known."""
        return self.origin.shift(self.horizon)


def outcomes(predictions: ir.Table, days: ir.Table, holdout: Holdout, settings: Settings, model_name: str) -> ir.Table:
    """Put prediction, baselines and outcome of every customer side by side.

    Parameters
    ----------
    predictions : ibis table
        ``cltv_predictions`` of the origin month.
    days : ibis table
        ``purchase_days`` covering the horizon and as long a period before it.
    holdout : Holdout
    settings : Settings
    model_name : str
        Name for the model's own columns.

    Returns
    -------
    ibis table
        ``actual_purchases, actual_revenue`` and for each contender ``<name>_purchases``
        and ``<name>_revenue``; for the model also ``low`` and ``high`` purchases.
    """
    h = holdout.horizon
    after = _totals(days, holdout.origin.shift(1), holdout.last, settings, "actual")
    before = _totals(days, holdout.origin.shift(1 - h), holdout.origin, settings, SAME_AGAIN)
    joined = (
        predictions.left_join(after, "customer_id")
        .drop("customer_id_right")
        .left_join(before, "customer_id")
        .drop("customer_id_right")
    )
    ahead = holdout.origin.days_to_end_of(h) / DAYS_PER_UNIT[settings.time_unit]
    age = ibis.ifelse(joined["T"] > 0, joined["T"], 1.0)
    rate = ibis.ifelse(joined["T"] > 0, joined.frequency.cast("float64") / age * ahead, 0.0)
    expected = joined[f"expected_purchases_{h}m"]
    zero = ibis.literal(0.0)
    return joined.select(
        actual_purchases=joined.actual_purchases.fill_null(zero),
        actual_revenue=joined.actual_revenue.fill_null(zero),
        low=joined[f"expected_purchases_{h}m_low"],
        high=joined[f"expected_purchases_{h}m_high"],
        **{
            f"{model_name}_purchases": expected,
            f"{model_name}_revenue": expected * joined.expected_order_value,
            f"{NAIVE_RATE}_purchases": rate,
            f"{NAIVE_RATE}_revenue": rate * joined.monetary_value,
            f"{SAME_AGAIN}_purchases": joined[f"{SAME_AGAIN}_purchases"].fill_null(zero),
            f"{SAME_AGAIN}_revenue": joined[f"{SAME_AGAIN}_revenue"].fill_null(zero),
        },
    )


def _totals(days: ir.Table, first: Month, last: Month, settings: Settings, prefix: str) -> ir.Table:
    period = days.filter(days.purchase_day.between(first.first_day, last.last_day))
    spend = period.spend - period.refunds if settings.refunds == "net" else period.spend
    return period.group_by("customer_id").aggregate(
        **{
            f"{prefix}_purchases": (period.order_count > 0).cast("int64").sum().cast("float64"),
            f"{prefix}_revenue": spend.sum().cast("float64"),
        }
    )


def error_measures(table: ir.Table, contender: str, target: str) -> dict[str, ir.Scalar]:
    """Aggregate one contender's errors, by ``contender|target|metric``."""
    predicted, actual = table[f"{contender}_{target}"], table[f"actual_{target}"]
    error = predicted - actual
    customers = table.count()
    measures = {
        "mae": _exact_sum(error.abs()) / customers,
        "rmse": (_exact_sum(error * error) / customers).sqrt(),
        "total_predicted": _exact_sum(predicted),
        "total_actual": _exact_sum(actual),
        "customers": customers,
    }
    return {f"{contender}|{target}|{name}": value for name, value in measures.items()}


def _exact_sum(values: ir.FloatingValue) -> ir.FloatingScalar:
    """Sum independently of the rows' order, which differs from run to run: floats would not."""
    return values.cast("decimal(38, 9)").sum().cast("float64")


def coverage_measure(table: ir.Table, contender: str) -> dict[str, ir.Scalar]:
    """Aggregate how often the model's 80 % interval held the outcome."""
    inside = table.actual_purchases.between(table.low, table.high)
    share = inside.cast("int64").sum().cast("float64") / table.count()
    return {f"{contender}|purchases|interval_coverage": share}
