"""A store that cannot hold a lake is refused before any work, with a sentence that says what to do."""

from __future__ import annotations

from collections.abc import Callable

from cltv_assets.errors import LakeError
from cltv_assets.months import Month
from cltv_assets_tests.cluster.failing_run import ASSETS, MONTH, SELECT, Run, secrets_found
from cltv_assets_tests.cluster.failure_fixtures import Case
from cltv_assets_tests.cluster.fault_proxy import Fault, FaultProxy
from cltv_assets_tests.cluster.radosgw import Keys, Radosgw
from cltv_assets_tests.e2e.running import run


def assert_refused(case: Case, sentences: list[str], keys: Keys | None = None) -> None:
    """Require of ``cltv run`` and ``cltv doctor`` the exit code of the lake and the sentences."""
    commands = {"run": ["run", "--select", SELECT], "doctor": ["doctor"]}
    for name, arguments in commands.items():
        with Run(case.home, *arguments, keys=keys, name=name) as refused:
            assert refused.ended() == LakeError.exit_code, f"{name}: {refused.said[-3000:]}"
            for sentence in sentences:
                assert sentence in refused.said, f"{name}: {refused.said[-3000:]}"
            assert "Traceback" not in refused.said


def failure_in_dagster(case: Case) -> str:
    """Materialise the month as the UI does, without the command's own look at the lake."""
    (result,) = run(case.settings, [Month.parse(MONTH)], ASSETS)
    assert not result.succeeded
    return " ".join(result.errors)


def test_a_bucket_that_is_missing(case_on: Callable[..., Case], s3_server: Radosgw) -> None:
    case = case_on("duckdb", published=False, lake_uri="s3://no-such-bucket/lake")
    sentences = ["the bucket no-such-bucket does not exist", "Create it, or name another bucket in cltv.yaml."]
    assert_refused(case, sentences)
    for sentence in sentences:
        assert sentence in failure_in_dagster(case)
    assert secrets_found(case.home, [s3_server.owner]) == []


def test_a_bucket_that_is_read_only(case_on: Callable[..., Case], s3_server: Radosgw, bucket: str) -> None:
    case = case_on("duckdb")
    reader = s3_server.make_user(f"reader-of-{bucket}")
    s3_server.allow_read_only(bucket, reader.user)
    before = s3_server.keys(bucket)
    sentences = [
        f"the store denies access to {case.settings.lake_root}",
        "Allow these credentials to list, read, write and delete there.",
        "readers keep what they had",
    ]
    assert_refused(case, sentences, reader)
    with Run(case.home, "status", keys=reader, name="status") as status:
        # The lake was made elsewhere, so nobody knows here whether something of it is stale.
        assert status.ended() == 3, status.said[-3000:]
        assert "1 of 1 month needs a run" in status.said, "reading needs no right to write"
    assert s3_server.keys(bucket) == before
    assert case.seen() == case.old
    assert secrets_found(case.home, [s3_server.owner, reader]) == []


def test_a_store_without_conditional_writes(
    case_on: Callable[..., Case], s3_server: Radosgw, s3_proxy: FaultProxy, bucket: str
) -> None:
    case = case_on("duckdb")
    before = s3_server.keys(bucket)
    forget = s3_proxy.add(Fault(method="PUT", forgets_condition=True))
    sentences = [
        "(If-None-Match was answered with 200 instead of 412)",
        "would lose each other's months there",
        "Use a store with conditional writes",
    ]
    assert_refused(case, sentences)
    for sentence in sentences:
        assert sentence in failure_in_dagster(case)
    assert forget.seen >= 6, "two puts at each of three starts"
    # Refused before any work: not one file of a month was staged, and the probes are gone.
    assert s3_server.keys(bucket) == before
    assert case.seen() == case.old
    assert secrets_found(case.home, [s3_server.owner]) == []
