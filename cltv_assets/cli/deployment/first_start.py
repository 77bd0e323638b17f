"""Creates the buckets, the database's tables and the viewers' role there, of a new installation.

Usage: ``python -m cltv_assets.cli.deployment.first_start``. What exists stays as it is.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dagster as dg

from cltv_assets.cli.configuration import settings_to_run
from cltv_assets.cli.deployment.viewers_database import make_role
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


def make_viewers_role(password: str) -> None:
    """Make the role in the database that the services' variables name.

    Parameters
    ----------
    password : str
        The role's password.
    """
    import psycopg2

    names = {"host": "HOST", "port": "PORT", "dbname": "DB", "user": "USER", "password": "PASSWORD"}
    connection = psycopg2.connect(**{key: os.environ[f"DAGSTER_POSTGRES_{name}"] for key, name in names.items()})
    try:
        make_role(connection, password)
    finally:
        connection.close()


def main() -> None:
    """Create buckets, tables and the viewers' role."""
    import boto3

    lake = urlsplit(settings_to_run(None).lake_uri)
    buckets = {lake.netloc if lake.scheme == "s3" else "", os.environ.get("CLTV_LOGS_BUCKET", "")} - {""}
    client = boto3.client("s3")
    for name in sorted(buckets):
        sys.stdout.write(f"Bucket {name}: {'created' if make_bucket(client, name) else 'there'}.\n")
    # One process alone makes the tables; several at once would get in each other's way.
    with dg.DagsterInstance.get() as instance:
        instance.get_runs_count()
        # Made when it is first asked for, which a webserver that only reads could not.
        storage: Any = instance.run_storage
        storage.get_run_storage_id()
    sys.stdout.write("Dagster's tables: there.\n")
    if file := os.environ.get("DAGSTER_POSTGRES_VIEWER_PASSWORD_FILE"):
        make_viewers_role(Path(file).read_text().strip())
        sys.stdout.write("The viewers' role: there.\n")


if __name__ == "__main__":
    try:
        main()
    except CltvError as error:
        sys.exit(str(error))
