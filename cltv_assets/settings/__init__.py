"""The settings: what they are, how they are read, and what is said of wrong ones."""

from cltv_assets.settings.file import load_settings
from cltv_assets.settings.model import S3, CanonicalName, EnvironmentName, Outliers, Settings, Source

__all__ = ["S3", "CanonicalName", "EnvironmentName", "Outliers", "Settings", "Source", "load_settings"]
