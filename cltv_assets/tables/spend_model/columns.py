"""Columns of ``spend_model``."""

from __future__ import annotations

import dataclasses

from cltv_assets.columns import Column, TableSchema
from cltv_assets.tables.fitted_models import (
    COVARIANCE,
    FIT_EVIDENCE,
    FIT_STATUS,
    parameter_columns,
)

SPEND_MODEL = TableSchema(
    "spend_model",
    "How much a purchase is worth. The Gamma-Gamma model, fitted on repeat customers.",
    ("model_name",),
    (
        *FIT_STATUS,
        *parameter_columns(
            ("p", "Shape of the gamma distribution of a customer's purchase values.", ""),
            ("q", "Shape of the gamma distribution of their rates over customers.", ""),
            ("v", "Rate of the gamma distribution of their rates over customers.", "currency"),
        ),
        *(
            dataclasses.replace(column, since=3)
            for column in parameter_columns(
                (
                    "doubling",
                    "Factor by which v changes each time the repeat purchases double, where order values depend on "
                    "frequency.",
                    "",
                )
            )
        ),
        Column(
            "by_frequency",
            "boolean",
            "Whether order values depend on how often customers buy; null in months of before.",
            nullable=True,
            since=3,
        ),
        *FIT_EVIDENCE,
        COVARIANCE,
        Column("customers", "int64", "Repeat customers with positive monetary value: fitted on.", "customers"),
        Column(
            "prices",
            "int64",
            "How many mean order values they have: few are the prices of plans.",
            "values",
            nullable=True,
            since=3,
        ),
        Column(
            "excluded_customers", "int64", "Repeat customers of no positive or no known value: left out.", "customers"
        ),
        Column("mean_order_value", "float64", "Mean spend a repeat purchase of those fitted on.", "currency", True),
        Column("expected_order_value", "float64", "Model mean of a new customer's order value.", "currency", True),
        Column(
            "frequency_value_correlation",
            "float64",
            "Pearson correlation of frequency and monetary value; the model assumes none.",
            nullable=True,
        ),
        Column(
            "value_trend",
            "float64",
            "Change of the same customers' order values in a year, as a share: 0.1 is a tenth more.",
            "share a year",
            nullable=True,
            signed=True,
            since=3,
        ),
        Column("value_trend_se", "float64", "Standard error of that.", "share a year", nullable=True, since=3),
        Column(
            "value_trend_use",
            "string",
            "What is done about a trend beyond chance: 'none'; 'level' where order values so far count at the level of "
            "the observation's end; 'goes_on' where the trend goes on from there, for as long as it was seen. Null "
            "without one.",
            nullable=True,
            since=3,
        ),
        Column(
            "value_trend_lag",
            "float64",
            "By what share that level lies above the mean of the orders so far.",
            "share",
            nullable=True,
            signed=True,
            since=3,
        ),
        Column("value_trend_months", "int64", "Months that the trend was seen for.", "months", nullable=True, since=3),
        Column("choice_reason", "string", "Why order values are expected in this way.", nullable=True, since=3),
        Column(
            "holdout_value_errors",
            "string",
            "Expected over actual spend of the orders made in each rolling holdout, minus 1: JSON, month of the origin "
            "to share.",
            nullable=True,
            since=3,
        ),
        Column("observation_end", "date", "Last day of the observation."),
        Column("model_version", "string", "Version of the code that fitted it."),
    ),
)
