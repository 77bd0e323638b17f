"""Fixtures that every folder uses."""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from cltv_assets.engines import Engine
from cltv_assets.engines.duckdb_engine import DuckDBEngine
from cltv_assets.settings import Settings
from cltv_assets_tests.cluster.spark_programs import JAVA_OPTIONS

#: Servers and a shop for the tests that want them; without the option --cluster no server is started.
pytest_plugins = (
    "cltv_assets_tests.cluster.fixtures",
    "cltv_assets_tests.e2e.ran",
    "cltv_assets_tests.production.plugin",
    "cltv_assets_tests.delivery.plugin",
    "cltv_assets_tests.delivery.terraform.fixtures",
)

SHOP_COLUMNS = {
    "transaction_id": "invoice",
    "customer_id": "customer",
    "transacted_at": "time",
    "quantity": "quantity",
    "unit_price": "price",
}


#: Beginnings of variables that say something to the tests themselves.
OF_THE_TESTS = ("CLTV_ONLINE_RETAIL", "CLTV_TEST_", "CLTV_WHEEL_PYTHONS")
#: Folders whose tests run on every engine that the option names; the others on the embedded one.
ON_EVERY_ENGINE = ("expressions", "checks", "engines")
ENGINES = ("duckdb", "spark")

#: Modules whose tests read the lake of the fixture ``ran``: one process makes it, once.
OF_THE_SHOP_THAT_RAN = tuple(
    f"{name}.py"
    for name in (
        "cli/test_export",
        "cli/test_horizons",
        "cli/test_reading",
        "cli/test_report",
        "cli/test_run",
        "cli/test_sql",
        "cli/test_views",
        "dagster_defs/assets/test_downstream",
        "dagster_defs/assets/test_ranges",
        "e2e/test_again",
        "e2e/test_kill_run",
        "e2e/test_months",
        "e2e/test_odd_folders",
        "e2e/test_presentation",
    )
)

#: Tests on real servers; ``make test-cluster`` runs them.
CLUSTER = Path(__file__).parent / "cluster"
#: Tests in a real browser; ``make test-browser`` runs them.
BROWSER = Path(__file__).parent / "e2e" / "browser"


class ByLake(LoadScopeScheduling):
    """Gives a module's tests to one process, and all modules that read the shop that ran to the same one."""

    def _split_scope(self, nodeid: str) -> str:
        module = super()._split_scope(nodeid)
        return "the shop that ran" if module.endswith(OF_THE_SHOP_THAT_RAN) else module


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling | None:
    return ByLake(config, log) if config.getvalue("dist") == "loadscope" else None


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--cluster", action="store_true", help="Run the tests that start S3 and Spark servers, too.")
    parser.addoption("--browser", action="store_true", help="Run the tests of the Dagster UI in Chromium, too.")
    parser.addoption("--engines", default="duckdb", help="Engines to test, separated by commas: duckdb,spark.")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "local: on a local folder only, not on S3")
    config.addinivalue_line("markers", "embedded: on DuckDB only; other tests of the module show that engines agree")


@pytest.hookimpl(tryfirst=True)
def pytest_collection(session: pytest.Session) -> None:
    # Imports make objects that stay, and Python's garbage collector would look through them again and again.
    gc.disable()


def pytest_collection_finish(session: pytest.Session) -> None:
    gc.freeze()
    # By default 700: a full collection after every few tests would take a tenth of their time.
    gc.set_threshold(20_000)
    gc.enable()


def pytest_unconfigure(config: pytest.Config) -> None:
    # What is set aside would not be taken down at the end, and some extensions say so.
    gc.unfreeze()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    # Not collected, rather than skipped: these tests need programs that the package does not.
    where = (collection_path, *collection_path.parents)
    unwanted = [CLUSTER] if not config.getoption("--cluster") else []
    unwanted += [BROWSER] if not config.getoption("--browser") else []
    return True if any(folder in where for folder in unwanted) else None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "engine_name" not in metafunc.fixturenames:
        return
    names = metafunc.config.getoption("--engines").split(",")
    if not set(names) <= set(ENGINES):
        raise pytest.UsageError(f"--engines={','.join(names)}: the engines are {', '.join(ENGINES)}")
    everywhere = metafunc.definition.path.parent.name in ON_EVERY_ENGINE
    metafunc.parametrize("engine_name", names if everywhere else ["duckdb"], scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    def unwanted(item: pytest.Item) -> bool:
        case = getattr(item, "callspec", None)
        on_spark = case is not None and case.params.get("engine_name") == "spark"
        return on_spark and item.get_closest_marker("embedded") is not None

    # Not collected, rather than skipped: they run in the suite of the embedded engine.
    items[:] = [item for item in items if not unwanted(item)]


@contextlib.contextmanager
def _nobodys_settings() -> Iterator[pytest.MonkeyPatch]:
    """Take away the settings and the instance of whoever runs the tests, or of the test before.

    Not by a test's own monkeypatch: undoing that would bring them back, and tests wipe assets.
    """
    with pytest.MonkeyPatch.context() as surroundings:
        for name in [*os.environ]:
            if name == "DAGSTER_HOME" or (name.startswith("CLTV_") and not name.startswith(OF_THE_TESTS)):
                surroundings.delenv(name)
        yield surroundings


@pytest.fixture(scope="session", autouse=True)
def _surroundings_of_all() -> Iterator[None]:
    """Fixtures of a module or of all tests come before any test's own surroundings."""
    with _nobodys_settings() as surroundings:
        # Tests that start processes run helpers of this package in them.
        surroundings.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
        yield


@pytest.fixture(scope="module", autouse=True)
def _surroundings_of_a_module() -> Iterator[None]:
    """Keep the instance that a module's fixture opened from the fixtures of the next."""
    with _nobodys_settings():
        yield


@pytest.fixture(autouse=True)
def _surroundings_of_one(tmp_path: Path) -> Iterator[None]:
    """Keep every test's settings, instance and current folder its own: a command leaves variables behind."""
    with _nobodys_settings() as surroundings:
        surroundings.chdir(tmp_path)
        yield


@pytest.fixture(scope="session")
def spark_settings() -> Settings:
    """Return the settings of the one Spark session of the tests."""
    # Few partitions: the tests' tables have few rows, and a task costs more than they do.
    conf = {"spark.sql.shuffle.partitions": "2", "spark.driver.memory": "2g"}
    conf["spark.driver.extraJavaOptions"] = JAVA_OPTIONS
    return Settings.model_validate({"engine": "spark", "spark": {"master": "local[2]", "conf": conf}})


@pytest.fixture(scope="session")
def spark_lease(spark_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Hold the one Spark session of the tests, started when a test first needs it."""
    from cltv_assets.engines.spark_session import SparkLease

    lease = SparkLease(spark_settings)
    yield lease
    lease.stop()


def _open(name: str, request: pytest.FixtureRequest) -> Engine:
    if name == "duckdb":
        return DuckDBEngine()
    from cltv_assets.engines.spark_engine import SparkEngine

    return SparkEngine(request.getfixturevalue("spark_lease").session)


@pytest.fixture
def engine(engine_name: str, request: pytest.FixtureRequest) -> Iterator[Engine]:
    opened = _open(engine_name, request)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def shared_engine(engine_name: str, request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Return one engine for many tests, each of which leaves nothing in it that others would notice."""
    opened = _open(engine_name, request)
    yield opened
    opened.close()


@pytest.fixture
def shop_settings(tmp_path: Path) -> Callable[..., Settings]:
    """Return settings for a made-up shop's CSV files in ``tmp_path/shop``."""

    def make(**changes: Any) -> Settings:
        source = {"kind": "csv", "path": "shop", "columns": SHOP_COLUMNS, **changes.pop("source", {})}
        values: dict[str, Any] = {
            "source": source,
            "start_month": "2011-01",
            "end_month": "2011-06",
            "currency": "GBP",
            "time_zone": "Europe/London",
            "home": tmp_path,
        }
        return Settings.model_validate(values | changes)

    return make
