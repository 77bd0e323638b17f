"""Dagster resources: thin handles on the engine, the lake, the source, S3 and Spark."""

from cltv_assets.dagster_defs.resources.binding import bound
from cltv_assets.dagster_defs.resources.platform import LAKE, PIPES, POOL, S3, SPARK, Platform
from cltv_assets.dagster_defs.resources.s3 import object_store_for, s3_resource

__all__ = ["LAKE", "PIPES", "POOL", "S3", "SPARK", "Platform", "bound", "object_store_for", "s3_resource"]
