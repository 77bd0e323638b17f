"""The user's own assets that make the source's files: ``source.asset_key``.

They are dependencies without data. The files are read from ``source.path``, and nothing here defines the assets, so
they may be in this code location or in another one of the workspace.
"""

from __future__ import annotations

import dagster as dg

from cltv_assets.settings import Settings


def upstream_keys(settings: Settings) -> dict[str, dg.AssetKey]:
    """Return the assets that make the source's files, by their names in the settings."""
    return {text: dg.AssetKey(text.split("/")) for text in settings.source.asset_key}


def upstream_deps(settings: Settings) -> list[dg.AssetDep]:
    """Return what ``raw_transactions`` depends on beyond the graph."""
    mapping = (
        dg.AllPartitionMapping()
        if settings.source.asset_partitions == "none"
        # A month of days or a month. The assets may begin later than ``first_month``.
        else dg.TimeWindowPartitionMapping(allow_nonexistent_upstream_partitions=True)
    )
    return [dg.AssetDep(key, partition_mapping=mapping) for key in upstream_keys(settings).values()]
