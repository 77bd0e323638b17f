"""Columns of ``purchase_model``."""

from __future__ import annotations

from cltv_assets.columns import Column, TableSchema
from cltv_assets.tables.fitted_models import COVARIANCE, FIT_EVIDENCE, FIT_STATUS, SEASON_COLUMNS, parameter_columns

PURCHASE_MODEL = TableSchema(
    "purchase_model",
    "How often customers buy and when they stop. One row for each model fitted on all customers: those that "
    "predict, with their weights, and those they were compared with.",
    ("model_name", "seasonality"),
    (
        *FIT_STATUS,
        Column(
            "weight",
            "float64",
            "Its share in the predictions, which are mixed of all models that have one; 'chosen' has most. 0 for "
            "a comparison. Null in months of before, where the chosen one has all.",
            "share",
            nullable=True,
            since=3,
        ),
        Column("seasonality", "string", "'monthly' where purchase intensity differs by calendar month, else 'none'."),
        *parameter_columns(
            ("r", "Shape of the gamma distribution of purchase rates.", ""),
            ("alpha", "Rate of the gamma distribution of purchase rates.", "time unit"),
            ("a", "First shape of the beta distribution of dropout probabilities.", ""),
            ("b", "Second shape of the beta distribution of dropout probabilities.", ""),
            ("s", "Shape of the gamma distribution of dropout rates (Pareto/NBD).", ""),
            ("beta", "Rate of the gamma distribution of dropout rates (Pareto/NBD).", "time unit"),
        ),
        Column(
            "k",
            "int64",
            "Steps that a purchase takes, each of which comes by chance: 1 where purchases do, more where they are "
            "regular ((M)BG/CNBD-k). The mean interval of an average customer is k alpha / r.",
            nullable=True,
            since=3,
        ),
        *(
            Column(name, "float64", "Purchase intensity of that calendar month; a year's mean is 1.", nullable=True)
            for name in SEASON_COLUMNS
        ),
        *FIT_EVIDENCE,
        COVARIANCE,
        Column(
            "truncated",
            "boolean",
            "Whether it was fitted on the condition of a repeat purchase or more: the data are an extract of customers "
            "who bought often enough.",
        ),
        Column(
            "least_frequency",
            "int64",
            "Repeat purchases that customers needed to be in that extract; null where the data hold all customers.",
            "purchase days",
            nullable=True,
            since=3,
        ),
        Column(
            "left_out",
            "int64",
            "Customers who have fewer all the same: not fitted on, but predicted. Null as `least_frequency` is.",
            "customers",
            nullable=True,
            since=3,
        ),
        Column(
            "older_customers",
            "int64",
            "Customers seen who are probably older than the data; on the chosen row only, null where none were found.",
            "customers",
            nullable=True,
            since=3,
        ),
        Column(
            "older_total_change",
            "float64",
            "What knowing them changes of the expected purchases over the longest horizon, as a share. Null as "
            "`older_customers` is.",
            "share",
            nullable=True,
            since=3,
        ),
        Column(
            "older_p_alive_change",
            "float64",
            "What it changes of the mean P(alive). Null as `older_customers` is.",
            nullable=True,
            since=3,
        ),
        Column(
            "populations",
            "string",
            "Parameters of older and new customers, from which everybody is predicted: JSON. Null unless "
            "`history_before_start` is `unknown` and older customers were found.",
            nullable=True,
            since=3,
        ),
        Column(
            "customer_groups",
            "string",
            "Parameters of groups of customers, by attributes, from which they are predicted, and how these err: JSON, "
            "see docs/models.md. On rows that predict; null where all customers are predicted alike.",
            nullable=True,
            since=3,
        ),
        Column("holdout_folds", "int64", "Rolling holdouts inside the history that it was compared on.", "holdouts"),
        Column(
            "holdout_log_score",
            "float64",
            "Mean log probability that it gave to what each customer then bought.",
            "nats a customer",
            nullable=True,
        ),
        Column(
            "holdout_deficit",
            "float64",
            "By how much its log score lies below the best one's.",
            "nats a customer",
            nullable=True,
        ),
        Column("holdout_deficit_se", "float64", "Standard error of that.", "nats a customer", nullable=True),
        Column(
            "holdout_bias",
            "float64",
            "Total predicted over total bought in the rolling holdouts, minus 1.",
            "share",
            nullable=True,
        ),
        Column(
            "holdout_total_error",
            "float64",
            "Root mean square of the relative errors of the totals, one a rolling holdout.",
            "share",
            nullable=True,
        ),
        Column(
            "holdout_errors",
            "string",
            "The relative error of the total in each rolling holdout: JSON, month of the origin to share.",
            nullable=True,
            since=3,
        ),
        Column("choice_reason", "string", "Why these models predict; on the chosen row only.", nullable=True),
        Column("customers", "int64", "Customers fitted on: all of them, but for those left out.", "customers"),
        Column("repeat_customers", "int64", "Customers with a repeat purchase.", "customers"),
        Column("repeat_purchases", "int64", "Repeat purchases of all customers.", "purchase days"),
        Column(
            "regularity",
            "float64",
            "Shape of the gamma distribution of intervals between purchases, measured from customers' last two: 1 as "
            "by chance, more where purchases are regular. Null for fewer than 30 customers with two.",
            nullable=True,
            since=3,
        ),
        Column("time_unit", "string", "Unit of recency, T and alpha: day or week."),
        Column("observation_end", "date", "Last day of the observation."),
        Column("model_version", "string", "Version of the code that fitted it."),
    ),
)
