"""Dagster's way into and out of the lake."""

from cltv_assets.dagster_defs.io_managers.lake_io_manager import LakeIOManager, LakeWindow, lake_io_manager, publish

__all__ = ["LakeIOManager", "LakeWindow", "lake_io_manager", "publish"]
