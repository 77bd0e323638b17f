"""Dagster resources: thin handles on the engine, the lake, the source, S3 and Spark."""

from cltv_assets.dagster_defs.resources.platform import (
    LAKE,
    PIPES,
    PLATFORM,
    POOL,
    S3,
    SPARK,
    Platform,
    platform_resource,
)
from cltv_assets.dagster_defs.resources.s3 import object_store_for, s3_resource

__all__ = [
    "LAKE",
    "PIPES",
    "PLATFORM",
    "POOL",
    "S3",
    "SPARK",
    "Platform",
    "object_store_for",
    "platform_resource",
    "s3_resource",
]
