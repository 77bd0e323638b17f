"""Signing a request anew after one of its signed headers was taken out (AWS Signature Version 4)."""

from __future__ import annotations

import hashlib
import hmac
import re

from cltv_assets_tests.cluster.http_wire import Head

_AUTHORIZATION = re.compile(
    r"(?P<algorithm>AWS4-HMAC-SHA256) Credential=(?P<key>[^/]+)/(?P<scope>[^,]+), ?"
    r"SignedHeaders=(?P<signed>[^,]+), ?Signature=(?P<signature>\w+)"
)


def access_key_of(head: Head) -> str | None:
    """Return the access key that a request is signed with, or None where it is not."""
    found = _AUTHORIZATION.match(head.get("Authorization") or "")
    return found["key"] if found else None


def is_empty_in_chunks(head: Head) -> bool:
    """Whether a request uploads nothing, in the chunks of Amazon's clients: a lone last chunk."""
    chunked = (head.get("x-amz-content-sha256") or "").startswith("STREAMING-")
    return chunked and head.get("x-amz-decoded-content-length") == "0" and access_key_of(head) is not None


def sign_as_empty(head: Head, secret_key: str) -> None:
    """Make the head of an empty upload in chunks that of a plain one, whose body is empty."""
    head.set("x-amz-content-sha256", hashlib.sha256(b"").hexdigest())
    head.set("Content-Length", "0")
    encoding = (head.get("Content-Encoding") or "").lower()
    assert encoding in {"", "aws-chunked"}, encoding
    sign_without(head, ["x-amz-decoded-content-length", "Content-Encoding", "Transfer-Encoding"], secret_key)


def sign_without(head: Head, headers: list[str], secret_key: str) -> None:
    """Remove headers and sign the request anew, with the same key, time and digest of the body."""
    found = _AUTHORIZATION.match(head.get("Authorization") or "")
    if found is None:
        raise ValueError("the request carries no signature of version 4 in its headers")
    for header in headers:
        head.remove(header)
    signed = [name for name in found["signed"].split(";") if name not in {header.lower() for header in headers}]
    signature = _signature(head, signed, found["scope"], secret_key)
    head.set(
        "Authorization",
        f"{found['algorithm']} Credential={found['key']}/{found['scope']}, "
        f"SignedHeaders={';'.join(signed)}, Signature={signature}",
    )


def _signature(head: Head, signed: list[str], scope: str, secret_key: str) -> str:
    path, _, query = head.target.partition("?")
    pairs = sorted(pair if "=" in pair else f"{pair}=" for pair in query.split("&") if pair)
    lines = [f"{name}:{' '.join((head.get(name) or '').split())}" for name in signed]
    digest = head.get("x-amz-content-sha256") or ""
    canonical = "\n".join([head.method, path, "&".join(pairs), *lines, "", ";".join(signed), digest])
    hashed = hashlib.sha256(canonical.encode("latin-1")).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", head.get("x-amz-date") or "", scope, hashed])
    key = f"AWS4{secret_key}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
