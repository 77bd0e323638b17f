"""What assets, jobs, sensors, schedules and resources are called.

One deployment may hold several graphs, one for each brand. A prefix keeps their names apart.
Tables and folders in the lake keep their plain names, because each graph has its own lake.
"""

from __future__ import annotations

from dataclasses import dataclass

import dagster as dg


@dataclass(frozen=True)
class Names:
    """Names under a prefix.

    Parameters
    ----------
    prefix : str
        ``Settings.asset_prefix``; empty if the deployment has only one graph.
    """

    prefix: str = ""

    def key(self, asset: str) -> dg.AssetKey:
        """Return the key of an asset, such as ``acme/raw_transactions``."""
        return dg.AssetKey([self.prefix, asset] if self.prefix else [asset])

    def name(self, plain: str) -> str:
        """Return the name of a job, sensor or resource, such as ``acme__cltv_month``."""
        return f"{self.prefix}__{plain}" if self.prefix else plain

    @staticmethod
    def table(key: dg.AssetKey) -> str:
        """Return an asset's name without the prefix: the name of its table."""
        return key.path[-1]
