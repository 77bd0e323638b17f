"""Engines that run the transformations; which one is a setting.

No transformation imports this package, and nothing here imports Dagster.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cltv_assets.engines.engine import Engine
from cltv_assets.files.object_store import ObjectStore
from cltv_assets.settings import Settings

__all__ = ["Engine", "open_engine"]


def open_engine(
    settings: Settings, objects: ObjectStore | None = None, session: Callable[[], Any] | None = None
) -> Engine:
    """Make the configured engine. Spark is started when it is first used, not here.

    Parameters
    ----------
    settings : Settings
        Which engine, and its options.
    objects : ObjectStore, optional
        How to reach ``s3://``.
    session : callable, optional
        Returns the Spark session, whose owner stops it. Without it the engine makes
        its own and stops it when it is closed.
    """
    if settings.engine == "spark":
        from cltv_assets.engines.spark_engine import SparkEngine
        from cltv_assets.engines.spark_session import SparkLease

        if session is not None:
            return SparkEngine(session, objects)
        lease = SparkLease(settings)
        return SparkEngine(lease.session, objects, on_close=lease.stop)
    from cltv_assets.engines.duckdb_engine import DuckDBEngine

    return DuckDBEngine(memory_limit=settings.duckdb_memory_limit, objects=objects)
