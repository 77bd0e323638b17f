from __future__ import annotations

from pathlib import Path

import pytest

from cltv_assets.lake import Lake, LakeTable
from cltv_assets_tests.lake.place import Place
from cltv_assets_tests.lake.table_under_test import ORDERS


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test on a local folder, or with --cluster on S3; those marked ``local`` on a folder always."""
    if "place" not in metafunc.fixturenames:
        return
    local_only = metafunc.definition.get_closest_marker("local") is not None
    on_s3 = metafunc.config.getoption("--cluster") and not local_only
    metafunc.parametrize("place", ["s3" if on_s3 else "folder"], indirect=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With --cluster, leave out what no server takes part in: it runs without the option, but for long versions."""

    def unwanted(item: pytest.Item) -> bool:
        case = getattr(item, "callspec", None)
        on_s3 = case is not None and case.params.get("place") == "s3"
        return Path(__file__).parent in item.path.parents and not on_s3 and item.get_closest_marker("soak") is None

    if config.getoption("--cluster"):
        items[:] = [item for item in items if not unwanted(item)]


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "folder":
        return Place(str(tmp_path / "lake"))
    bucket, server = request.getfixturevalue("bucket"), request.getfixturevalue("s3_server")
    return Place(f"s3://{bucket}/lake", server.endpoint_url, server.access_key, server.secret_key)


@pytest.fixture
def lake(place: Place) -> Lake:
    return place.lake()


@pytest.fixture
def table(place: Place, lake: Lake) -> LakeTable:
    return lake.table(ORDERS)


def parquet_files(place: Place, table: LakeTable) -> set[str]:
    """Every parquet data file of a table, published or not."""
    return {file for file in place.files_below(table.uri) if file.endswith(".parquet") and "/_delta_log/" not in file}
