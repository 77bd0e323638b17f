"""Every table of the lake. Change a table here and nowhere else."""

from __future__ import annotations

from collections.abc import Sequence

from cltv_assets.schemas.columns import MONEY, Column, TableSchema

_CUSTOMER = Column("customer_id", "string", "The retailer's identifier of the customer, trimmed.")

#: The source's fields as delivered: text, untouched.
DELIVERED = (
    Column("transaction_id", "string", "Order or invoice number as delivered.", nullable=True),
    Column("customer_id", "string", "Customer identifier as delivered.", nullable=True),
    Column("transacted_at", "string", "Time of the transaction as delivered.", nullable=True),
    Column("quantity", "string", "Quantity as delivered.", nullable=True),
    Column("unit_price", "string", "Price of one unit as delivered.", nullable=True),
    Column("amount", "string", "Value of the line as delivered.", nullable=True),
    Column("currency", "string", "Currency code as delivered.", nullable=True),
)

_LINE = (
    Column("source_file", "string", "File the line came from, relative to the source path."),
    Column("source_line", "int64", "Line number in that file, counted from 1.", "lines"),
)

_SOURCE_TEXT = Column(
    "source_text",
    "string",
    "The whole line as delivered, kept only where it could not be split into fields.",
    nullable=True,
)

RAW_TRANSACTIONS = TableSchema(
    "raw_transactions",
    "The month as delivered, one row for each source line: columns renamed, values untouched, "
    "nothing dropped. A line whose date cannot be read stands in the month of its file.",
    ("source_file", "source_line"),
    (*DELIVERED, *_LINE, _SOURCE_TEXT),
)

CLEANED_TRANSACTIONS = TableSchema(
    "cleaned_transactions",
    "Parsed, typed and valid purchase lines, and refund lines where refunds are netted. "
    "Outliers are treated as configured.",
    ("source_file", "source_line"),
    (
        Column("transaction_id", "string", "Order or invoice number; file and line where the source has none."),
        _CUSTOMER,
        Column("transacted_at", "timestamp('UTC')", "Instant of the transaction.", "UTC"),
        Column("purchase_day", "date", "Calendar day of the transaction in the configured time zone."),
        Column("kind", "string", "'purchase', or 'refund' for a cancelled or negative line."),
        Column("quantity", MONEY, "Quantity, where the source gives one.", "units", nullable=True),
        Column("amount", MONEY, "Value of the line, negative for a refund, after outlier treatment.", "currency"),
        Column("amount_delivered", MONEY, "Value of the line before outlier treatment.", "currency"),
        *_LINE,
    ),
)

REJECTED_TRANSACTIONS = TableSchema(
    "rejected_transactions",
    "Every line that did not make it, with the reason and its original text. "
    "raw_transactions = cleaned_transactions + rejected_transactions, exactly, every month.",
    ("source_file", "source_line"),
    (
        Column("reason", "string", "The first rule that the line broke; see docs/data_in.md for the list."),
        *DELIVERED,
        *_LINE,
        _SOURCE_TEXT,
    ),
)

PURCHASE_DAYS = TableSchema(
    "purchase_days",
    "One row for each customer and calendar day: orders of a day merge, because the models' unit "
    "is the customer-day. A day with refunds only has order_count 0.",
    ("customer_id", "purchase_day"),
    (
        _CUSTOMER,
        Column("purchase_day", "date", "Calendar day in the configured time zone."),
        Column("order_count", "int64", "Distinct transactions with a purchase line that day.", "orders"),
        Column("line_count", "int64", "Purchase lines that day.", "lines"),
        Column("spend", MONEY, "Sum of the purchase lines.", "currency"),
        Column("refunds", MONEY, "Sum of the refund lines, as a positive number.", "currency"),
    ),
)

REPEAT_CUSTOMERS = TableSchema(
    "repeat_customers",
    "Customers with two or more purchase days in the trailing window: the cleaned repeat-customer "
    "data, reusable by other models.",
    ("customer_id",),
    (
        _CUSTOMER,
        Column("purchase_day_count", "int64", "Purchase days in the window, two or more.", "days"),
        Column("order_count", "int64", "Orders in the window.", "orders"),
        Column("spend", MONEY, "Spend in the window before refunds.", "currency"),
        Column("refunds", MONEY, "Refunds in the window, as a positive number.", "currency"),
        Column("first_purchase", "date", "First purchase day in the window."),
        Column("last_purchase", "date", "Last purchase day in the window."),
        Column("window_start", "date", "First day of the trailing window."),
        Column("window_end", "date", "Last day of the trailing window: the month's last day."),
    ),
)

RFM_SUMMARY = TableSchema(
    "rfm_summary",
    "Recency, frequency and monetary value of every customer ever seen, as of the month's last day. "
    "Semantics of lifetimes' summary_data_from_transaction_data.",
    ("customer_id",),
    (
        _CUSTOMER,
        Column("frequency", "int64", "Repeat purchase days: purchase days minus one.", "purchase days"),
        Column("recency", "float64", "Time from the first to the last purchase.", "time unit"),
        Column("T", "float64", "Time from the first purchase to the observation end.", "time unit"),
        Column(
            "monetary_value",
            "float64",
            "Mean spend of a repeat purchase day, scaled by the customer's net share where refunds "
            "are netted; 0 without a repeat purchase.",
            "currency",
        ),
        Column("first_purchase", "date", "First purchase day."),
        Column("last_purchase", "date", "Last purchase day."),
        Column("order_count", "int64", "Orders so far.", "orders"),
        Column("total_spend", MONEY, "Spend so far before refunds.", "currency"),
        Column("repeat_spend", MONEY, "Spend of the repeat purchase days before refunds.", "currency"),
        Column("total_refunds", MONEY, "Refunds so far, as a positive number.", "currency"),
        Column("is_repeat", "boolean", "Whether frequency is 1 or more."),
        Column("r_score", "int32", "Recency quintile, 5 for the most recent buyers.", "1 to 5"),
        Column("f_score", "int32", "Frequency quintile, 5 for the most frequent buyers.", "1 to 5"),
        Column("m_score", "int32", "Spend quintile, 5 for the largest total spend.", "1 to 5"),
    ),
)

#: What every model row says about how it was fitted.
_FIT_STATUS = (
    Column("model_name", "string", "Name of the model."),
    Column("role", "string", "'chosen' for the model that predicts, 'comparison' for a benchmark."),
    Column(
        "status",
        "string",
        "'fitted'; 'boundary' where the likelihood has no interior maximum; 'not_fitted' where the "
        "data cannot support a fit.",
    ),
    Column("status_reason", "string", "Plain words for a status other than 'fitted'.", nullable=True),
)

_FIT_EVIDENCE = (
    Column("log_likelihood", "float64", "Maximised log-likelihood.", "nats", nullable=True),
    Column("aic", "float64", "Akaike information criterion: 2 k - 2 log-likelihood.", "nats", nullable=True),
    Column("gradient_norm", "float64", "Largest gradient component a customer, in log parameters.", nullable=True),
    Column("hessian_positive_definite", "boolean", "Whether the maximum is a proper one.", nullable=True),
    Column("iterations", "int64", "Optimiser iterations of the winning start.", nullable=True),
    Column("starts_agreeing", "int64", "Starts that reached the maximum to 1e-6.", "starts", nullable=True),
    Column("patterns", "int64", "Distinct sufficient-statistic patterns fitted on.", "patterns"),
)

_COVARIANCE = Column(
    "log_covariance",
    "string",
    "Covariance of the logarithms of the identified parameters: JSON, parameter to parameter to value.",
    nullable=True,
)


def _parameters(*names: tuple[str, str, str]) -> tuple[Column, ...]:
    values = [Column(n, "float64", meaning, unit, nullable=True) for n, meaning, unit in names]
    errors = [
        Column(f"{n}_se", "float64", f"Standard error of {n}, from the observed information.", unit, nullable=True)
        for n, _, unit in names
    ]
    return (*values, *errors)


#: A calendar month's purchase intensity, of models fitted with seasonality.
SEASON_COLUMNS = tuple(f"season_{month:02d}" for month in range(1, 13))

PURCHASE_MODEL = TableSchema(
    "purchase_model",
    "How often customers buy and when they stop: one row for each model fitted on all customers, "
    "the chosen one and those it was compared with.",
    ("model_name", "seasonality"),
    (
        *_FIT_STATUS,
        Column("seasonality", "string", "'monthly' where purchase intensity differs by calendar month, else 'none'."),
        *_parameters(
            ("r", "Shape of the gamma distribution of purchase rates.", ""),
            ("alpha", "Rate of the gamma distribution of purchase rates.", "time unit"),
            ("a", "First shape of the beta distribution of dropout probabilities.", ""),
            ("b", "Second shape of the beta distribution of dropout probabilities.", ""),
            ("s", "Shape of the gamma distribution of dropout rates (Pareto/NBD).", ""),
            ("beta", "Rate of the gamma distribution of dropout rates (Pareto/NBD).", "time unit"),
        ),
        *(
            Column(name, "float64", "Purchase intensity of that calendar month; a year's mean is 1.", nullable=True)
            for name in SEASON_COLUMNS
        ),
        *_FIT_EVIDENCE,
        _COVARIANCE,
        Column(
            "truncated",
            "boolean",
            "Whether it was fitted on the condition of a repeat purchase: an extract that holds repeat customers only.",
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
        Column("choice_reason", "string", "Why this model predicts; on the chosen row only.", nullable=True),
        Column("customers", "int64", "Customers fitted on: all of them.", "customers"),
        Column("repeat_customers", "int64", "Customers with a repeat purchase.", "customers"),
        Column("repeat_purchases", "int64", "Repeat purchases of all customers.", "purchase days"),
        Column("time_unit", "string", "Unit of recency, T and alpha: day or week."),
        Column("observation_end", "date", "Last day of the observation."),
        Column("model_version", "string", "Version of the code that fitted it."),
    ),
)

SPEND_MODEL = TableSchema(
    "spend_model",
    "How much a purchase is worth: the Gamma-Gamma model, fitted on repeat customers.",
    ("model_name",),
    (
        *_FIT_STATUS,
        *_parameters(
            ("p", "Shape of the gamma distribution of a customer's purchase values.", ""),
            ("q", "Shape of the gamma distribution of their rates over customers.", ""),
            ("v", "Rate of the gamma distribution of their rates over customers.", "currency"),
        ),
        *_FIT_EVIDENCE,
        _COVARIANCE,
        Column("customers", "int64", "Repeat customers with positive monetary value: fitted on.", "customers"),
        Column("excluded_customers", "int64", "Repeat customers of no positive value: left out.", "customers"),
        Column("mean_order_value", "float64", "Mean spend a repeat purchase of those fitted on.", "currency", True),
        Column("expected_order_value", "float64", "Model mean of a new customer's order value.", "currency", True),
        Column(
            "frequency_value_correlation",
            "float64",
            "Pearson correlation of frequency and monetary value; the model assumes none.",
            nullable=True,
        ),
        Column("observation_end", "date", "Last day of the observation."),
        Column("model_version", "string", "Version of the code that fitted it."),
    ),
)


def cltv_predictions(horizons_months: Sequence[int]) -> TableSchema:
    """Return the schema of ``cltv_predictions`` for the configured horizons.

    Parameters
    ----------
    horizons_months : sequence of int
        Horizons in months; each adds six columns.
    """
    by_horizon: list[Column] = []
    for h in horizons_months:
        by_horizon += [
            Column(f"expected_purchases_{h}m", "float64", f"Expected purchases, next {h} months.", "purchase days"),
            Column(f"expected_purchases_{h}m_low", "float64", "Lower end of its 80 % interval.", "purchase days"),
            Column(f"expected_purchases_{h}m_high", "float64", "Upper end of its 80 % interval.", "purchase days"),
            Column(f"cltv_{h}m", "float64", f"Expected margin of the next {h} months, discounted.", "currency"),
            Column(f"cltv_{h}m_low", "float64", "Lower end of its 80 % interval.", "currency"),
            Column(f"cltv_{h}m_high", "float64", "Upper end of its 80 % interval.", "currency"),
        ]
    return TableSchema(
        "cltv_predictions",
        "What every customer is expected to buy and to be worth after the month's end.",
        ("customer_id",),
        (
            _CUSTOMER,
            Column("frequency", "int64", "Repeat purchase days so far.", "purchase days"),
            Column("recency", "float64", "Time from the first to the last purchase.", "time unit"),
            Column("T", "float64", "Time from the first purchase to the month's end.", "time unit"),
            Column("monetary_value", "float64", "Mean net spend of a repeat purchase day so far.", "currency"),
            Column("p_alive", "float64", "Probability that the customer still buys at all.", "0 to 1"),
            Column("expected_order_value", "float64", "Expected spend of one purchase day.", "currency"),
            *by_horizon,
            Column("value_segment", "string", "Value tier by the longest horizon: top, high, middle or low."),
            Column("rfm_segment", "string", "Segment by the RFM scores, in plain language; see docs/models.md."),
            Column("model_name", "string", "Models used, purchase + spend."),
            Column("model_version", "string", "Version of the code that predicted."),
        ),
    )


def _expected_total(what: str, meaning: str, unit: str) -> tuple[Column, ...]:
    return (
        Column(f"expected_{what}", "float64", meaning, unit),
        Column(
            f"expected_{what}_low",
            "float64",
            "Lower end of its 80 % interval: customers' chance, parameters' uncertainty and the model's own error.",
            unit,
        ),
        Column(f"expected_{what}_high", "float64", "Upper end of that interval.", unit),
    )


SEGMENT_SUMMARY = TableSchema(
    "segment_summary",
    "The base and each of its segments in total: how many customers, and what they are expected to buy and be worth.",
    ("scheme", "segment", "horizon_months"),
    (
        Column("scheme", "string", "'all' for the whole base, 'value' for value tiers, 'rfm' for RFM segments."),
        Column("segment", "string", "Name of the segment; 'all' for the whole base."),
        Column("horizon_months", "int64", "How far ahead.", "months"),
        Column("customers", "int64", "Customers in the segment.", "customers"),
        Column("share_of_customers", "float64", "Share of the base's customers.", "share"),
        *_expected_total("purchases", "Expected purchases of all its customers.", "purchase days"),
        *_expected_total("value", "Expected discounted margin of all its customers.", "currency"),
        Column("share_of_value", "float64", "Share of the base's expected value.", "share"),
        Column(
            "customers_before",
            "int64",
            "Customers in the segment a month before; null without that month.",
            "customers",
            nullable=True,
        ),
    ),
)

SEGMENT_MOVEMENT = TableSchema(
    "segment_movement",
    "Customers by the segment they were in a month before and are in now: who rose, who fell, who is new.",
    ("scheme", "from_segment", "to_segment"),
    (
        Column("scheme", "string", "'value' for value tiers, 'rfm' for RFM segments."),
        Column("from_segment", "string", "Segment a month before; 'new' for customers without a prediction then."),
        Column("to_segment", "string", "Segment now; 'gone' for customers without a prediction now."),
        Column("customers", "int64", "Customers who made this move.", "customers"),
        Column("value_before", "float64", "Their expected value a month before, longest horizon.", "currency"),
        Column("value_now", "float64", "Their expected value now, longest horizon.", "currency"),
    ),
)

HOLDOUT_EVALUATION = TableSchema(
    "holdout_evaluation",
    "Predictions made some months ago against what then happened, beside naive baselines. One row a metric.",
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


def all_tables(horizons_months: Sequence[int]) -> tuple[TableSchema, ...]:
    """Return every table of the lake, in the order of the graph."""
    return (
        RAW_TRANSACTIONS,
        CLEANED_TRANSACTIONS,
        REJECTED_TRANSACTIONS,
        PURCHASE_DAYS,
        REPEAT_CUSTOMERS,
        RFM_SUMMARY,
        PURCHASE_MODEL,
        SPEND_MODEL,
        cltv_predictions(horizons_months),
        SEGMENT_SUMMARY,
        SEGMENT_MOVEMENT,
        HOLDOUT_EVALUATION,
    )
