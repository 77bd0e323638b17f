"""Lets the viewers' key read the logs of runs, and nothing else, in a bucket of the store that comes along.

Usage: ``python -m cltv_assets.cli.deployment.viewers_logs``. ``CLTV_LOGS_READER_FILE`` names a file with the key's
owner, as the store's policies name it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

#: The statement in the bucket's policy that is ours; others stay.
SID = "ViewersReadLogsOfRuns"


def allow_reading(client: Any, bucket: str, prefix: str, reader: str) -> None:
    """Put the right into the bucket's policy, in place of an earlier one.

    Parameters
    ----------
    client : boto3 client
        Of S3, with the keys of the bucket's owner.
    bucket, prefix : str
        Where the logs of runs are.
    reader : str
        Whose key may read them.
    """
    from botocore.exceptions import ClientError

    try:
        kept = json.loads(client.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"]
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchBucketPolicy":
            raise
        kept = []
    ours = {
        "Sid": SID,
        "Effect": "Allow",
        "Principal": {"AWS": [reader]},
        "Action": ["s3:GetObject"],
        "Resource": [f"arn:aws:s3:::{bucket}/{prefix.strip('/')}/*"],
    }
    policy = {"Version": "2012-10-17", "Statement": [*(one for one in kept if one.get("Sid") != SID), ours]}
    client.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))


def main() -> None:
    """Do that for the bucket that the services' variables name."""
    import boto3

    reader = Path(os.environ["CLTV_LOGS_READER_FILE"]).read_text().strip()
    allow_reading(boto3.client("s3"), os.environ["CLTV_LOGS_BUCKET"], os.environ["CLTV_LOGS_PREFIX"], reader)


if __name__ == "__main__":
    main()
