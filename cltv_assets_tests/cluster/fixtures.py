"""The servers, started when the first test asks for them and ended with the session."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cltv_assets.settings import Settings
from cltv_assets_tests.cluster.configured import Configured
from cltv_assets_tests.cluster.connect_server import ConnectServer
from cltv_assets_tests.cluster.fault_proxy import FaultProxy
from cltv_assets_tests.cluster.radosgw import Radosgw
from cltv_assets_tests.cluster.server_process import ServerError
from cltv_assets_tests.cluster.spark_cluster import SparkCluster

_CACHE = Path(__file__).parents[2] / ".cache"
_BUCKETS = itertools.count(1)


@pytest.fixture(scope="session")
def server_logs(request: pytest.FixtureRequest) -> Iterator[Path]:
    """Return where the servers' logs stay after a failure, and in continuous integration always."""
    folder = _CACHE / "cluster-logs" / str(os.getpid())
    folder.mkdir(parents=True)
    yield folder
    if not request.session.testsfailed and not os.environ.get("CI"):
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def spark_jars() -> Path:
    """Return the folder of Spark's S3 jars, which `make test-cluster` fetches once."""
    folder = _CACHE / "spark-jars"
    if not any(folder.glob("hadoop-aws-*.jar")):
        raise ServerError(f"no S3 jars in {folder}: run `make test-cluster`, or `cltv jars --into` that folder")
    return folder


@pytest.fixture(scope="session")
def s3_server(server_logs: Path) -> Iterator[Radosgw]:
    with Radosgw(server_logs) as server:
        yield server


@pytest.fixture(scope="session")
def _proxy(s3_server: Radosgw) -> Iterator[FaultProxy]:
    with FaultProxy(s3_server.port, s3_server.secret_of) as proxy:
        yield proxy


@pytest.fixture
def s3_proxy(_proxy: FaultProxy) -> Iterator[FaultProxy]:
    """The proxy before the S3 server: without faults, and counting from nought."""
    _proxy.forget_requests()
    yield _proxy
    _proxy.pass_through()


@pytest.fixture
def bucket(s3_server: Radosgw) -> Iterator[str]:
    """A new bucket of the S3 server's owner; the test may have stopped the gateway."""
    name = s3_server.make_bucket(f"bucket-{next(_BUCKETS)}")
    yield name
    if not s3_server.running:
        s3_server.start_gateway()
    s3_server.remove_bucket(name)


@pytest.fixture
def s3_environment(s3_server: Radosgw, monkeypatch: pytest.MonkeyPatch) -> Radosgw:
    """Put the owner's keys into Amazon's variables, and keep this machine's own away."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    variables = s3_server.owner.environment() | {
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_REQUEST_CHECKSUM_CALCULATION": "when_required",
        "AWS_RESPONSE_CHECKSUM_VALIDATION": "when_required",
    }
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    return s3_server


@pytest.fixture(scope="session")
def _spark_cluster(server_logs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkCluster]:
    with SparkCluster(server_logs, tmp_path_factory.mktemp("spark-cluster")) as cluster:
        yield cluster


@pytest.fixture
def spark_cluster(_spark_cluster: SparkCluster) -> SparkCluster:
    """A master and two workers, whatever tests before did to them."""
    _spark_cluster.restore()
    return _spark_cluster


@pytest.fixture(scope="session")
def connect_url(server_logs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a Spark Connect server for local files."""
    with ConnectServer(server_logs, tmp_path_factory.mktemp("spark-connect")) as server:
        yield server.url


@pytest.fixture(scope="session")
def s3_connect_url(
    s3_server: Radosgw,
    _proxy: FaultProxy,
    spark_jars: Path,
    server_logs: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[str]:
    """Address of a Spark Connect server that has jars and keys for the S3 server."""
    conf = s3_server.s3a_conf(_proxy.endpoint_url) | {"spark.driver.extraClassPath": f"{spark_jars}/*"}
    with ConnectServer(server_logs, tmp_path_factory.mktemp("spark-connect-s3"), conf) as server:
        yield server.url


@pytest.fixture
def cluster_settings(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[..., Settings]:
    """Return settings for an engine on a storage; servers start as they are needed.

    ``cluster_settings("spark", "s3", **changes)``: the engine is ``duckdb``, ``spark`` (local),
    ``cluster`` (two workers) or ``connect``, the storage ``local`` or ``s3``.
    """
    return Configured(request.getfixturevalue, tmp_path)
