"""The month as delivered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import dagster as dg

from cltv_assets.checks import Check
from cltv_assets.dagster_defs.assets.lake_asset import lake_asset
from cltv_assets.dagster_defs.naming import Names
from cltv_assets.schemas import RAW_TRANSACTIONS
from cltv_assets.steps import prepare


def ingestion_assets(
    partitions: dg.PartitionsDefinition[str], checks: Mapping[str, Sequence[Check]], names: Names
) -> list[dg.AssetsDefinition]:
    """Return ``raw_transactions``."""
    return [
        lake_asset(
            [RAW_TRANSACTIONS],
            lambda run, platform: {RAW_TRANSACTIONS.name: prepare.raw_transactions(run, platform.scratch)},
            checks,
            partitions,
            names,
        )
    ]
