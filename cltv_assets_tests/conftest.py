"""Fixtures that every folder uses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from cltv_assets.engines.duckdb_engine import DuckDBEngine
from cltv_assets.settings import Settings

SHOP_COLUMNS = {
    "transaction_id": "invoice",
    "customer_id": "customer",
    "transacted_at": "time",
    "quantity": "quantity",
    "unit_price": "price",
}


@pytest.fixture(autouse=True)
def _own_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep every test's settings, instance and current folder its own."""
    for name in ("CLTV_CONFIG", "CLTV_LAKE_URI", "CLTV_ENGINE", "DAGSTER_HOME", "CLTV_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    # Tests that start processes run helpers of this package in them.
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))


@pytest.fixture
def engine() -> Iterator[DuckDBEngine]:
    opened = DuckDBEngine()
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
