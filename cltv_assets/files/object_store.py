"""An S3 object store: one place for endpoint, region and credentials.

delta-rs, Arrow and Spark each reach S3 in their own way, and each would search for
credentials in its own order. Here all three get the same ones. Nothing here knows
where the credentials come from: whoever makes an ``ObjectStore`` passes a function
that returns the current ones, so that renewed ones are used at once.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pyarrow import fs

from cltv_assets.files.store_faults import fault_of
from cltv_assets.settings import Settings

#: How an address on S3 begins.
S3 = "s3://"

#: Retries of Arrow's client: waits double from 25 ms, so twelve outlast half a minute of errors.
_ARROW_ATTEMPTS = 12
_CONNECT_SECONDS, _REQUEST_SECONDS = 10.0, 60.0
#: Bytes to a part of an upload.
_CHUNK = 16 << 20


def is_s3(address: str) -> bool:
    """Return whether a path or address is on S3."""
    return address.startswith(S3)


def bucket_of(address: str) -> str | None:
    """Return the bucket of an ``s3://`` address, None for any other path."""
    return urlsplit(address).netloc if is_s3(address) else None


def uses_s3(settings: Settings) -> bool:
    """Return whether the lake or the source is on S3."""
    return is_s3(settings.lake_uri) or is_s3(settings.source.path or "")


@dataclass(frozen=True)
class Credentials:
    """The keys that sign a request. Their ``repr`` hides the secrets.

    Parameters
    ----------
    access_key_id, secret_access_key : str
        The pair of keys.
    session_token : str, optional
        Comes with temporary credentials.
    expires_at : datetime.datetime, optional
        When they expire, if that is known.
    renewed : bool
        Whether they are renewed by themselves before that.
    """

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    expires_at: dt.datetime | None = field(default=None, compare=False)
    renewed: bool = field(default=False, compare=False)


class ArrowS3:
    """S3 as Arrow reaches it. This much travels to other processes.

    Parameters
    ----------
    endpoint_url : str, optional
        Address of a store other than Amazon's.
    region : str, optional
        By default ``us-east-1``: every signature names a region, also where the store has none.
    credentials : Credentials, optional
        By default what this machine has: variables or a role.
    """

    def __init__(
        self, endpoint_url: str | None = None, region: str | None = None, credentials: Credentials | None = None
    ) -> None:
        self.endpoint_url = endpoint_url.rstrip("/") if endpoint_url else None
        self.region = region or "us-east-1"
        self._credentials = credentials
        self._arrow: tuple[Credentials | None, fs.S3FileSystem] | None = None
        if self.endpoint_url:
            # Amazon's libraries add checksums that other stores may not know; they read these variables only.
            for name in ("AWS_REQUEST_CHECKSUM_CALCULATION", "AWS_RESPONSE_CHECKSUM_VALIDATION"):
                os.environ.setdefault(name, "when_required")

    def _now(self) -> Credentials | None:
        return self._credentials

    def filesystem(self) -> fs.S3FileSystem:
        """Return Arrow's file system; a new one when the credentials changed."""
        now = self._now()
        if self._arrow is None or self._arrow[0] != now:
            named: dict[str, Any] = {}
            if now is not None:
                named |= {"access_key": now.access_key_id, "secret_key": now.secret_access_key}
                named |= {"session_token": now.session_token}
            if self.endpoint_url:
                named |= {"endpoint_override": self.endpoint_url, "scheme": urlsplit(self.endpoint_url).scheme}
            made = fs.S3FileSystem(
                region=self.region,
                retry_strategy=fs.AwsDefaultS3RetryStrategy(max_attempts=_ARROW_ATTEMPTS),
                connect_timeout=_CONNECT_SECONDS,
                request_timeout=_REQUEST_SECONDS,
                background_writes=False,
                # A small file is one request then, not three.
                allow_delayed_open=True,
                **named,
            )
            self._arrow = (now, made)
        return self._arrow[1]

    def upload(self, source: Path, uri: str) -> None:
        """Copy a local file to the store, where nobody sees it before it is complete."""
        try:
            fs.copy_files(
                str(source),
                uri.removeprefix(S3),
                source_filesystem=fs.LocalFileSystem(),
                destination_filesystem=self.filesystem(),
                chunk_size=_CHUNK,
                use_threads=False,
            )
        except OSError as error:
            raise fault_of(error, uri) from error


class ObjectStore(ArrowS3):
    """How to reach S3, for every library that does.

    Parameters
    ----------
    credentials : callable
        Returns the current credentials.
    client : callable
        Returns a boto3 client, for what the other libraries cannot do.
    endpoint_url, region : str, optional
        As for `ArrowS3`.
    """

    def __init__(
        self,
        credentials: Callable[[], Credentials],
        client: Callable[[], Any],
        endpoint_url: str | None = None,
        region: str | None = None,
    ) -> None:
        super().__init__(endpoint_url, region)
        #: Whether the credentials travel along to another process, or those there are used.
        self.shared = True
        self.credentials = credentials
        self.client = client

    def __reduce__(self) -> tuple[Any, ...]:
        """Travel to another process, with the credentials of now, which are never logged."""
        return ArrowS3, (self.endpoint_url, self.region, self.credentials() if self.shared else None)

    def _now(self) -> Credentials:
        return self.credentials()

    @property
    def insecure(self) -> bool:
        """Whether the endpoint is reached by plain http."""
        return urlsplit(self.endpoint_url or "").scheme == "http"

    def delta_options(self) -> dict[str, str]:
        """Return deltalake's storage options."""
        options = {"AWS_REGION": self.region, "aws_conditional_put": "etag"}
        if self.endpoint_url:
            options |= {"AWS_ENDPOINT_URL": self.endpoint_url, "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "false"}
        if self.insecure:
            options["AWS_ALLOW_HTTP"] = "true"
        now = self.credentials()
        options |= {"AWS_ACCESS_KEY_ID": now.access_key_id, "AWS_SECRET_ACCESS_KEY": now.secret_access_key}
        if now.session_token:
            options["AWS_SESSION_TOKEN"] = now.session_token
        return options
