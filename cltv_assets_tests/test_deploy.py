"""What deploy/ holds is loaded here, so that it cannot rot."""

from __future__ import annotations

import shutil
from pathlib import Path

import dagster as dg
import yaml

DEPLOY = Path(__file__).parents[1] / "deploy"


def test_the_instance_configuration_is_what_it_says(tmp_path):
    shutil.copy(DEPLOY / "dagster.yaml", tmp_path)
    with dg.DagsterInstance.from_config(str(tmp_path)) as instance:
        assert not instance.telemetry_enabled
        assert not instance.nux_enabled
        assert instance.run_monitoring_enabled
        assert instance.run_retries_enabled
        assert instance.run_retries_max_retries == 1
        assert instance.run_retries_retry_on_asset_or_op_failure is False
        assert instance.get_settings("run_monitoring")["free_slots_after_run_end_seconds"] == 300


def test_the_instance_with_logs_on_s3_differs_in_nothing_else():
    plain, on_s3 = (yaml.safe_load((DEPLOY / name).read_text()) for name in ("dagster.yaml", "dagster-s3.yaml"))
    assert on_s3.pop("compute_logs")["class"] == "S3ComputeLogManager"
    assert on_s3 == plain
