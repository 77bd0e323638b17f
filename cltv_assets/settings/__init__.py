"""The settings: what they are, how they are read, and the errors about wrong ones.

This package imports nothing of ours but `months` and `errors`, and no Dagster.
"""

from cltv_assets.settings.file import load_settings
from cltv_assets.settings.model import S3, EnvironmentName, Outliers, Settings
from cltv_assets.settings.source import CanonicalName, Source

__all__ = ["S3", "CanonicalName", "EnvironmentName", "Outliers", "Settings", "Source", "load_settings"]
