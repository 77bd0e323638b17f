from __future__ import annotations

from pathlib import Path

import pytest

from cltv_assets.lake import Lake, LakeTable
from cltv_assets_tests.lake.table_under_test import ORDERS


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(str(tmp_path / "lake"))


@pytest.fixture
def table(lake: Lake) -> LakeTable:
    return lake.table(ORDERS)


def parquet_files(table: LakeTable) -> set[str]:
    """Every parquet data file on disk, published or not."""
    return {str(path) for path in Path(table.uri).rglob("*.parquet") if "_delta_log" not in path.parts}
