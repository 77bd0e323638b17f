"""A made-up shop whose files a sensor watches: deliveries, runs of the month job, and ticks."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.definitions.sensor_definition import SensorExecutionData

from cltv_assets.cli.runner import QUIET
from cltv_assets.dagster_defs.automation.source_sensor import source_sensor
from cltv_assets.dagster_defs.build import MONTH_JOB, build_definitions
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets_tests.e2e.running import settings_in
from cltv_assets_tests.e2e.shop import Line, deliver

RAW = dg.AssetKey("raw_transactions")


def sales(month: str, *customers: str, day: int = 5) -> list[Line]:
    """Return a sale of each customer in a month."""
    return [(f"{month}-{name}-{day}", name, f"{month}-{day:02d} 10:00:00", "1", "5.00") for name in customers]


class WatchedShop:
    """A shop in a folder, an instance, and the sensor.

    Parameters
    ----------
    home : Path
    instance : DagsterInstance
    **changes
        Of the settings.
    """

    def __init__(self, home: Path, instance: dg.DagsterInstance, **changes: Any) -> None:
        self.settings: Settings = settings_in(home, **{"end_month": "2011-03", **changes})
        self.folder = home / "shop"
        self.instance = instance
        self.cursor: str | None = None
        self.load()

    def load(self) -> None:
        """Load the definitions, as a code server does that starts."""
        self.definitions = build_definitions(self.settings)
        self.job = self.definitions.resolve_job_def(MONTH_JOB)
        sensor = source_sensor(self.settings, self.job)
        assert sensor is not None
        self.sensor = sensor

    def deliver(self, name: str, lines: Iterable[Line], age: float = 3600) -> Path:
        """Write a file that was changed ``age`` seconds ago."""
        deliver(self.folder, {Month.parse("2011-01"): lines}, name)
        path = self.folder / name
        self.age(path, age)
        return path

    @staticmethod
    def age(path: Path, seconds: float) -> None:
        at = time.time_ns() - round(seconds * 1e9)
        os.utime(path, ns=(at, at))

    def run(self, *months: str, assets: Sequence[dg.AssetKey] | None = (RAW,)) -> list[bool]:
        """Run the month job; whether each run succeeded."""
        return [
            self.job.execute_in_process(
                run_config=QUIET,
                instance=self.instance,
                partition_key=month,
                asset_selection=None if assets is None else list(assets),
                raise_on_error=False,
            ).success
            for month in months
        ]

    def tick(self) -> SensorExecutionData:
        """Let the sensor look once, as the daemon does."""
        context = dg.build_sensor_context(
            instance=self.instance, cursor=self.cursor, definitions=self.definitions, sensor_name=self.sensor.name
        )
        with context:
            found = self.sensor.evaluate_tick(context)
        self.cursor = found.cursor
        return found

    def requested(self) -> list[str]:
        """Look twice, as a changed listing needs, and return the months requested."""
        found = [self.tick(), self.tick()]
        return [str(request.partition_key) for data in found for request in data.run_requests or ()]

    def begin(self, month: str) -> dg.DagsterRun:
        """Return a run of a month that has started and done nothing yet."""
        return self.instance.create_run_for_job(
            self.job, tags={"dagster/partition": month}, status=dg.DagsterRunStatus.STARTED, run_config=QUIET
        )
