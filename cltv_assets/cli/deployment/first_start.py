"""Creates the buckets and the database's tables of a new installation.

Usage: ``python -m cltv_assets.cli.deployment.first_start``. What exists stays as it is.
"""

from __future__ import annotations

import os
import sys
from typing import Any
from urllib.parse import urlsplit

import dagster as dg

from cltv_assets.cli.configuration import settings_to_run
from cltv_assets.errors import CltvError, LakeError


def make_bucket(client: Any, name: str) -> bool:
    """Create a bucket unless it exists; return whether it was missing.

    Parameters
    ----------
    client : boto3 client
        Of S3.
    name : str
        The bucket's name.

    Raises
    ------
    LakeError
        If the store does not say whether it exists, or refuses to create it.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        try:
            client.head_bucket(Bucket=name)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] != 404:
                raise
            client.create_bucket(Bucket=name)
            return True
    except (BotoCoreError, ClientError) as error:
        raise LakeError(
            f"The bucket {name} can be neither found nor created: {error}.",
            "Create it by hand, and check the store's address and keys.",
        ) from None
    return False


def main() -> None:
    """Create buckets and tables."""
    import boto3

    lake = urlsplit(settings_to_run(None).lake_uri)
    buckets = {lake.netloc if lake.scheme == "s3" else "", os.environ.get("CLTV_LOGS_BUCKET", "")} - {""}
    client = boto3.client("s3")
    for name in sorted(buckets):
        sys.stdout.write(f"Bucket {name}: {'created' if make_bucket(client, name) else 'there'}.\n")
    # One process alone makes the tables; several at once would get in each other's way.
    with dg.DagsterInstance.get() as instance:
        instance.get_runs_count()
    sys.stdout.write("Dagster's tables: there.\n")


if __name__ == "__main__":
    try:
        main()
    except CltvError as error:
        sys.exit(str(error))
