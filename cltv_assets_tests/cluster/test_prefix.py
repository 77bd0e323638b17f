"""Two graphs on S3 and Spark in one deployment: their resources do not meet."""

from __future__ import annotations

import pytest

from cltv_assets_tests.dagster_defs.assets.test_prefix import merged_graphs_stay_apart


@pytest.mark.parametrize("prefixes", [("acme", "bolt"), ("", "bolt")])
def test_graphs_merge(prefixes: tuple[str, str]) -> None:
    columns = {"customer_id": "c", "transacted_at": "t", "amount": "a"}
    source = {"kind": "parquet", "path": "s3://b/x", "columns": columns}
    merged_graphs_stay_apart(prefixes, source=source, start_month="2024-01", engine="spark")
