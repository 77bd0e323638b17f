"""The proxy does what tests of failures rely on, seen from a client that does not retry."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from cltv_assets_tests.cluster.fault_proxy import FaultProxy
from cltv_assets_tests.cluster.radosgw import Radosgw


@pytest.fixture
def s3(s3_server: Radosgw, s3_proxy: FaultProxy) -> Any:
    return s3_server.client(endpoint_url=s3_proxy.endpoint_url)


def outcome(call: Callable[..., Any], **arguments: Any) -> str:
    """Return ``ok``, the code of S3's error, or ``cut``."""
    try:
        call(**arguments)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    except BotoCoreError:
        return "cut"
    return "ok"


def test_everything_passes_unchanged(s3: Any, s3_proxy: FaultProxy, bucket: str) -> None:
    content = bytes(range(256)) * 20_000
    for key in ("plain", "with space/ümläut+%41 =&", "_delta_log/00.json"):
        s3.put_object(Bucket=bucket, Key=key, Body=content)
        assert s3.get_object(Bucket=bucket, Key=key)["Body"].read() == content
        assert s3.get_object(Bucket=bucket, Key=key, Range="bytes=256-511")["Body"].read() == content[:256]
        assert s3.head_object(Bucket=bucket, Key=key)["ContentLength"] == len(content)
    assert s3.list_objects_v2(Bucket=bucket, MaxKeys=2)["IsTruncated"]
    assert outcome(s3.get_object, Bucket=bucket, Key="none") == "NoSuchKey"
    assert outcome(s3.put_object, Bucket=bucket, Key="plain", Body=b"", IfNoneMatch="*") == "PreconditionFailed"
    assert s3.delete_object(Bucket=bucket, Key="plain")["ResponseMetadata"]["HTTPStatusCode"] == 204
    assert s3_proxy.count("PUT", "/ümläut|/with space/ümläut") == s3_proxy.count("PUT", "with space", 200) == 1
    assert s3_proxy.count("GET", "plain$", 206) == 1
    assert s3_proxy.count(status=412) == 1


def test_a_wrong_signature_is_still_wrong(s3_server: Radosgw, s3_proxy: FaultProxy, bucket: str) -> None:
    stranger = s3_server.client(s3_server.make_user(f"stranger-{bucket}"), endpoint_url=s3_proxy.endpoint_url)
    assert outcome(stranger.put_object, Bucket=bucket, Key="k", Body=b"") == "AccessDenied"


def test_thousands_of_requests_of_many_clients(s3: Any, s3_proxy: FaultProxy, bucket: str) -> None:
    def put_and_get(i: int) -> bool:
        s3.put_object(Bucket=bucket, Key=f"k{i}", Body=str(i).encode())
        return bool(s3.get_object(Bucket=bucket, Key=f"k{i}")["Body"].read() == str(i).encode())

    with ThreadPoolExecutor(10) as pool:
        assert all(pool.map(put_and_get, range(1000)))
    assert s3_proxy.count("PUT", f"/{bucket}/", 200) == s3_proxy.count("GET", f"/{bucket}/", 200) == 1000


def test_slow_down_for_a_while_and_for_a_share(s3: Any, s3_server: Radosgw, s3_proxy: FaultProxy, bucket: str) -> None:
    refusal = s3_proxy.slow_down(seconds=3)
    assert outcome(s3.put_object, Bucket=bucket, Key="k", Body=b"x" * 100_000) == "SlowDown"
    assert outcome(s3.head_object, Bucket=bucket, Key="k") == "503"
    assert s3_server.keys(bucket) == []
    time.sleep(max(0.0, refusal.until - time.monotonic()))
    assert outcome(s3.put_object, Bucket=bucket, Key="k", Body=b"x" * 100_000) == "ok"
    s3_proxy.slow_down(share=0.25, matching="/share")
    said = [outcome(s3.put_object, Bucket=bucket, Key=f"share{i}", Body=b"") for i in range(40)]
    assert (said.count("SlowDown"), said.count("ok")) == (10, 30)
    assert outcome(s3.put_object, Bucket=bucket, Key="other", Body=b"") == "ok"


def test_delay(s3: Any, s3_proxy: FaultProxy, bucket: str) -> None:
    delay = s3_proxy.delay(0.4, "late")
    s3.put_object(Bucket=bucket, Key="early", Body=b"")
    assert delay.seen == 0
    began = time.monotonic()
    s3.put_object(Bucket=bucket, Key="late", Body=b"")
    assert time.monotonic() - began >= 0.4


def test_the_second_upload_is_cut(s3: Any, s3_server: Radosgw, s3_proxy: FaultProxy, bucket: str) -> None:
    s3_proxy.cut_upload(after_bytes=70_000, matching=r"\.parquet$", nth=2)
    body = b"x" * 1_000_000
    said = [
        outcome(s3.put_object, Bucket=bucket, Key=k, Body=body)
        for k in ("a.json", "b.parquet", "c.parquet", "d.parquet")
    ]
    assert said == ["ok", "ok", "cut", "ok"]
    assert s3_server.keys(bucket) == ["a.json", "b.parquet", "d.parquet"]
    assert s3_proxy.count("PUT", "c.parquet", 0) == 1


def test_a_lost_answer_is_of_a_request_that_was_served(
    s3: Any, s3_server: Radosgw, s3_proxy: FaultProxy, bucket: str
) -> None:
    s3_proxy.lose_answer("PUT", "k$")
    assert outcome(s3.put_object, Bucket=bucket, Key="k", Body=b"1") == "cut"
    assert s3_server.keys(bucket) == ["k"]
    assert outcome(s3.put_object, Bucket=bucket, Key="k", Body=b"2") == "ok"


def test_refused_and_expired(s3: Any, s3_server: Radosgw, s3_proxy: FaultProxy, bucket: str) -> None:
    refusal = s3_proxy.refuse(403, "AccessDenied", method="PUT", count=1)
    assert [outcome(s3.put_object, Bucket=bucket, Key="k", Body=b"") for _ in "ab"] == ["AccessDenied", "ok"]
    assert refusal.seen == 2
    temporary = s3_server.temporary_credentials(bucket)
    short = s3_server.client(temporary, endpoint_url=s3_proxy.endpoint_url)
    assert outcome(short.get_object, Bucket=bucket, Key="k") == "ok"
    s3_proxy.expire(temporary.access_key)
    assert outcome(short.get_object, Bucket=bucket, Key="k") == "ExpiredToken"
    assert outcome(s3.get_object, Bucket=bucket, Key="k") == "ok"
    s3_proxy.pass_through()
    assert outcome(short.get_object, Bucket=bucket, Key="k") == "ok"


@pytest.mark.parametrize("end", ["release", "abandon"])
def test_held_requests(s3: Any, s3_server: Radosgw, s3_proxy: FaultProxy, bucket: str, end: str) -> None:
    with s3_proxy.hold("PUT", r"_delta_log/.*\.json$") as hold, ThreadPoolExecutor(1) as pool:
        s3.put_object(Bucket=bucket, Key="data", Body=b"")
        held = pool.submit(outcome, s3.put_object, Bucket=bucket, Key="_delta_log/1.json", Body=b"")
        hold.wait_reached()
        assert s3_server.keys(bucket) == ["data"]
        assert not held.done()
        hold.release() if end == "release" else hold.abandon()
        assert held.result(10) == {"release": "ok", "abandon": "cut"}[end]
        assert outcome(s3.put_object, Bucket=bucket, Key="_delta_log/2.json", Body=b"") == "ok"
    assert ("_delta_log/1.json" in s3_server.keys(bucket)) == (end == "release")


def test_a_forgetful_store_lets_the_last_writer_win(s3: Any, s3_proxy: FaultProxy, bucket: str) -> None:
    put = {"Bucket": bucket, "Key": "odd key+%41", "IfNoneMatch": "*"}
    s3.put_object(Body=b"1", **put)
    assert outcome(s3.put_object, Body=b"2", **put) == "PreconditionFailed"
    s3_proxy.forget_conditions()
    assert outcome(s3.put_object, Body=b"3", **put) == "ok"
    assert s3.get_object(Bucket=bucket, Key="odd key+%41")["Body"].read() == b"3"


def test_the_store_itself_lets_one_of_eight_win(s3: Any, bucket: str) -> None:
    def put(i: int) -> str:
        together.wait()
        return outcome(s3.put_object, Bucket=bucket, Key=f"round{turn}", Body=str(i).encode(), IfNoneMatch="*")

    with ThreadPoolExecutor(8) as pool:
        for turn in range(50):
            together = threading.Barrier(8)
            said = list(pool.map(put, range(8)))
            winner = s3.get_object(Bucket=bucket, Key=f"round{turn}")["Body"].read()
            assert [str(i).encode() for i, each in enumerate(said) if each == "ok"] == [winner]


def test_a_gateway_that_is_down_and_comes_back(s3: Any, s3_server: Radosgw, s3_proxy: FaultProxy, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"kept")
    s3_server.stop_gateway()
    assert outcome(s3.get_object, Bucket=bucket, Key="k") == "cut"
    s3_server.start_gateway()
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"kept"


def test_read_only_users_and_removed_keys(s3: Any, s3_server: Radosgw, bucket: str) -> None:
    s3.put_object(Bucket=bucket, Key="k", Body=b"1")
    keys = s3_server.make_user(f"reader-{bucket}")
    reader = s3_server.client(keys)
    assert outcome(reader.get_object, Bucket=bucket, Key="k") == "AccessDenied"
    s3_server.allow_read_only(bucket, keys.user)
    assert outcome(reader.get_object, Bucket=bucket, Key="k") == "ok"
    assert outcome(reader.list_objects_v2, Bucket=bucket) == "ok"
    assert outcome(reader.put_object, Bucket=bucket, Key="k", Body=b"2") == "AccessDenied"
    second = s3_server.client(s3_server.add_key(keys.user))
    s3_server.remove_key(keys)
    assert outcome(reader.get_object, Bucket=bucket, Key="k") != "ok"
    assert outcome(second.get_object, Bucket=bucket, Key="k") == "ok"
