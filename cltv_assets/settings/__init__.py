"""The settings: what they are, how they are read, and the errors about wrong ones.

From ``cltv_assets`` this package imports only `months` and `errors`. It does not import Dagster.
"""

from cltv_assets.settings.file import load_settings
from cltv_assets.settings.model import EnvironmentName, Outliers, Settings
from cltv_assets.settings.s3 import S3
from cltv_assets.settings.source import Source
from cltv_assets.settings.source_fields import CanonicalName

__all__ = ["S3", "CanonicalName", "EnvironmentName", "Outliers", "Settings", "Source", "load_settings"]
