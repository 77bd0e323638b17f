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
    """Return what ``raw_transactions`` depends on beyond the graph.

    Which days or months a month waits for is decided in ``automation``; the mapping is what the UI shows, and what its
    backfills go by. A month depends on its own days or months where the settings say that both are of one time zone,
    else on every partition. Dagster refuses a mapping by time windows wherever both definitions are known, that is for
    every backfill from the UI, if the partitions are of another time zone, and a shop's zone often differs from that of
    a warehouse. It reports no such problem when one of the two code locations is loaded. A mapping of our own would not
    help: the webserver and the daemon know Dagster's own only.
    """
    return [dg.AssetDep(key, partition_mapping=_mapping(settings)) for key in upstream_keys(settings).values()]


def _mapping(settings: Settings) -> dg.PartitionMapping:
    source = settings.source
    if source.asset_partitions == "none" or source.asset_time_zone != settings.time_zone:
        return dg.AllPartitionMapping()
    # Their partitions may begin later than ours.
    return dg.TimeWindowPartitionMapping(allow_nonexistent_upstream_partitions=True)
