"""A real S3 server: Ceph's object gateway.

It checks signatures, policies, session tokens and ``If-None-Match`` as a production store does.
"""

from __future__ import annotations

import json
import secrets
import uuid
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from cltv_assets_tests.cluster.ceph_store import CephStore
from cltv_assets_tests.cluster.server_process import ServerProcess, accepts_connections, free_port

REGION = "us-east-1"


@dataclass(frozen=True)
class Keys:
    """What a user of the store signs requests with.

    Parameters
    ----------
    user : str
    access_key, secret_key : str
    session_token : str, optional
        Of temporary credentials.
    """

    user: str
    access_key: str
    secret_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)

    def environment(self) -> dict[str, str]:
        """Return Amazon's environment variables."""
        variables = {"AWS_ACCESS_KEY_ID": self.access_key, "AWS_SECRET_ACCESS_KEY": self.secret_key}
        return variables | ({"AWS_SESSION_TOKEN": self.session_token} if self.session_token else {})


class Radosgw:
    """A gateway with its own little Ceph cluster, as a context manager.

    Parameters
    ----------
    logs : Path
        Folder that keeps the servers' logs.
    """

    def __init__(self, logs: Path) -> None:
        self.port = free_port()
        #: Of the user who owns the buckets.
        self.owner = _new_keys("owner")
        self.access_key, self.secret_key = self.owner.access_key, self.owner.secret_key
        self._secrets = {self.access_key: self.secret_key}
        self._store = CephStore(logs, self.port)
        self._gateway: ServerProcess | None = None

    @property
    def endpoint_url(self) -> str:
        """Address of the gateway."""
        return f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self._store)
            stack.callback(self.stop_gateway)
            self.start_gateway()
            self._create_user(self.owner)
            self._running = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    @property
    def running(self) -> bool:
        """Whether the gateway runs."""
        return self._gateway is not None and self._gateway.running

    # --- buckets and users -------------------------------------------------------------------

    def client(self, keys: Keys | None = None, service: str = "s3", endpoint_url: str | None = None) -> Any:
        """Return a boto3 client, by default of the buckets' owner and without retries."""
        import boto3
        from botocore.config import Config

        keys = keys or self.owner
        return boto3.client(
            service,
            endpoint_url=endpoint_url or self.endpoint_url,
            region_name=REGION,
            aws_access_key_id=keys.access_key,
            aws_secret_access_key=keys.secret_key,
            aws_session_token=keys.session_token,
            config=Config(
                retries={"total_max_attempts": 1},
                s3={"addressing_style": "path"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    def make_bucket(self, name: str) -> str:
        """Create a bucket of the owner and return its name."""
        self.client().create_bucket(Bucket=name)
        return name

    def remove_bucket(self, name: str) -> None:
        """Delete a bucket with all it holds, at once: the store has little memory."""
        client = self.client()
        # Debian's radosgw-admin crashes on a bucket with an upload that was begun and never ended.
        for upload in client.list_multipart_uploads(Bucket=name).get("Uploads", []):
            client.abort_multipart_upload(Bucket=name, Key=upload["Key"], UploadId=upload["UploadId"])
        self._manage("bucket", "rm", f"--bucket={name}", "--purge-objects", "--bypass-gc")

    def upload(self, folder: Path, address: str) -> None:
        """Copy all files below a folder to an ``s3://`` address."""
        bucket, _, prefix = address.removeprefix("s3://").partition("/")
        client = self.client()
        for file in folder.rglob("*"):
            if file.is_file():
                client.upload_file(str(file), bucket, f"{prefix}/{file.relative_to(folder)}")

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        """Return the names of all objects of a bucket, sorted."""
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return sorted(entry["Key"] for page in pages for entry in page.get("Contents", []))

    def make_user(self, name: str) -> Keys:
        """Create a user, who may do nothing with others' buckets, and return its keys."""
        keys = _new_keys(name)
        self._create_user(keys)
        return keys

    def secret_of(self, access_key: str) -> str:
        """Return the secret of a key that this server gave out."""
        return self._secrets[access_key]

    def allow_read_only(self, bucket: str, user: str) -> None:
        """Let a user list and read a bucket, and nothing else. Replaces the bucket's policy."""
        statement = {
            "Effect": "Allow",
            "Principal": {"AWS": [f"arn:aws:iam:::user/{user}"]},
            "Action": ["s3:GetObject", "s3:ListBucket", "s3:GetBucketLocation"],
            "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
        }
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        self.client().put_bucket_policy(Bucket=bucket, Policy=policy)

    def temporary_credentials(self, bucket: str, seconds: int = 900) -> Keys:
        """Return keys with a session token, for everything in ``bucket``, from the store's own STS.

        Parameters
        ----------
        bucket : str
        seconds : int
            At least 900, STS's own lower bound. To see them expire earlier, tell
            ``FaultProxy.expire``.
        """
        role, statement = f"role-{uuid.uuid4().hex[:8]}", {"Effect": "Allow"}
        trust = statement | {
            "Principal": {"AWS": [f"arn:aws:iam:::user/{self.owner.user}"]},
            "Action": ["sts:AssumeRole"],
        }
        rights = statement | {"Action": ["s3:*"], "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]}
        documents = [json.dumps({"Version": "2012-10-17", "Statement": [each]}) for each in (trust, rights)]
        self._manage("role", "create", f"--role-name={role}", f"--assume-role-policy-doc={documents[0]}")
        self._manage("role-policy", "put", f"--role-name={role}", "--policy-name=all", f"--policy-doc={documents[1]}")
        answer = self.client(service="sts").assume_role(
            RoleArn=f"arn:aws:iam:::role/{role}", RoleSessionName="tests", DurationSeconds=seconds
        )["Credentials"]
        self._secrets[answer["AccessKeyId"]] = answer["SecretAccessKey"]
        return Keys(role, answer["AccessKeyId"], answer["SecretAccessKey"], answer["SessionToken"])

    def s3a_conf(self, endpoint_url: str) -> dict[str, str]:
        """Return settings with which a Spark server reaches every bucket as the owner, through the proxy."""
        own = {
            "endpoint": endpoint_url,
            "endpoint.region": REGION,
            "path.style.access": "true",
            "connection.ssl.enabled": "false",
            "access.key": self.access_key,
            "secret.key": self.secret_key,
            "aws.credentials.provider": "org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider",
        }
        return {f"spark.hadoop.fs.s3a.{name}": value for name, value in own.items()}

    # --- the gateway -------------------------------------------------------------------------

    def start_gateway(self) -> None:
        """Start the gateway, on the same port as before."""
        self._gateway = self._store.start("radosgw", "radosgw", "-n", "client.rgw", "-f")
        self._gateway.wait_until(lambda: accepts_connections(self.port), 60)

    def stop_gateway(self) -> None:
        """End the gateway; connections are refused until ``start_gateway``. The objects stay."""
        if self._gateway is not None:
            # Killed, it would leave its watches in the store, on which the next one's first changes wait 30 s.
            self._gateway.stop()
            self._gateway = None

    def _create_user(self, keys: Keys) -> None:
        self._manage("user", "create", f"--display-name={keys.user}", *_as_options(keys))
        self._secrets[keys.access_key] = keys.secret_key

    def _manage(self, *command: str) -> str:
        return self._store.call("radosgw-admin", "-n", "client.rgw", *command)


def _new_keys(user: str) -> Keys:
    return Keys(user, secrets.token_hex(10).upper(), secrets.token_hex(20))


def _as_options(keys: Keys) -> list[str]:
    return [f"--uid={keys.user}", f"--access-key={keys.access_key}", f"--secret-key={keys.secret_key}"]
