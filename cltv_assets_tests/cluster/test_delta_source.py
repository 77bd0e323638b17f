"""A Delta table in a bucket as the source, with the keys of the environment."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path

import pytest
from deltalake import DeltaTable, write_deltalake

from cltv_assets.dagster_defs.resources.s3 import object_store_for
from cltv_assets.errors import SourceError
from cltv_assets.settings import Settings
from cltv_assets.sources import TransactionSource, new_source
from cltv_assets_tests.cluster.radosgw import Radosgw
from cltv_assets_tests.sources.conftest import COLUMNS, TODAY, landed
from cltv_assets_tests.sources.test_lake_tables import rows, with_a_row_deleted


def test_a_table_in_a_bucket_is_read_whatever_its_form(
    cluster_settings: Callable[..., Settings],
    bucket: str,
    s3_server: Radosgw,
    s3_environment: Radosgw,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    march = dt.datetime(2024, 3, 1, tzinfo=dt.UTC)
    for name in ("plain", "vectors", "vacuumed"):
        write_deltalake(tmp_path / name, rows(kept=march, deleted=march))
    with_a_row_deleted(tmp_path / "vectors")
    write_deltalake(tmp_path / "vacuumed", rows(march=march), mode="overwrite")
    DeltaTable(tmp_path / "vacuumed").vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    for name in ("plain", "vectors", "vacuumed"):
        s3_server.upload(tmp_path / name, f"s3://{bucket}/{name}")

    def opened(name: str, **given: int) -> TransactionSource:
        source = {"kind": "delta", "path": f"s3://{bucket}/{name}", "columns": COLUMNS, **given}
        settings = cluster_settings("duckdb", "s3", source=source, start_month="2024-01", time_zone="UTC")
        return new_source(settings, TODAY, object_store_for(settings))

    def found(name: str) -> list[str]:
        return [row["transaction_id"] for row in landed(opened(name), "2024-03", tmp_path / "landed" / name)]

    assert found("plain") == ["deleted", "kept"]
    assert found("vectors") == ["kept"]
    assert found("vacuumed") == ["march"]
    with pytest.raises(SourceError, match="A file of that version is gone"):
        opened("vacuumed", version=0).list_files()
    with pytest.raises(SourceError, match="is no Delta table"):
        opened("nothing").list_files()
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(SourceError, match="cannot be read"):
        opened("plain").list_files()
