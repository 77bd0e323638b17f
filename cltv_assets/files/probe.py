"""Checks once, before any work, that a root can be written and that commits on it are safe."""

from __future__ import annotations

import os
import uuid
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

from cltv_assets.errors import LakeError
from cltv_assets.files.object_store import ObjectStore
from cltv_assets.files.store_faults import fault_of

#: What to do about a root that cannot be used; every message about one ends so.
CHOOSE_ROOT = "set lake_uri in cltv.yaml (or CLTV_LAKE_URI) to another folder"

_PRECONDITION_FAILED = 412


def check_folder(root: Path) -> None:
    """Find out whether a folder can be written and has hard links.

    Raises
    ------
    LakeError
        If not.
    """
    for place in (root, *root.parents):
        if place.is_symlink() and not place.exists():
            raise LakeError(
                f"The lake {root} cannot be used: {place} is a link that leads nowhere.",
                f"Mount or create what it points to, or {CHOOSE_ROOT}.",
            )
        if place.exists() and not place.is_dir():
            raise LakeError(
                f"The lake {root} cannot be used: {place} is a file, not a folder.",
                f"Move that file away, or {CHOOSE_ROOT}.",
            )
    probe = root / f".writable-{uuid.uuid4().hex}"
    linked = probe.with_suffix(".link")
    try:
        root.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"probe")
    except OSError as error:
        raise LakeError(
            f"The lake {root} cannot be written: {error.strerror or error}.",
            f"Give the user who runs this permission and room to write there, or {CHOOSE_ROOT}.",
        ) from error
    try:
        os.link(probe, linked)  # how delta-rs makes a commit atomic
    except OSError as error:
        raise LakeError(
            f"The lake {root} is on a file system without hard links ({error.strerror or error}), "
            "which atomic commits need.",
            f"To use a local disk, {CHOOSE_ROOT}.",
        ) from error
    finally:
        for path in (probe, linked):
            with suppress(OSError):
                path.unlink(missing_ok=True)


def check_object_store(objects: ObjectStore, root: str) -> None:
    """Find out whether a bucket can be written and refuses to write a key twice.

    A commit puts the log's next entry on the condition that it does not exist yet. A
    store that ignores the condition silently loses commits.

    Raises
    ------
    LakeError
        If the bucket is missing, cannot be written, or ignores the condition.
    """
    # A deployment of the embedded kind has no boto3.
    from botocore.exceptions import BotoCoreError, ClientError

    where = urlsplit(root)
    prefix = where.path.strip("/")
    key = f"{prefix}/.writable-{uuid.uuid4().hex}".lstrip("/")
    client, there = objects.client(), {"Bucket": where.netloc, "Key": key}
    try:
        try:
            client.put_object(**there, Body=b"probe", IfNoneMatch="*")
            answer = client.put_object(**there, Body=b"probe", IfNoneMatch="*")
            second = int(answer["ResponseMetadata"]["HTTPStatusCode"])
        except ClientError as error:
            second = int(error.response["ResponseMetadata"]["HTTPStatusCode"])
            # Some stores answer 409 to a conflict with a write that is not over; none is under way here.
            if second != _PRECONDITION_FAILED:
                raise
        finally:
            with suppress(ClientError, BotoCoreError):
                client.delete_object(**there)
        client.list_objects_v2(Bucket=where.netloc, Prefix=prefix, MaxKeys=1)
    except (ClientError, BotoCoreError, OSError) as error:
        raise fault_of(error, root) from error
    if second != _PRECONDITION_FAILED:
        raise LakeError(
            f"The object store of {root} wrote an object that was there already although told not to "
            f"(If-None-Match was answered with {second} instead of {_PRECONDITION_FAILED}). "
            "Two runs that publish at once would lose each other's months there.",
            f"Use a store with conditional writes (Amazon S3 and Ceph have them; others from some version on), or "
            f"{CHOOSE_ROOT}.",
        )
