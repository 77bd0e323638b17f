"""The tables' columns, declared once. See ``columns`` for the form."""

from cltv_assets.schemas.columns import MONEY, MONTH, Column, TableSchema
from cltv_assets.schemas.tables import (
    CLEANED_TRANSACTIONS,
    DELIVERED,
    HOLDOUT_EVALUATION,
    PURCHASE_DAYS,
    PURCHASE_MODEL,
    RAW_TRANSACTIONS,
    REJECTED_TRANSACTIONS,
    REPEAT_CUSTOMERS,
    RFM_SUMMARY,
    SEASON_COLUMNS,
    SEGMENT_MOVEMENT,
    SEGMENT_SUMMARY,
    SPEND_MODEL,
    all_tables,
    cltv_predictions,
)

__all__ = [
    "CLEANED_TRANSACTIONS",
    "DELIVERED",
    "HOLDOUT_EVALUATION",
    "MONEY",
    "MONTH",
    "PURCHASE_DAYS",
    "PURCHASE_MODEL",
    "RAW_TRANSACTIONS",
    "REJECTED_TRANSACTIONS",
    "REPEAT_CUSTOMERS",
    "RFM_SUMMARY",
    "SEASON_COLUMNS",
    "SEGMENT_MOVEMENT",
    "SEGMENT_SUMMARY",
    "SPEND_MODEL",
    "Column",
    "TableSchema",
    "all_tables",
    "cltv_predictions",
]
