"""Valid purchase lines, and all other lines with the reason why each was rejected.

One step makes both tables, because one verdict decides which line goes where.
"""

from __future__ import annotations

from cltv_assets.sources.delivered import RAW_TRANSACTIONS
from cltv_assets.tables.cleaned_and_rejected.checks import (
    amounts_signed,
    lines_reconcile,
    reject_share,
    usual_reject_mix,
)
from cltv_assets.tables.cleaned_and_rejected.columns import CLEANED_TRANSACTIONS, REJECTED_TRANSACTIONS
from cltv_assets.tables.cleaned_and_rejected.findings import customer_ids, lost_value, read_as_meant
from cltv_assets.tables.cleaned_and_rejected.line_counts import cleaned_highlights, rejected_highlights
from cltv_assets.tables.cleaned_and_rejected.split import make
from cltv_assets.tables.common_checks import money_given, within_month
from cltv_assets.tables.table import DATA_PLATFORM, ENGINE, PREPARATION, Input, Table

CLEANED = Table(
    schema=CLEANED_TRANSACTIONS,
    inputs=lambda _settings: (Input(RAW_TRANSACTIONS.name),),
    make=make,
    checks=(
        within_month("purchase_day"),
        lines_reconcile,
        money_given("amount", "amount_delivered"),
        amounts_signed,
        customer_ids,
        read_as_meant,
    ),
    highlights=cleaned_highlights,
    group=PREPARATION,
    owner=DATA_PLATFORM,
    kinds=(ENGINE, "deltalake"),
    half="preprocess",
)
REJECTED = Table(
    schema=REJECTED_TRANSACTIONS,
    inputs=CLEANED.inputs,
    made_with=CLEANED.name,
    checks=(reject_share, usual_reject_mix, lost_value),
    highlights=rejected_highlights,
    group=PREPARATION,
    owner=DATA_PLATFORM,
    kinds=(ENGINE, "deltalake"),
    half="preprocess",
)
