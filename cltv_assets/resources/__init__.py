"""Dagster resources: thin handles on the engine, the lake and the source."""

from cltv_assets.resources.platform import Platform, platform_resource

__all__ = ["Platform", "platform_resource"]
