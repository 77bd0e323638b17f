"""How Spark reaches a bucket: the same endpoint, region and credentials as everything else.

These are given to the session at run time, so that they stand in no run config, no
log and no process list. A Spark Connect server gets none: it has its own.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from cltv_assets.files.object_store import ObjectStore

#: Files are uploaded in parts that only the job's end completes: S3 has no rename, and Spark's
#: ordinary committer copies every byte once more and may leave half a folder.
MAGIC_COMMITTER: dict[str, str] = {
    "spark.sql.sources.commitProtocolClass": "org.apache.spark.internal.io.cloud.PathOutputCommitProtocol",
    "spark.sql.parquet.output.committer.class": "org.apache.spark.internal.io.cloud.BindingParquetOutputCommitter",
}
#: The committer is looked up without the bucket's name: given by bucket, the ordinary one was used.
_CHOSEN: dict[str, str] = {
    "mapreduce.outputcommitter.factory.scheme.s3a": "org.apache.hadoop.fs.s3a.commit.S3ACommitterFactory",
    "fs.s3a.committer.name": "magic",
    "fs.s3a.committer.magic.enabled": "true",
}

_SIMPLE = "org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider"
_TEMPORARY = "org.apache.hadoop.fs.s3a.TemporaryAWSCredentialsProvider"


def s3a_conf(objects: ObjectStore, bucket: str) -> dict[str, str]:
    """Return the S3A settings of one bucket. They hold secrets: never log them.

    Parameters
    ----------
    objects : ObjectStore
    bucket : str

    Returns
    -------
    dict of str to str
        ``fs.s3a.…`` settings.
    """
    own = {"endpoint.region": objects.region}
    if objects.endpoint_url:
        own |= {
            "endpoint": objects.endpoint_url,
            "path.style.access": "true",
            "connection.ssl.enabled": str(urlsplit(objects.endpoint_url).scheme == "https").lower(),
        }
    now = objects.credentials()
    own |= {"access.key": now.access_key_id, "secret.key": now.secret_access_key}
    own["aws.credentials.provider"] = _TEMPORARY if now.session_token else _SIMPLE
    if now.session_token:
        own["session.token"] = now.session_token
    named = {f"fs.s3a.bucket.{bucket}.{key}": value for key, value in own.items()}
    return named | _CHOSEN


def bucket_of(path: str) -> str | None:
    """Return the bucket of an ``s3://`` address, None for any other path."""
    return urlsplit(path).netloc if path.startswith("s3://") else None


def spark_path(path: str) -> str:
    """Return ``path`` as Spark takes it: ``s3a://`` for S3, ``file://`` for a local absolute one.

    A bare path would be looked up on the cluster's default file system.
    """
    if path.startswith("s3://"):
        return "s3a" + path.removeprefix("s3")
    return path if "://" in path else f"file://{path}"


def literal_path(path: str) -> str:
    """Return ``path`` for Spark to read: its readers take every path for a pattern."""
    return re.sub(r"([\\{}\[\]*?])", r"\\\1", spark_path(path))
