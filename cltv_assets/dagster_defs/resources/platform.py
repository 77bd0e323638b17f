"""One handle on engine, lake and source for a run.

They belong together: an expression is bound to the engine that read its tables, so
inputs, assets and outputs must share one. The IO manager holds it. Nothing is opened
before its first use; loading definitions opens nothing at all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

from cltv_assets.dagster_defs.failures import FailedMonths, faults_as_failures
from cltv_assets.engines import Engine, open_engine
from cltv_assets.files.object_store import ObjectStore
from cltv_assets.files.scratch import ScratchFolder
from cltv_assets.lake import Lake
from cltv_assets.lake.opening import Handles
from cltv_assets.months import Month
from cltv_assets.settings import Settings
from cltv_assets.sources import TransactionSource, Workers, open_source
from cltv_assets.tables.damage import damage_explained
from cltv_assets.tables.month_run import MonthRun

#: Plain keys of the resources; `Names` puts the prefix before them.
LAKE, S3, SPARK, PIPES = "lake", "s3", "spark", "pipes"
#: Pool of all assets of a graph, so that only one run at a time writes its lake, month by month in order.
POOL = "cltv_lake"


class Platform:
    """Engine, lake and source of one run, each opened on first use.

    Parameters
    ----------
    settings : Settings
        They choose engine, lake and source.
    objects : callable, optional
        Returns the access to S3; called once, on first use.
    session : callable, optional
        Returns the run's Spark session.
    newest : str, optional
        Key of the newest of several months that are made together.
    handles : dict, optional
        Keeps the lake's tables open between runs.
    """

    def __init__(
        self,
        settings: Settings,
        objects: Callable[[], ObjectStore] | None = None,
        session: Callable[[], Any] | None = None,
        newest: str | None = None,
        handles: Handles | None = None,
    ) -> None:
        self.settings = settings
        self._find_objects = objects
        self._session = session
        self._newest = newest
        self._handles = handles
        #: The months that failed, so that later steps of the run skip them.
        self.failed = FailedMonths()
        self._engine: Engine | None = None
        self._working_for: TransactionSource | None = None
        self._folder: ScratchFolder | None = None

    @property
    def engine(self) -> Engine:
        """The run's engine."""
        if self._engine is None:
            self._engine = open_engine(self.settings, self.objects, self._session)
        return self._engine

    @cached_property
    def objects(self) -> ObjectStore | None:
        """The access to S3; ``None`` if nothing is on S3."""
        return None if self._find_objects is None else self._find_objects()

    @cached_property
    def lake(self) -> Lake:
        """The lake.

        Raises
        ------
        LakeError
            If it is on an object store that cannot be written to, or on which commits are not safe.
        """
        lake = Lake(self.settings.lake_root, self.objects, self.settings.asset_prefix, self._handles)
        if self.objects is not None:
            lake.check_writable()
        return lake

    @property
    def scratch(self) -> Path:
        """A folder for the run's temporary files."""
        if self._folder is None:
            self._folder = ScratchFolder("run")
        return self._folder.path

    def source(self) -> TransactionSource:
        """Return the source; the engine's machines, if it has some, read large deliveries and run its query."""
        source = open_source(self.settings, objects=self.objects)
        if run_tasks := self.engine.workers():
            source.workers = Workers(run_tasks, self.lake.storage, self.engine.querier())
            self._working_for = source
            if self.objects is not None:
                # A Connect server has credentials of its own.
                self.objects.shared = not self.settings.spark.remote
        return source

    def month_run(self, month: Month, inputs: Mapping[str, Any]) -> MonthRun:
        """Return what a table's ``make`` and its checks get."""
        return MonthRun(
            month,
            self.settings,
            self.engine,
            self.lake,
            self.source(),
            dict(inputs),
            scratch=lambda: self.scratch,
            # Drawing takes a fifth of a small month's time, and of many months nobody looks at the older ones.
            pictures=self._newest in (None, month.key),
        )

    @contextmanager
    def step(self) -> Iterator[None]:
        """Make a month of a step: one look at each table, and failures that say what to do."""
        with (
            faults_as_failures(self.engine),
            damage_explained(self.settings, self.lake),
            self.lake.opener.steady(),
        ):
            yield

    def close(self) -> None:
        """Release what was opened."""
        if self._engine is not None:
            if self._working_for is not None:
                # What was parsed stays for the next run; its machines end with this one.
                self._working_for.workers = None
            self._engine.close()
        if self._folder is not None:
            self._folder.close()
