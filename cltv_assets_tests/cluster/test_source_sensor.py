"""The sensor for source files, where the files are objects below a prefix of a bucket."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import boto3
import dagster as dg
import pytest

from cltv_assets.cli.runner import QUIET
from cltv_assets.dagster_defs.automation.source_sensor import source_sensor
from cltv_assets.dagster_defs.build import MONTH_JOB, build_definitions
from cltv_assets.errors import SourceError
from cltv_assets.settings import Settings
from cltv_assets_tests.cluster.radosgw import Radosgw
from cltv_assets_tests.conftest import SHOP_COLUMNS
from cltv_assets_tests.dagster_defs.automation.watched_shop import RAW, sales
from cltv_assets_tests.e2e.shop import Line, deliver, months_of

JAN, FEB = "2011-01", "2011-02"


def test_objects_below_a_prefix(
    bucket: str, tmp_path: Path, s3_environment: Radosgw, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without the proxy, which is Python of this process: delta-rs lets no Python run while it reads
    # the history of a table's commits.
    endpoint = s3_environment.endpoint_url
    source = {"kind": "csv", "path": f"s3://{bucket}/deliveries/*.csv", "columns": SHOP_COLUMNS}
    settings = Settings.model_validate(
        {
            "source": source,
            "start_month": JAN,
            "end_month": FEB,
            "currency": "GBP",
            "lake_uri": f"s3://{bucket}/lake",
            "s3": {"endpoint_url": endpoint, "region": "us-east-1"},
            "home": tmp_path,
        }
    )
    client: Any = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")

    def upload(name: str, lines: list[Line]) -> None:
        deliver(tmp_path, {months_of(JAN, 1)[0]: lines}, name)
        client.upload_file(str(tmp_path / name), bucket, f"deliveries/{name}")

    upload("january.csv", sales(JAN, *"ABCDEFGHIJ"))
    upload("february.csv", sales(FEB, "A"))
    definitions = build_definitions(settings)
    job = definitions.resolve_job_def(MONTH_JOB)
    sensor = source_sensor(settings, job)
    assert sensor is not None
    cursor = None

    with dg.DagsterInstance.ephemeral() as instance:

        def run(*months: str) -> None:
            for month in months:
                assert job.execute_in_process(
                    run_config=QUIET, instance=instance, partition_key=month, asset_selection=[RAW]
                ).success

        def requested() -> list[str]:
            nonlocal cursor
            found = []
            for _ in range(2):
                with dg.build_sensor_context(instance=instance, cursor=cursor, definitions=definitions) as context:
                    data = sensor.evaluate_tick(context)
                cursor = data.cursor
                found += [str(request.partition_key) for request in data.run_requests or ()]
            return found

        run(JAN, FEB)
        assert requested() == []
        upload("late.csv", sales(JAN, "L"))
        assert requested() == [JAN]
        run(JAN)
        # Of the same length, and with lines of both months.
        upload("late.csv", sales(FEB, "L"))
        assert requested() == [JAN, FEB]
        run(JAN, FEB)
        # The same content again, with a new time.
        upload("late.csv", sales(FEB, "L"))
        assert requested() == []
        # A file that is gone is told, and asked for by nobody; without the cursor, too.
        client.delete_object(Bucket=bucket, Key="deliveries/late.csv")
        assert requested() == []
        assert "2011-02: late.csv is gone (had 1 line)" in cursor
        cursor = None
        assert requested() == []

        # Arrow would try for a hundred seconds; that a run outlasts an outage is seen in test_failure_store.
        monkeypatch.setattr("cltv_assets.files.object_store._ARROW_ATTEMPTS", 2)
        s3_environment.stop_gateway()
        with pytest.raises(SourceError, match=f"s3://{bucket}"):
            requested()
