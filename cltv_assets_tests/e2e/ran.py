"""One run of a made-up shop that many tests only read: a plugin, so that all folders share it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import dagster as dg
import pytest

from cltv_assets.cli.runner import MonthResult, run_months
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets_tests.e2e.running import settings_in
from cltv_assets_tests.e2e.shop import Line, deliver, lines_of_shop, months_of


@dataclass(frozen=True)
class Ran:
    """A shop whose months have run, one after the other, in one process."""

    settings: Settings
    months: list[Month]
    lines: dict[Month, list[Line]]
    instance: dg.DagsterInstance
    results: list[MonthResult]

    @property
    def lake(self) -> Path:
        return Path(self.settings.lake_root)


@pytest.fixture(scope="session")
def ran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ran]:
    """Four months of a shop. Tests must not write to its lake: copy it."""
    home = tmp_path_factory.mktemp("ran")
    months = months_of("2011-01", 4)
    lines = lines_of_shop(months)
    deliver(home / "shop", lines)
    settings = settings_in(home, end_month="2011-04")
    with dg.DagsterInstance.ephemeral() as instance:
        results = run_months(settings, months, instance)
        assert [result.errors for result in results] == [[]] * len(months)
        yield Ran(settings, months, lines, instance, results)
