"""From lines to customers: cleaning, purchase days, repeat customers, RFM."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import dagster as dg

from cltv_assets.checks import Check
from cltv_assets.dagster_defs.assets.lake_asset import Input, lake_asset
from cltv_assets.dagster_defs.naming import Names
from cltv_assets.dagster_defs.partitions import ALL_HISTORY, Window
from cltv_assets.schemas import (
    CLEANED_TRANSACTIONS,
    PURCHASE_DAYS,
    RAW_TRANSACTIONS,
    REJECTED_TRANSACTIONS,
    REPEAT_CUSTOMERS,
    RFM_SUMMARY,
)
from cltv_assets.settings import Settings
from cltv_assets.steps import prepare


def preparation_assets(
    settings: Settings,
    partitions: dg.PartitionsDefinition[str],
    checks: Mapping[str, Sequence[Check]],
    names: Names,
) -> list[dg.AssetsDefinition]:
    """Return the assets from cleaned lines to the RFM summary."""
    return [
        lake_asset(
            [CLEANED_TRANSACTIONS, REJECTED_TRANSACTIONS],
            lambda run, _platform: prepare.split_transactions(run),
            checks,
            partitions,
            names,
            [Input(RAW_TRANSACTIONS.name)],
        ),
        lake_asset(
            [PURCHASE_DAYS],
            lambda run, _platform: {PURCHASE_DAYS.name: prepare.purchase_days(run)},
            checks,
            partitions,
            names,
            [Input(CLEANED_TRANSACTIONS.name)],
        ),
        lake_asset(
            [REPEAT_CUSTOMERS],
            lambda run, _platform: {REPEAT_CUSTOMERS.name: prepare.repeat_customers(run)},
            checks,
            partitions,
            names,
            [Input(PURCHASE_DAYS.name, Window(settings.repeat_window_months - 1))],
        ),
        lake_asset(
            [RFM_SUMMARY],
            lambda run, _platform: {RFM_SUMMARY.name: prepare.rfm_summary(run)},
            checks,
            partitions,
            names,
            [Input(PURCHASE_DAYS.name, ALL_HISTORY)],
        ),
    ]
