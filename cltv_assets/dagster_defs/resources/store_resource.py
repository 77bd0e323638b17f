"""dagster-aws's S3 resource, extended so that the other libraries reach the same store.

Import it only when it is needed: an embedded installation has no dagster-aws.
"""

from __future__ import annotations

import os
from typing import Any, Self

import boto3
from botocore.credentials import RefreshableCredentials
from botocore.exceptions import BotoCoreError
from dagster_aws.s3 import S3Resource

from cltv_assets.errors import ConfigError
from cltv_assets.files.object_store import Credentials, ObjectStore


class StoreResource(S3Resource):  # type: ignore[misc] # untyped where the extra is missing
    """S3 for boto3, and by ``object_store`` for delta-rs, Arrow and Spark."""

    def get_object_to_set_on_execution_context(self) -> Self:
        """Give assets and resources this object; dagster-aws's resource gives them a boto3 client."""
        return self

    def object_store(self) -> ObjectStore:
        """Return the store as the lake, the engines and the sources reach it.

        Raises
        ------
        ConfigError
            If the profile does not exist.
        """
        try:
            session = boto3.Session(
                aws_access_key_id=self.aws_access_key_id,
                aws_secret_access_key=self.aws_secret_access_key,
                aws_session_token=self.aws_session_token,
                region_name=self.region_name,
                profile_name=self.profile_name,
            )
            # Looked up once; botocore renews them if their provider can.
            found = session.get_credentials()
        except BotoCoreError as error:
            raise ConfigError(
                f"S3: {error}.", "Look at s3.profile in cltv.yaml and at the AWS configuration."
            ) from None

        def credentials() -> Credentials:
            if found is None:
                raise ConfigError(
                    "There are no credentials for S3.",
                    "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or s3.profile in cltv.yaml.",
                )
            try:
                now: Any = found.get_frozen_credentials()
            except BotoCoreError as error:
                raise ConfigError(
                    f"The AWS credentials cannot be renewed: {error}.", "Sign in again, then run the month again."
                ) from None
            # botocore has no public expiry time; credentials that it can renew keep it in this attribute.
            expires = getattr(found, "_expiry_time", None)
            renewed = isinstance(found, RefreshableCredentials)
            return Credentials(now.access_key, now.secret_key, now.token, expires, renewed)

        # boto3 reads these variables by itself; the other libraries need the address.
        named = os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL")
        return ObjectStore(credentials, self.get_client, self.endpoint_url or named, session.region_name)
