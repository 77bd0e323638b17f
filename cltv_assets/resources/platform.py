"""One handle on engine, lake and source for a run.

They belong together: an expression is bound to the engine that read its tables,
so the IO manager and the assets must share one. Nothing is opened before its
first use; loading definitions opens nothing at all.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg

from cltv_assets.engines import Engine, open_engine
from cltv_assets.lake import Lake
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.sources import open_source
from cltv_assets.steps.month_run import MonthRun


class Platform:
    """Engine, lake and source of one run, opened when first asked for.

    Parameters
    ----------
    settings : Settings
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._engine: Engine | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    @property
    def engine(self) -> Engine:
        """The run's engine."""
        if self._engine is None:
            self._engine = open_engine(self.settings)
        return self._engine

    @cached_property
    def lake(self) -> Lake:
        """The lake."""
        return Lake(self.settings.lake_root)

    @property
    def scratch(self) -> Path:
        """A folder for the run's temporary files."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="cltv-run-", ignore_cleanup_errors=True)
        return Path(self._folder.name)

    def month_run(self, month: Month, inputs: Mapping[str, Any]) -> MonthRun:
        """Return what a step may know."""
        return MonthRun(month, self.settings, self.engine, self.lake, open_source(self.settings), dict(inputs))

    def close(self) -> None:
        """Release what was opened."""
        if self._engine is not None:
            self._engine.close()
        if self._folder is not None:
            self._folder.cleanup()


def platform_resource(settings: Settings) -> dg.ResourceDefinition:
    """Return the resource that gives each run its ``Platform``."""

    @dg.resource(description=f"Engine {settings.engine}, lake {settings.lake_root}, source {settings.source.kind}.")
    def platform(_context: dg.InitResourceContext) -> Iterator[Platform]:
        opened = Platform(settings)
        try:
            yield opened
        finally:
            opened.close()

    return platform
