"""The Dagster resource for S3: the one place for endpoint, region and credentials.

Keys come from AWS's own chain or from environment variables that the settings name. Run
configuration, logs and metadata never have a key's value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import dagster as dg

from cltv_assets.errors import ConfigError
from cltv_assets.files.object_store import ObjectStore, uses_s3
from cltv_assets.settings import Settings

if TYPE_CHECKING:
    from cltv_assets.dagster_defs.resources.store_resource import StoreResource


def s3_resource(settings: Settings) -> StoreResource:
    """Return the resource for ``settings.s3``; it opens no connection.

    Raises
    ------
    ConfigError
        If dagster-aws is not installed.
    """
    try:
        from cltv_assets.dagster_defs.resources.store_resource import StoreResource
    except ModuleNotFoundError:
        raise ConfigError(
            "s3:// addresses need the extra s3.", "Install it (pip install 'cltv-assets[s3]'), or use local folders."
        ) from None

    def variable(name: str | None) -> str | None:
        return dg.EnvVar(name) if name else None

    s3 = settings.s3
    return StoreResource(
        endpoint_url=s3.endpoint_url,
        region_name=s3.region,
        profile_name=s3.profile,
        aws_access_key_id=variable(s3.access_key_id_variable),
        aws_secret_access_key=variable(s3.secret_access_key_variable),
        aws_session_token=variable(s3.session_token_variable),
    )


def object_store_for(settings: Settings) -> ObjectStore | None:
    """Return the store that ``settings`` need, or None if everything is local.

    For code that runs outside Dagster, such as the commands that read the lake.
    """
    if not uses_s3(settings):
        return None
    try:
        # Without the context an instance of Dagster would be left for the process's end to find.
        with s3_resource(settings).process_config_and_initialize_cm() as resource:
            found: ObjectStore = resource.object_store()
    except dg.DagsterInvalidConfigError as error:
        raise ConfigError(f"s3: {' '.join(str(error).split())}", "Set the variables that cltv.yaml names.") from None
    return found
