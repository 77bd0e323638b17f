"""What the doctor makes of answers that no store here gives. Real buckets are in ``test_doctor``."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from cltv_assets.cli.doctor import Finding, State, bucket
from cltv_assets.cli.doctor.bucket import look_at_store
from cltv_assets.files.object_store import Credentials, ObjectStore

BLOCKED = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
TLS_ONLY = '{"Statement": [{"Effect": "Deny", "Condition": {"Bool": {"aws:SecureTransport": "false"}}}]}'


class Store:
    """A client whose calls answer what is given, or fail with a code."""

    def __init__(self, **answers: Any) -> None:
        self.answers = {
            "get_bucket_policy_status": {"PolicyStatus": {"IsPublic": False}},
            "get_bucket_acl": {"Grants": []},
            "get_public_access_block": {"PublicAccessBlockConfiguration": BLOCKED},
            "get_bucket_policy": {"Policy": TLS_ONLY},
            "get_bucket_versioning": {},
            "get_bucket_lifecycle_configuration": "NoSuchLifecycleConfiguration",
        } | answers

    def __getattr__(self, name: str) -> Any:
        def call(**_given: Any) -> Any:
            answer = self.answers[name]
            if isinstance(answer, str):
                raise ClientError({"Error": {"Code": answer, "Message": answer}}, name)
            return answer

        return call


@pytest.fixture(autouse=True)
def _closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bucket, "_read_by_a_stranger", lambda *_given: "")


def seen(
    endpoint: str | None = "https://store:9000", until: Credentials | None = None, **answers: Any
) -> dict[str, Finding]:
    keys = until or Credentials("AKIAEXAMPLE", "secret")
    store = ObjectStore(lambda: keys, lambda: Store(**answers), endpoint)
    return {found.name: found for found in look_at_store(store, "s3://bucket/lake", production=True)}


def test_a_bucket_whose_public_access_is_blocked() -> None:
    found = seen()["public access"]
    assert (found.state, "public access is blocked" in found.text) == (State.OK, True)
    for one in BLOCKED:
        found = seen(get_public_access_block={"PublicAccessBlockConfiguration": BLOCKED | {one: False}})[
            "public access"
        ]
        assert found.state is State.WARNING
    assert seen(get_public_access_block="NoSuchPublicAccessBlockConfiguration")["public access"].state is State.WARNING


@pytest.mark.parametrize(
    ("allows", "state"),
    [
        ({"Principal": "*"}, State.FAILED),
        ({"Principal": {"AWS": ["arn:aws:iam:::user/one", "*"]}}, State.FAILED),
        ({"NotPrincipal": {"AWS": "arn:aws:iam:::user/one"}}, State.FAILED),
        # Ceph calls that public, too.
        ({"Principal": {"AWS": ["arn:aws:iam:::user/one"]}}, State.OK),
    ],
)
def test_a_policy_is_public_that_lets_in_more_than_it_names(allows: dict[str, Any], state: State) -> None:
    policy = {"Statement": [{"Effect": "Deny", "Principal": "*"}, {"Effect": "Allow", **allows}]}
    answers = {
        "get_bucket_policy_status": {"PolicyStatus": {"IsPublic": True}},
        "get_bucket_policy": {"Policy": json.dumps(policy)},
    }
    assert seen(**answers)["public access"].state is state
    # Where the policy may not be read, the store's word holds.
    assert seen(**answers | {"get_bucket_policy": "AccessDenied"})["public access"].state is State.FAILED


def test_an_access_list_that_is_public_fails() -> None:
    everybody = {"Grantee": {"URI": "http://acs.amazonaws.com/groups/global/AllUsers"}, "Permission": "READ"}
    found = seen(get_bucket_acl={"Grants": [everybody]})["public access"]
    assert found.state is State.FAILED
    assert "access list" in found.text


@pytest.mark.parametrize("code", ["NotImplemented", "MethodNotAllowed", "AccessDenied"])
def test_calls_that_a_store_does_not_know_or_a_role_may_not_make_fail_nothing(code: str) -> None:
    unknown = dict.fromkeys(("get_bucket_policy_status", "get_bucket_acl", "get_public_access_block"), code)
    found = seen(**unknown, get_bucket_versioning=code, get_bucket_lifecycle_configuration=code)
    assert found["public access"].state is State.OK
    assert "does not say more" in found["public access"].text
    assert found["retention"].state is State.OK
    assert "bucket" not in found


def test_plain_http_is_a_warning_unless_it_stays_on_this_machine() -> None:
    assert seen("http://store:9000")["tls"].state is State.WARNING
    assert seen("http://127.0.0.1:9000")["tls"].state is State.OK
    assert seen("https://store:9000")["tls"] == Finding("tls", State.OK, "https://store:9000, by TLS")


def test_credentials_that_a_run_would_outlive_are_a_warning() -> None:
    now = dt.datetime.now(dt.UTC)

    def until(minutes: int, renewed: bool = False) -> Finding:
        keys = Credentials("AKIAEXAMPLE", "secret", "token", now + dt.timedelta(minutes=minutes), renewed)
        return seen(until=keys)["credentials"]

    assert until(5).state is State.WARNING
    assert until(600).state is State.OK
    assert until(5, renewed=True).state is State.OK
    assert f"until {now + dt.timedelta(minutes=600):%Y-%m-%d %H:%M} UTC" in until(600).text
    assert "AKIAEXAMPLE" not in until(600).text


def test_a_bucket_of_amazons_that_would_answer_plain_http_is_a_warning() -> None:
    def transport(policy: Any) -> Finding:
        keys = Credentials("AKIAEXAMPLE", "secret")
        store = ObjectStore(lambda: keys, lambda: Store(get_bucket_policy=policy))
        return bucket._transport(store, "bucket", production=True)

    assert transport({"Policy": TLS_ONLY}).state is State.OK
    assert "aws:SecureTransport" in transport("NoSuchBucketPolicy").remedy
    assert transport({"Policy": '{"Statement": []}'}).state is State.WARNING
    assert transport("AccessDenied").state is State.OK
