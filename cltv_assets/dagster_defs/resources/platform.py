"""One handle on engine, lake and source for a run.

They belong together: an expression is bound to the engine that read its tables,
so the IO manager and the assets must share one. Nothing is opened before its
first use; loading definitions opens nothing at all.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import dagster as dg

from cltv_assets.dagster_defs.failures import FailedMonths
from cltv_assets.dagster_defs.naming import Names
from cltv_assets.engines import Engine, open_engine
from cltv_assets.files.object_store import ObjectStore, uses_s3
from cltv_assets.lake import Lake
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.sources import open_source
from cltv_assets.tables.month_run import MonthRun

#: Plain keys of the resources; `Names` puts the prefix before them.
PLATFORM, LAKE, S3, SPARK, PIPES = "platform", "lake", "s3", "spark", "pipes"
#: Pool of every asset of a graph: one run at a time writes its lake's months, in their order.
POOL = "cltv_lake"


class Platform:
    """Engine, lake and source of one run, opened when first asked for.

    Parameters
    ----------
    settings : Settings
    objects : callable, optional
        Returns how S3 is reached; asked once, when something on S3 is.
    session : callable, optional
        Returns the run's Spark session.
    """

    def __init__(
        self,
        settings: Settings,
        objects: Callable[[], ObjectStore] | None = None,
        session: Callable[[], Any] | None = None,
    ) -> None:
        self.settings = settings
        self._find_objects = objects
        self._session = session
        #: Of a run of many months: what is not to be made from what failed.
        self.failed = FailedMonths()
        self._engine: Engine | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    @property
    def engine(self) -> Engine:
        """The run's engine."""
        if self._engine is None:
            self._engine = open_engine(self.settings, self.objects, self._session)
        return self._engine

    @cached_property
    def objects(self) -> ObjectStore | None:
        """How S3 is reached, where anything is on it."""
        return None if self._find_objects is None else self._find_objects()

    @cached_property
    def lake(self) -> Lake:
        """The lake.

        Raises
        ------
        LakeError
            If it is on an object store that cannot be written, or where commits are not safe.
        """
        lake = Lake(self.settings.lake_root, self.objects, self.settings.asset_prefix)
        if self.objects is not None:
            lake.check_writable()
        return lake

    @property
    def scratch(self) -> Path:
        """A folder for the run's temporary files."""
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="cltv-run-", ignore_cleanup_errors=True)
        return Path(self._folder.name)

    def month_run(self, month: Month, inputs: Mapping[str, Any]) -> MonthRun:
        """Return what a step may know."""
        source = open_source(self.settings, objects=self.objects)
        return MonthRun(
            month, self.settings, self.engine, self.lake, source, dict(inputs), scratch=lambda: self.scratch
        )

    def close(self) -> None:
        """Release what was opened."""
        if self._engine is not None:
            self._engine.close()
        if self._folder is not None:
            self._folder.cleanup()


def platform_resource(settings: Settings) -> dg.ResourceDefinition:
    """Return the resource that gives each run its ``Platform``.

    It stands on the resources ``s3`` and ``spark`` where the settings call for them.
    """
    on_s3, on_spark = uses_s3(settings), settings.engine == "spark"
    names = Names(settings.asset_prefix)
    s3_key, spark_key = names.name(S3), names.name(SPARK)
    needed = {key for key, wanted in ((s3_key, on_s3), (spark_key, on_spark)) if wanted}

    @dg.resource(
        description=f"Engine {settings.engine}, lake {settings.lake_root}, source {settings.source.kind}.",
        required_resource_keys=needed,
    )
    def platform(context: dg.InitResourceContext) -> Iterator[Platform]:
        resources: Any = context.resources
        opened = Platform(
            settings,
            objects=(lambda: getattr(resources, s3_key).object_store()) if on_s3 else None,
            session=(lambda: getattr(resources, spark_key).spark_session) if on_spark else None,
        )
        try:
            yield opened
        finally:
            opened.close()

    return platform
