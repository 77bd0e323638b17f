"""Columns of ``holdout_evaluation``."""

from __future__ import annotations

from cltv_assets.columns import Column, TableSchema

HOLDOUT_EVALUATION = TableSchema(
    "holdout_evaluation",
    "How wrong earlier predictions were. Predictions made some months ago against what then happened, beside "
    "naive baselines. One row for each metric.",
    ("origin_month", "horizon_months", "target", "model_name", "metric"),
    (
        Column("origin_month", "date", "First day of the month at whose end the prediction was made."),
        Column("horizon_months", "int64", "How far ahead it looked.", "months"),
        Column("target", "string", "'purchases' (purchase days) or 'revenue' (spend, net if so configured)."),
        Column("model_name", "string", "The model, or the baseline it is held against."),
        Column("metric", "string", "Name of the metric; see docs/models.md."),
        Column("value", "float64", "Value of the metric.", "by metric"),
        Column("customers", "int64", "Customers it was computed on.", "customers"),
    ),
)
