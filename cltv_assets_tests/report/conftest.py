from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cltv_assets.engines.duckdb_engine import DuckDBEngine
from cltv_assets.report import ReportData, collect, render
from cltv_assets_tests.report.made_rows import holdout_rows
from cltv_assets_tests.report.small_shop import Shop


@pytest.fixture(scope="session")
def engine() -> Iterator[DuckDBEngine]:
    opened = DuckDBEngine()
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def shop() -> Shop:
    """An ordinary month."""
    return Shop(holdout=holdout_rows())


@pytest.fixture(scope="session")
def data(shop: Shop, engine: DuckDBEngine, tmp_path_factory: pytest.TempPathFactory) -> ReportData:
    """The ordinary month's facts, without a month before."""
    return collect(shop.run(engine, tmp_path_factory.mktemp("lake")))


@pytest.fixture(scope="session")
def page(data: ReportData) -> str:
    return render(data)


@pytest.fixture
def lake(tmp_path: Path) -> Path:
    return tmp_path / "lake"
