"""Engines that run the transformations; which one is a setting.

No transformation imports this package, and nothing here imports Dagster.
"""

from cltv_assets.engines.engine import Engine
from cltv_assets.settings import Settings

__all__ = ["Engine", "open_engine"]


def open_engine(settings: Settings) -> Engine:
    """Start the configured engine."""
    from cltv_assets.engines.duckdb_engine import DuckDBEngine

    return DuckDBEngine(memory_limit=settings.duckdb_memory_limit)
