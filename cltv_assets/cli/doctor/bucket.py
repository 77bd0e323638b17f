"""The object store: whose credentials these are, whether strangers can read, what it keeps, how it is reached."""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from cltv_assets.cli.doctor import Finding, failed, ok, warning
from cltv_assets.errors import LakeError
from cltv_assets.files.object_store import ObjectStore
from cltv_assets.files.store_faults import fault_of

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
#: Ends of the URIs of grantees that stand for everybody.
_EVERYBODY = ("/global/AllUsers", "/global/AuthenticatedUsers")
#: Error codes of stores that do not support a call.
_UNKNOWN = frozenset({"NotImplemented", "MethodNotAllowed", "InvalidRequest", "405", "501"})
#: Error codes that mean that the bucket has no such configuration.
_NOTHING = frozenset(
    {
        "NoSuchPublicAccessBlockConfiguration",
        "NoSuchBucketPolicy",
        "NoSuchLifecycleConfiguration",
        "404",
    }
)


def look_at_store(objects: ObjectStore, root: str, production: bool) -> Iterator[Finding]:
    """Yield findings about the bucket that holds the lake.

    Parameters
    ----------
    objects : ObjectStore
        The store that holds the lake.
    root : str
        The lake, ``s3://bucket/prefix``.
    production : bool
        Whether to warn of plain HTTP and of what the bucket keeps.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    bucket, prefix = urlsplit(root).netloc, urlsplit(root).path.strip("/")
    try:
        yield _credentials(objects)
        yield _transport(objects, bucket, production)
        yield _public(objects, bucket, prefix, root)
        if production:
            yield _kept(objects.client(), bucket)
    except (ClientError, BotoCoreError, OSError) as error:
        yield failed("bucket", fault_of(error, root))


def _credentials(objects: ObjectStore) -> Finding:
    from botocore.exceptions import BotoCoreError, ClientError

    now = objects.credentials()
    key = f"key …{now.access_key_id[-4:]}"
    until = ""
    if now.expires_at is not None:
        left = now.expires_at - dt.datetime.now(dt.UTC)
        until = f", until {now.expires_at:%Y-%m-%d %H:%M} UTC"
        if left < dt.timedelta(minutes=15) and not now.renewed:
            return warning("credentials", f"{key}{until}", "Sign in again: a run would outlive them.")
        until += ", then renewed by themselves" if now.renewed else ""
    elif now.session_token:
        until = ", temporary; the store does not say until when"
    if objects.endpoint_url is not None:
        # Only Amazon has a service that says who owns a key.
        return ok("credentials", f"{key} at {objects.endpoint_url}{until}")
    import boto3

    try:
        sts = boto3.client(
            "sts",
            region_name=objects.region,
            aws_access_key_id=now.access_key_id,
            aws_secret_access_key=now.secret_access_key,
            aws_session_token=now.session_token,
        )
        return ok("credentials", f"{sts.get_caller_identity()['Arn']}{until}")
    except (ClientError, BotoCoreError) as error:
        return failed("credentials", fault_of(error, "s3://"))


def _transport(objects: ObjectStore, bucket: str, production: bool) -> Finding:
    endpoint = objects.endpoint_url or "Amazon's endpoint"
    if objects.insecure:
        host = urlsplit(objects.endpoint_url or "").hostname
        if production and host not in _LOOPBACK:
            return warning(
                "tls",
                f"{endpoint} is reached by plain HTTP",
                "Fine within one private network; else set s3.endpoint_url to an https:// address.",
            )
        return ok("tls", f"{endpoint}, by plain HTTP")
    if production and objects.endpoint_url is None:
        policy, known = _ask(lambda: objects.client().get_bucket_policy(Bucket=bucket)["Policy"])
        if known and "aws:SecureTransport" not in json.dumps(policy):
            return warning(
                "tls",
                f"{endpoint}, by TLS; the bucket would answer plain HTTP too",
                "Deny requests where aws:SecureTransport is false in the bucket's policy.",
            )
    return ok("tls", f"{endpoint}, by TLS")


def _public(objects: ObjectStore, bucket: str, prefix: str, root: str) -> Finding:
    """Try to read without credentials, and ask the store about policy and access list."""
    client = objects.client()
    opened = _read_by_a_stranger(objects, client, bucket, prefix)
    status, status_known = _ask(lambda: client.get_bucket_policy_status(Bucket=bucket)["PolicyStatus"]["IsPublic"])
    # Ceph calls a policy public that lets in one user by name.
    policy, _ = _ask(lambda: client.get_bucket_policy(Bucket=bucket)["Policy"])
    status = status and (policy is None or _lets_anybody_in(json.loads(policy)))
    grants, acl_known = _ask(lambda: client.get_bucket_acl(Bucket=bucket)["Grants"])
    granted = [g for g in grants or () if str(g.get("Grantee", {}).get("URI", "")).endswith(_EVERYBODY)]
    block, block_known = _ask(lambda: client.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"])
    if opened or status or granted:
        how = opened or ("its policy is public" if status else "its access list names everybody")
        return failed(
            "public access",
            LakeError(
                f"The bucket {bucket} is open to strangers: {how}.",
                "Block public access of the bucket and take the policy or access list away that opens it.",
            ),
        )
    said = f"strangers can neither list {bucket} nor read from {root}"
    if block_known and not (block and all(block.values())):
        return warning(
            "public access",
            f"{said}, but nothing keeps a policy from opening it",
            "Set all four settings of the bucket's public access block.",
        )
    if block_known:
        return ok("public access", f"{said}; public access is blocked")
    unasked = "" if status_known or acl_known else "; the store does not say more"
    return ok("public access", f"{said}{unasked}")


def _read_by_a_stranger(objects: ObjectStore, client: Any, bucket: str, prefix: str) -> str:
    """Return in words what somebody without credentials can do; empty if nothing."""
    import boto3
    from botocore import UNSIGNED
    from botocore.config import Config
    from botocore.exceptions import ClientError

    stranger = boto3.client(
        "s3",
        endpoint_url=objects.endpoint_url,
        region_name=objects.region,
        config=Config(signature_version=UNSIGNED, s3={"addressing_style": "path"} if objects.endpoint_url else {}),
    )
    with suppress(ClientError):
        stranger.list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=1)
        return "anybody can list it"
    key = f"{prefix}/.readable-{uuid.uuid4().hex}".lstrip("/")
    client.put_object(Bucket=bucket, Key=key, Body=b"probe")
    try:
        stranger.get_object(Bucket=bucket, Key=key)
    except ClientError:
        return ""
    finally:
        client.delete_object(Bucket=bucket, Key=key)
    return "anybody can read its objects"


def _lets_anybody_in(policy: dict[str, Any]) -> bool:
    """Tell whether a statement of a policy allows something to more than those that it names."""
    statements = policy["Statement"] if isinstance(policy["Statement"], list) else [policy["Statement"]]
    return any("*" in json.dumps(one.get("Principal", "*")) for one in statements if one["Effect"] == "Allow")


def _kept(client: Any, bucket: str) -> Finding:
    """Report whether deleted files can be brought back, and whether they are deleted for good later."""
    versions, versions_known = _ask(lambda: client.get_bucket_versioning(Bucket=bucket).get("Status"))
    rules, rules_known = _ask(lambda: client.get_bucket_lifecycle_configuration(Bucket=bucket)["Rules"])
    if not (versions_known and rules_known):
        return ok("retention", "the store does not say what it keeps")
    active = [rule for rule in rules or () if rule.get("Status") == "Enabled"]
    lacking = []
    if versions != "Enabled":
        lacking.append(("no versions of deleted files are kept", "turn versioning on"))
    elif not any("NoncurrentVersionExpiration" in rule for rule in active):
        lacking.append(
            ("old versions stay for ever, also those of erased customers", "let non-current versions expire")
        )
    if not any("AbortIncompleteMultipartUpload" in rule for rule in active):
        lacking.append(("uploads that were never completed stay", "abort incomplete uploads by a lifecycle rule"))
    if lacking:
        remedy = " and ".join(what for _, what in lacking)
        return warning("retention", "; ".join(text for text, _ in lacking), f"{remedy[0].upper()}{remedy[1:]}.")
    return ok("retention", "old versions and incomplete uploads expire")


def _ask(question: Callable[[], Any]) -> tuple[Any, bool]:
    """Return the store's answer, and whether it gave one: not every store supports the call, not every role may ask."""
    from botocore.exceptions import ClientError

    try:
        return question(), True
    except ClientError as error:
        code = str(error.response["Error"].get("Code", ""))
        if code in _NOTHING:
            return None, True
        if code in _UNKNOWN or code in {"AccessDenied", "403"}:
            return None, False
        raise
