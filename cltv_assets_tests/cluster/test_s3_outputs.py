"""What a run leaves on S3 beside its tables: report, export, the runs' logs. And sources that lie there."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
import pytest
import yaml

from cltv_assets.settings import Settings
from cltv_assets.sources.delivered import RAW_TRANSACTIONS
from cltv_assets.tables.cltv_predictions.columns import predictions_schema
from cltv_assets_tests.cluster.fault_proxy import FaultProxy
from cltv_assets_tests.cluster.tables import month_of_table
from cltv_assets_tests.conftest import SHOP_COLUMNS
from cltv_assets_tests.e2e.running import cltv
from cltv_assets_tests.e2e.shop import deliver, lines_of_shop, months_of

DEPLOY = Path(__file__).parents[2] / "deploy"


@pytest.fixture
def home(cluster_settings: Callable[..., Settings], bucket: str, tmp_path: Path) -> tuple[Path, Settings, Any]:
    """Return a folder with ``cltv.yaml`` whose source and lake are on S3, the settings, and a client."""
    lines = lines_of_shop(months_of("2011-01", 1), customers=60)
    deliver(tmp_path / "shop", lines)
    settings = cluster_settings(
        "duckdb",
        "s3",
        source={"kind": "csv", "path": f"s3://{bucket}/deliveries/{{month}}.csv", "columns": SHOP_COLUMNS},
        start_month="2011-01",
        end_month="2011-01",
        currency="GBP",
        horizons_months=[1],
    )
    client = boto3.client("s3", endpoint_url=settings.s3.endpoint_url, region_name="us-east-1")
    client.upload_file(str(tmp_path / "shop" / "2011-01.csv"), bucket, "deliveries/2011-01.csv")
    values = settings.model_dump(mode="json", exclude_defaults=True, exclude={"home"})
    (tmp_path / "cltv.yaml").write_text(yaml.safe_dump(values), encoding="utf-8")
    return tmp_path, settings, client


def content(client: Any, bucket: str, key: str) -> bytes:
    found: bytes = client.get_object(Bucket=bucket, Key=key)["Body"].read()
    return found


def test_everything_goes_to_the_bucket(
    home: tuple[Path, Settings, Any], bucket: str, s3_proxy: FaultProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, settings, client = home
    # Dagster's instance finds its own bucket by variables, as deploy/dagster-s3.yaml says.
    instance = folder / ".dagster"
    instance.mkdir()
    (instance / "dagster.yaml").write_bytes((DEPLOY / "dagster-s3.yaml").read_bytes())
    monkeypatch.setenv("CLTV_LOGS_BUCKET", bucket)
    monkeypatch.setenv("CLTV_LOGS_PREFIX", "logs")
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", s3_proxy.endpoint_url)

    done = cltv("run", cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr

    lake = settings.lake_uri.removeprefix(f"s3://{bucket}/")
    report = content(client, bucket, f"{lake}/cltv_report/month=2011-01-01/report.html")
    assert report.startswith(b"<!DOCTYPE html>")

    # `cltv run` keeps Dagster's own lines quiet; a run launched as the UI does has them.
    command = [str(Path(sys.executable).with_name("dagster")), "asset", "materialize", "-m", "cltv_assets.definitions"]
    environ = {**os.environ, "DAGSTER_HOME": str(instance)}
    launched = subprocess.run(
        [*command, "--select", "raw_transactions", "--partition", "2011-01"],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        timeout=180,
    )
    assert launched.returncode == 0, launched.stderr[-2000:]
    logs = [entry["Key"] for entry in client.list_objects_v2(Bucket=bucket, Prefix="logs/").get("Contents", [])]
    assert any(b"raw_transactions" in content(client, bucket, key) for key in logs if key.endswith(".err"))

    delivered = (folder / "shop" / "2011-01.csv").read_text(encoding="utf-8").splitlines()
    raw = month_of_table(settings, RAW_TRANSACTIONS, "2011-01")
    assert raw.num_rows == len(delivered) - 1
    assert set(raw["source_file"].to_pylist()) == {"2011-01.csv"}

    exported = cltv("export", "--month", "2011-01", "--to", f"s3://{bucket}/out/predictions.csv", cwd=folder)
    assert exported.returncode == 0, exported.stderr
    rows = list(csv.DictReader(io.StringIO(content(client, bucket, "out/predictions.csv").decode())))
    published = month_of_table(settings, predictions_schema((1,)), "2011-01")
    assert [row["customer_id"] for row in rows] == published["customer_id"].to_pylist()
    assert [float(row["cltv_1m"]) for row in rows] == pytest.approx(published["cltv_1m"].to_pylist(), rel=1e-12)


def test_a_missing_delivery_on_s3_names_its_address(home: tuple[Path, Settings, Any], bucket: str) -> None:
    folder, _, client = home
    client.delete_object(Bucket=bucket, Key="deliveries/2011-01.csv")
    done = cltv("run", cwd=folder)
    assert done.returncode == 3
    assert f"{bucket}/deliveries" in done.stderr.replace("\n", "")
