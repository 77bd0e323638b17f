"""Columns of ``cleaned_transactions`` and ``rejected_transactions``."""

from __future__ import annotations

from cltv_assets.columns import MONEY, Column, TableSchema
from cltv_assets.sources.delivered import ATTRIBUTES, DELIVERED, GRAIN_OF_LINES, LINE, NOT_COUNTED, SOURCE_TEXT

#: The customer's id, as this table and all later ones have it.
CUSTOMER = Column("customer_id", "string", "The retailer's identifier of the customer, trimmed.")


CLEANED_TRANSACTIONS = TableSchema(
    "cleaned_transactions",
    "The month's valid purchases, parsed and typed. Refund lines too, where refunds are netted. Outliers are "
    "treated as configured.",
    GRAIN_OF_LINES,
    (
        Column("transaction_id", "string", "Order or invoice number; file and line where the source has none."),
        CUSTOMER,
        Column("transacted_at", "timestamp('UTC')", "Instant of the transaction.", "UTC"),
        Column("purchase_day", "date", "Calendar day of the transaction in the configured time zone."),
        Column("kind", "string", "'purchase', or 'refund' for a cancelled or negative line."),
        Column("quantity", MONEY, "Quantity, where the source gives one.", "units", nullable=True),
        Column(
            "amount",
            MONEY,
            "Value of the line, negative for a refund, after outlier treatment; null where the source has no amounts.",
            "currency",
            nullable=True,
        ),
        Column(
            "amount_delivered", MONEY, "Value of the line before outlier treatment; null likewise.", "currency", True
        ),
        Column(
            "margin",
            MONEY,
            "Margin of a purchase line, where the source gives its cost or margin; null for a refund.",
            "currency",
            nullable=True,
            since=3,
        ),
        *LINE,
        ATTRIBUTES,
    ),
)

REJECTED_TRANSACTIONS = TableSchema(
    "rejected_transactions",
    "Lines that are not counted, each with its reason. With their original text. raw_transactions = "
    "cleaned_transactions + rejected_transactions, exactly, every month.",
    GRAIN_OF_LINES,
    (
        Column("reason", "string", "The first rule that the line broke; see docs/data_in.md for the list."),
        *DELIVERED,
        *LINE,
        SOURCE_TEXT,
        NOT_COUNTED,
        Column("value", MONEY, "Value of the line, where it can be read.", "currency", nullable=True, since=3),
    ),
)
