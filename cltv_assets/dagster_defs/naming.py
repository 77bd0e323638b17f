"""What assets, jobs, sensors, schedules and resources are called.

One deployment may hold several graphs, a brand each. A prefix keeps their names
apart; tables and folders in the lake keep their plain names, since each graph has
a lake of its own.
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
        ``Settings.asset_prefix``; empty for a graph that is alone.
    """

    prefix: str = ""

    def key(self, asset: str) -> dg.AssetKey:
        """Return the key of an asset, such as ``acme/raw_transactions``."""
        return dg.AssetKey([self.prefix, asset] if self.prefix else [asset])

    def name(self, plain: str) -> str:
        """Return the name of anything that has no key: ``acme__cltv_month``."""
        return f"{self.prefix}__{plain}" if self.prefix else plain

    @staticmethod
    def table(key: dg.AssetKey) -> str:
        """Return the plain name of an asset: that of its table."""
        return key.path[-1]
