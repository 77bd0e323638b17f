"""S3 and the driver fail in the middle of a run: readers keep whole months, and the same command mends the rest."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import ExitStack

import pytest
from deltalake import DeltaTable

from cltv_assets_tests.cluster.failing_run import SELECT, Run, data_of, entry_of, events_told, other_than, secrets_found
from cltv_assets_tests.cluster.failure_fixtures import Case
from cltv_assets_tests.cluster.fault_proxy import Fault, FaultProxy
from cltv_assets_tests.cluster.radosgw import Radosgw

#: Spark's own reading of the store's answers has short tests in engines/test_spark_config.py.
ENGINES = pytest.mark.parametrize("engine", ["duckdb", pytest.param("spark", marks=pytest.mark.soak)])
REACH_SECONDS = 240.0


def version_of(case: Case, table: str) -> int:
    options = {
        "AWS_ENDPOINT_URL": case.reader.s3.endpoint_url or "",
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "us-east-1",
    }
    return DeltaTable(f"{case.reader.lake_root}/{table}", storage_options=options).version()


@ENGINES
def test_driver_killed_between_write_and_publish(
    case_on: Callable[..., Case], s3_proxy: FaultProxy, s3_server: Radosgw, engine: str
) -> None:
    case = case_on(engine)
    hold = s3_proxy.hold("PUT", entry_of("purchase_days"))
    with Run(case.home, "run", "--select", SELECT) as killed:
        hold.wait_reached(REACH_SECONDS)
        # Written and audited; every byte but the commit is there.
        assert case.seen()["purchase_days"] == case.old["purchase_days"]
        killed.kill()
        hold.abandon()
    seen = case.seen()
    assert seen["purchase_days"] == case.old["purchase_days"]
    assert other_than(seen, case.old, case.new) == []
    s3_proxy.pass_through()
    with Run(case.home, "run", "--select", SELECT) as again:
        assert again.ended() == 0, again.said[-3000:]
    assert case.seen() == case.new
    assert secrets_found(case.home, [s3_server.owner]) == []


@pytest.mark.parametrize(
    ("engine", "seconds"),
    [("duckdb", 10.0), *(pytest.param(engine, 30.0, marks=pytest.mark.soak) for engine in ("duckdb", "spark"))],
)
def test_errors_for_a_while_and_cut_uploads(
    case_on: Callable[..., Case], s3_proxy: FaultProxy, s3_server: Radosgw, engine: str, seconds: float
) -> None:
    case = case_on(engine)
    hold = s3_proxy.hold("PUT", data_of("cleaned_transactions"), count=1)
    cut = s3_proxy.add(Fault(method="PUT", matching=data_of("purchase_days"), cut_after=500, count=2))
    with Run(case.home, "run", "--select", SELECT) as run, ExitStack() as stack:
        hold.wait_reached(REACH_SECONDS)
        refusal = s3_proxy.slow_down(seconds)
        delay = s3_proxy.add(Fault(seconds=1.0))
        hold.release()
        slow = threading.Timer(seconds, lambda: setattr(delay, "seconds", 0.0))
        stack.callback(slow.cancel)
        slow.start()
        while run.running and slow.is_alive():
            assert other_than(case.seen(), case.old, case.new) == []
            slow.join(2)
        assert run.running, "it ended during the outage: " + run.said[-3000:]
        assert run.ended() == 0, run.said[-3000:]
    assert refusal.seen > 3, "the outage hit nothing"
    assert cut.seen > 2, "no upload was cut"
    assert case.seen() == case.new
    assert secrets_found(case.home, [s3_server.owner]) == []


@ENGINES
def test_credentials_expire_in_the_middle(
    case_on: Callable[..., Case], s3_proxy: FaultProxy, s3_server: Radosgw, engine: str
) -> None:
    case = case_on(engine)
    bucket = case.settings.lake_root.split("/")[2]
    short, renewed = (s3_server.temporary_credentials(bucket) for _ in range(2))
    hold = s3_proxy.hold("PUT", data_of("cleaned_transactions"), count=1)
    with Run(case.home, "run", "--select", SELECT, keys=short, name="expired") as run:
        hold.wait_reached(REACH_SECONDS)
        s3_proxy.expire(short.access_key)
        hold.release()
        assert run.ended() == 1, run.said[-3000:]
        assert "credentials have expired" in run.said, run.said[-3000:]
        assert "Renew them" in run.said, run.said[-3000:]
        assert "Traceback" not in run.said
    seen = case.seen()
    assert seen["raw_transactions"] == case.new["raw_transactions"], "published before they expired"
    assert other_than(seen, case.old, case.new) == []
    assert seen["purchase_days"] == case.old["purchase_days"]
    with Run(case.home, "run", "--select", SELECT, keys=renewed, name="renewed") as run:
        assert run.ended() == 0, run.said[-3000:]
    assert case.seen() == case.new
    assert secrets_found(case.home, [s3_server.owner, short, renewed]) == []
    # The search is worth something: it looked where the events of these very runs stand.
    told = events_told(case.home / ".dagster")
    assert "credentials have expired" in told
    assert case.settings.lake_root in told


def test_an_answer_lost_although_the_commit_landed(
    case_on: Callable[..., Case], s3_proxy: FaultProxy, s3_server: Radosgw
) -> None:
    case = case_on("duckdb")
    before = version_of(case, "purchase_days")
    lost = s3_proxy.add(Fault(method="PUT", matching=entry_of("purchase_days"), loses_answer=True, count=1))
    with Run(case.home, "run", "--select", SELECT) as run:
        assert run.ended() == 0, run.said[-3000:]
    assert lost.seen > 1, "delta-rs asked once: no answer was lost"
    assert version_of(case, "purchase_days") == before + 1, "the month stands once"
    assert case.seen() == case.new
    assert secrets_found(case.home, [s3_server.owner]) == []
